//! Small changes that stand for very much: refused before they are expanded.
//!
//! One test alone in its process, so that the peak of memory is its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "admission/forge.rs"]
mod forge;
mod hostile;
mod support;

use std::io::Write;

use automerge::Change;
use flate2::{Compression, write::DeflateEncoder};
use forge::{FIELDS, Forge};
use hostile::change::framed;
use x0x_tracker::document::admit;

/// What refusing may take: some copies of the bytes, nothing of what they stand for.
const PEAK_GROWTH_KIB_MAX: u64 = 16 << 10;

#[test]
fn what_stands_for_too_much_is_refused_before_it_is_expanded() {
    let mut forge = Forge::new();
    sees_little_memory(&mut forge, &bomb(70), "it is not one uncompressed change");
    let million = Repeated { operations: 1_000_000, ..Repeated::of(&forge) }.bytes();
    assert!(million.len() < 200, "{} bytes", million.len());
    sees_little_memory(&mut forge, &million, "it holds too many operations");
    for operations in [admit::CHANGE_OPS_MAX + 1, 1 << 40, u64::MAX >> 2] {
        let many = Repeated { operations, ..Repeated::of(&forge) }.bytes();
        sees_little_memory(&mut forge, &many, "it holds too many operations");
    }
    for predecessors in [admit::CHANGE_OPS_MAX + 1, 1 << 40, u64::MAX >> 2] {
        let many = Repeated { operations: 1, predecessors, ..Repeated::of(&forge) }.bytes();
        sees_little_memory(&mut forge, &many, "it holds too many operations");
    }
    let many = Repeated { operations: 50_000, predecessors: 3, ..Repeated::of(&forge) }.bytes();
    sees_little_memory(&mut forge, &many, "it holds too many operations");
    // The columns are as Automerge reads them: as many as allowed come as far as their operations.
    let most = Repeated { operations: admit::CHANGE_OPS_MAX, ..Repeated::of(&forge) }.bytes();
    assert_eq!(Change::from_bytes(most.clone()).unwrap().len() as u64, admit::CHANGE_OPS_MAX);
    let error = admit::check(&forge.birth, &most, forge.log).unwrap_err().to_string();
    assert!(error.contains("it writes a key twice"), "{error}");
    forge.sees_refused_bytes(&bomb(30), "it is not one uncompressed change");
}

/// Sees a change refused by its bytes alone, and the peak of memory hardly move.
fn sees_little_memory(forge: &mut Forge, bytes: &[u8], reason: &str) {
    reset_peak();
    let before = peak_kib();
    let error = admit::check(&forge.birth, bytes, forge.log).unwrap_err().to_string();
    let grown = peak_kib() - before;
    assert!(error.contains(reason), "{error}");
    assert!(grown < PEAK_GROWTH_KIB_MAX, "{reason}: {grown} KiB");
    if bytes.len() < 1_000 {
        forge.sees_refused_bytes(bytes, reason);
    }
}

/// Lets the peak start from what is in use now (proc(5), clear_refs).
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A compressed change chunk that inflates to so many times 16 MiB.
fn bomb(times: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 16 << 20]).unwrap();
    // Flushed, a stream ends at a whole byte and can go on with itself.
    encoder.flush().unwrap();
    let mut data = encoder.get_ref().repeat(times);
    data.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    assert!(data.len() < times * (16 << 20) / 500, "{} bytes", data.len());
    let mut bytes = framed(&data);
    bytes[8] = 2;
    bytes
}

/// A change of equal operations: puts of null under one key.
struct Repeated {
    deps: Vec<u8>,
    actors: [Vec<u8>; 2],
    start_op: u64,
    map_op: u64,
    operations: u64,
    /// How many each of them replaces.
    predecessors: u64,
}

impl Repeated {
    fn of(forge: &Forge) -> Self {
        let change = forge.change(Vec::new());
        let automerge::legacy::ObjectId::Id(map) = forge.map(FIELDS) else { unreachable!() };
        let mut deps = vec![u8::try_from(change.deps.len()).unwrap()];
        change.deps.iter().for_each(|dep| deps.extend_from_slice(&dep.0));
        Self {
            deps,
            actors: [change.actor_id.to_bytes().to_vec(), map.1.to_bytes().to_vec()],
            start_op: change.start_op.get(),
            map_op: map.0,
            operations: 1,
            predecessors: 0,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let all = self.operations;
        let mut columns = vec![
            (0x01, run(all, &[1])),
            (0x02, run(all, &unsigned(self.map_op))),
            (0x15, run(all, b"\x04note")),
            (0x34, unsigned(all)),
            (0x42, run(all, &[1])),
            (0x56, run(all, &[0])),
            (0x70, run(all, &unsigned(self.predecessors))),
        ];
        if self.predecessors > 0 {
            let replaced = all.saturating_mul(self.predecessors).min(u64::MAX >> 2);
            columns.push((0x71, run(replaced, &[1])));
            columns.push((0x73, run(replaced, &[0])));
        }
        let mut data = self.deps.clone();
        data.push(u8::try_from(self.actors[0].len()).unwrap());
        data.extend_from_slice(&self.actors[0]);
        data.push(1);
        data.extend(unsigned(self.start_op));
        data.extend_from_slice(&[0, 0, 1, u8::try_from(self.actors[1].len()).unwrap()]);
        data.extend_from_slice(&self.actors[1]);
        data.push(u8::try_from(columns.len()).unwrap());
        for (column, bytes) in &columns {
            data.extend(unsigned(*column));
            data.extend(unsigned(bytes.len() as u64));
        }
        columns.iter().for_each(|(_, bytes)| data.extend_from_slice(bytes));
        framed(&data)
    }
}

/// A run of equal values.
fn run(count: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = signed(count);
    bytes.extend_from_slice(value);
    bytes
}

fn unsigned(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A positive number as signed LEB128, whose last byte shows the sign.
fn signed(number: u64) -> Vec<u8> {
    let mut bytes = unsigned(number);
    if bytes.last().is_some_and(|last| last & 0x40 != 0) {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(0);
    }
    bytes
}
