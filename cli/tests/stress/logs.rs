//! What a node said in its log, and of which queues it said that they fill.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Marks a line that says of a queue how full it is.
const PRESSURE: &str = "used_pct=";

/// What the queues of what comes in are called.
const RECEIVING: &str = "recv_pump";

/// How many queues are told apart; lines of others are counted only.
const QUEUES_MAX: usize = 10_000;

/// What a log has in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    pub info: u64,
    pub warn: u64,
    pub error: u64,
    /// Lines that say of a queue how full it is.
    pub pressure_info: u64,
    pub pressure_warn: u64,
    /// The queues by channel, stream and peer.
    pub queues: BTreeMap<String, QueueSaid>,
}

/// What was said of one queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueSaid {
    /// Whether it is one of what comes in.
    pub is_receiving: bool,
    /// Its lane.
    pub stream: String,
    pub info: u64,
    pub warn: u64,
    /// Whether the first WARN came before any INFO.
    pub warned_first: bool,
}

pub fn read(path: &Path) -> io::Result<Said> {
    let mut said = Said::default();
    let mut lines = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        said.take(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(said)
}

impl Said {
    fn take(&mut self, line: &str) {
        let level = line.split_whitespace().nth(1).unwrap_or_default();
        match level {
            "INFO" => self.info += 1,
            "WARN" => self.warn += 1,
            "ERROR" => self.error += 1,
            _ => return,
        }
        if !line.contains(PRESSURE) {
            return;
        }
        let is_warn = level == "WARN";
        self.pressure_info += u64::from(level == "INFO");
        self.pressure_warn += u64::from(is_warn);
        let (channel, stream) = (field(line, "channel"), field(line, "stream"));
        let key = format!("{channel} {stream} {}", field(line, "peer"));
        if self.queues.len() >= QUEUES_MAX && !self.queues.contains_key(&key) {
            return;
        }
        let queue = self.queues.entry(key).or_default();
        queue.is_receiving = channel == RECEIVING;
        queue.stream = stream.to_owned();
        queue.warned_first |= is_warn && queue.info == 0;
        queue.info += u64::from(level == "INFO");
        queue.warn += u64::from(is_warn);
    }

    /// Tells whether anything was said of a queue in a lane of what comes in.
    pub fn speaks_of(&self, lane: &str) -> bool {
        self.queues.values().any(|queue| queue.is_receiving && queue.stream == lane)
    }
}

/// Returns the value of a field as it is written, without quotes.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let mut words = line.split_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().trim_matches('"')
}

#[test]
fn levels_are_counted_and_queues_told_apart() {
    let mut said = Said::default();
    let line = |level: &str, channel: &str, stream: &str| {
        format!(
            "2026-01-01T00:00:01.1Z {level:>5} x0x::node::inlet: a queue is full channel=\"{channel}\" \
             stream=\"{stream}\" peer=\"ab\" used=1800 available=248 used_pct=87 suppressed=0\n"
        )
    };
    said.take("ready at 127.0.0.1");
    said.take("2026-01-01T00:00:00.1Z  INFO x0x::node: linked peer=ab");
    said.take(&line("INFO", "recv_pump", "pubsub"));
    said.take(&line("WARN", "recv_pump", "pubsub"));
    said.take(&line("WARN", "send_pump", "sync"));
    said.take(&line("INFO", "send_pump", "sync"));
    said.take("2026-01-01T00:00:04.1Z ERROR x0x::node: broken");
    assert_eq!((said.info, said.warn, said.error), (3, 2, 1));
    assert_eq!((said.pressure_info, said.pressure_warn), (2, 2));
    let first = |key: &str| said.queues[key].warned_first;
    assert!(!first("recv_pump pubsub ab") && first("send_pump sync ab"));
    assert!(said.speaks_of("pubsub") && !said.speaks_of("sync") && !said.speaks_of("direct"));
}
