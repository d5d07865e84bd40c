//! What the fuzzer runs, run by every test run: the frames that are kept in `fuzz/corpus/`, and some
//! thousands that follow from them and a seed.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod frames;
#[path = "../../tracker/tests/hostile/mutate.rs"]
mod mutate;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use mutate::{Numbers, mutated};

/// Returns the inputs that are kept, sorted by name.
fn kept() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/frames");
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no inputs", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn frames_are_read_or_refused_and_a_mesh_stays_within_its_bounds() {
    let mut inputs = kept();
    inputs.extend(frames::seeds());
    let mut numbers = Numbers::of(3);
    let more: Vec<Vec<u8>> = (0..20_000)
        .map(|_| mutated(&inputs[numbers.below(inputs.len())], &inputs, &mut numbers))
        .collect();
    for input in inputs.iter().chain(&more) {
        let result = catch_unwind(|| frames::run(input));
        assert!(result.is_ok(), "it fails for {:?}", String::from_utf8_lossy(input));
    }
}

#[test]
fn what_the_fuzzer_starts_from_is_good() {
    use x0x::wire::{Answer, Control, Far, Payload, Piece, Request};
    let good = |input: &[u8]| match input[0] {
        0 => Control::read(&input[1..]).is_ok(),
        1 => Request::read(&input[1..]).is_ok(),
        2 => Answer::read(&input[1..]).is_ok(),
        3 => Payload::read(&input[1..]).is_ok(),
        8 => Piece::read(&input[1..]).is_ok(),
        9 => Far::read(&input[1..]).is_ok(),
        _ => true,
    };
    assert!(frames::seeds().iter().all(|input| good(input)));
}
