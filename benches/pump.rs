//! What gossip that comes takes of a node's processor: `cargo bench -p x0x --bench pump`.
//! `X0X_BENCH_FRAMES` is how many frames each of four senders sends in a round (1,000: a node keeps 16 MiB of
//! broadcasts for ten seconds, and pulls what is beyond), `X0X_BENCH_ROUNDS` how many rounds there are (5). With
//! `X0X_BENCH_RATIO_MAX` it fails where the ratio of the median round is larger. With `X0X_BENCH_PROBE=1` each sender
//! also says something on its control lane 125 times a second, and it is told what the node's receive pump counted:
//! `X0X_PUMP_POLICY=naive` shows the same for another policy.
//!
//! The frames are signed beforehand, and each is verified by the receiver, which is a process of its own. The
//! yardstick is another process that reads the same bytes off four links of the same kind and verifies the same
//! signatures, in the same run. What no sender asks for is not passed on: they are pruned.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock, and fails by panicking"
)]

mod gossip;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use quinn::{RecvStream, SendStream};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use x0x::home::Home;
use x0x::identity::{Identity, MlDsa};
use x0x::link::{Endpoint, Link};
use x0x::mesh::payload_of;
use x0x::node::{Config, Node};
use x0x::pump::LaneView;
use x0x::wire::{PUBSUB_BYTES_MAX, Payload};
use x0x_tracker::id::{AgentId, CommitHash};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::signature::{Signer, Verifier};

use gossip::Sender;

/// As the program that runs a node has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WAIT: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// How many send.
const SENDERS: usize = 4;

/// How much of the processor a node may take for a frame, against the yardstick.
const GOAL: f64 = 1.43;

/// How often the receivers look how many there are.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How often the node looks whether what it kept of the last round is gone.
const LOOK_WHETHER_GONE: Duration = Duration::from_millis(500);

/// What a receiver is asked for what its pump counted.
const COUNTED: &str = "counted";

/// How long nothing comes before a round is over.
const SILENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    match std::env::args().nth(1).as_deref() {
        Some("receive-with-a-node") => runtime.block_on(receive_with_a_node()),
        Some("receive-raw") => runtime.block_on(receive_raw()),
        _ if !runtime.block_on(measure()) => return ExitCode::FAILURE,
        _ => {}
    }
    ExitCode::SUCCESS
}

fn is_probing() -> bool {
    number("X0X_BENCH_PROBE", 0) == 1
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// How a receiver is reached.
#[derive(Serialize, Deserialize)]
struct Place {
    agent: AgentId,
    listen: SocketAddr,
    /// One for each sender, of a node.
    tickets: Vec<String>,
}

/// What a round took of a receiver.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Took {
    frames: u64,
    cpu_ns: u64,
}

impl Took {
    fn us_per_frame(self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.frames as f64
    }
}

impl std::iter::Sum for Took {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, took| Self {
            frames: sum.frames + took.frames,
            cpu_ns: sum.cpu_ns + took.cpu_ns,
        })
    }
}

/// Measures, and returns whether the ratio is as small as wanted.
async fn measure() -> bool {
    let count = number("X0X_BENCH_FRAMES", 1_000);
    let mut node = Receiver::start("receive-with-a-node");
    let mut raw = Receiver::start("receive-raw");
    println!("receivers: process {} (node), {} (raw)", node.child.id(), raw.child.id());
    let mut senders = Vec::new();
    for ticket in &node.place.tickets {
        senders.push(Sender::join(&node.place, &ticket.parse().unwrap(), &raw.place).await);
    }
    let (mut with_node, mut with_raw) = (Vec::new(), Vec::new());
    for _ in 0..number("X0X_BENCH_ROUNDS", 5) {
        let frames: Vec<Vec<u8>> = senders.iter_mut().map(|one| one.frames(count)).collect();
        if with_node.is_empty() {
            let bytes = frames[0].len() / count;
            let alone_us = verifying(&frames[0], senders[0].identity.public_key());
            println!("{SENDERS} senders, {count} frames of {bytes} bytes each a round");
            println!("verifying one, alone: {alone_us:.1} us");
        }
        let expected = count * SENDERS;
        raw.begin(expected);
        write(senders.iter_mut().map(|one| &mut one.raw), &frames).await;
        with_raw.push(raw.end());
        node.begin(expected);
        write(senders.iter_mut().map(|one| &mut one.gossip), &frames).await;
        with_node.push(node.end());
        let (raw, node) = (with_raw[with_raw.len() - 1], with_node[with_node.len() - 1]);
        println!(
            "raw {:.1} us, node {:.1} us a frame; {} of {expected} accepted",
            raw.us_per_frame(),
            node.us_per_frame(),
            node.frames
        );
    }
    if is_probing() {
        println!("{}", node.counted());
    }
    let rounds = with_node.iter().zip(&with_raw);
    let mut ratios: Vec<f64> =
        rounds.map(|(node, raw)| node.us_per_frame() / raw.us_per_frame()).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    let (node, raw): (Took, Took) = (with_node.into_iter().sum(), with_raw.into_iter().sum());
    println!(
        "CPU for each of {} frames: {:.1} us; verifying and raw receiving: {:.1} us",
        node.frames,
        node.us_per_frame(),
        raw.us_per_frame()
    );
    let together = node.us_per_frame() / raw.us_per_frame();
    println!("ratio: {median:.2} in the median round (goal {GOAL}), {together:.2} over all");
    let ratio_max: Option<f64> =
        std::env::var("X0X_BENCH_RATIO_MAX").ok().map(|text| text.parse().unwrap());
    ratio_max.is_none_or(|max| median <= max)
}

/// Writes to several streams at once, as fast as each takes it.
async fn write<'a>(streams: impl Iterator<Item = &'a mut SendStream>, frames: &[Vec<u8>]) {
    let writing = streams.zip(frames).map(|(stream, frames)| stream.write_all(frames));
    for written in futures_util::future::join_all(writing).await {
        written.unwrap();
    }
}

/// Returns how long verifying each of some frames takes on this thread, in microseconds.
fn verifying(frames: &[u8], public_key: &[u8]) -> f64 {
    let mut frames: Vec<&[u8]> = split(frames);
    frames.truncate(1_000);
    let begin = cpu_ns();
    assert!(frames.iter().all(|frame| is_signed(frame, public_key)));
    (cpu_ns() - begin) as f64 / 1e3 / frames.len() as f64
}

fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (frame, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// Verifies the signature in a frame of the pubsub lane, and looks at nothing else.
fn is_signed(frame: &[u8], public_key: &[u8]) -> bool {
    let payload = payload_of(&frame[32..]).unwrap();
    let Ok(Payload::Moved(run)) = Payload::read(payload) else { return false };
    let label = CommitHash::LABEL.as_bytes();
    MlDsa.verify(public_key, &[label, &[0], &run.headers[0]].concat(), &run.signature)
}

/// Returns the time of the processor that this process has used.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A process that receives; it ends when nobody asks it any more.
struct Receiver {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    place: Place,
}

impl Receiver {
    fn start(role: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let asks = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let place = answer(&mut answers);
        Self { child, asks, answers, place }
    }

    /// Has it count from now on, once it has room.
    fn begin(&mut self, expected: usize) {
        writeln!(self.asks, "{expected}").unwrap();
        let (): () = answer(&mut self.answers);
    }

    /// Returns what its receive pump counted.
    fn counted(&mut self) -> String {
        writeln!(self.asks, "{COUNTED}").unwrap();
        answer(&mut self.answers)
    }

    /// Returns what it took, once nothing more comes.
    fn end(&mut self) -> Took {
        answer(&mut self.answers)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn answer<T: serde::de::DeserializeOwned>(answers: &mut impl BufRead) -> T {
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn say(what: &impl Serialize) {
    println!("{}", serde_json::to_string(what).unwrap());
}

/// Answers whoever started this process: for each number once it can begin, and when that many came, or no more do.
async fn count(
    kept: impl AsyncFn() -> u64,
    seen: impl AsyncFn() -> u64,
    counted: impl AsyncFn() -> String,
) {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        if line == COUNTED {
            say(&counted().await);
            continue;
        }
        let expected: u64 = line.parse().unwrap();
        while kept().await > 0 {
            tokio::time::sleep(LOOK_WHETHER_GONE).await;
        }
        let (before, begin) = (seen().await, cpu_ns());
        say(&());
        let (mut took, mut at) = (Took::default(), Instant::now());
        while took.frames < expected && at.elapsed() < SILENCE {
            tokio::time::sleep(LOOK_EVERY).await;
            let frames = seen().await - before;
            if frames > took.frames {
                took = Took { frames, cpu_ns: cpu_ns() - begin };
                at = Instant::now();
            }
        }
        say(&took);
    }
}

async fn receive_with_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().to_owned());
    let list = home.found("bench", "B", WAIT).unwrap();
    let config = Config { lock_wait: WAIT, ..Config::on_loopback(home) };
    let node = Node::start(config).await.unwrap();
    let mut tickets = Vec::new();
    for _ in 0..SENDERS {
        let ticket = node.invite(list, Role::Worker, DAY).await.unwrap().unwrap();
        tickets.push(ticket.to_string());
    }
    say(&Place { agent: node.agent(), listen: node.listen(), tickets });
    // What passed the gate is kept for a while, and takes the room of what comes.
    let kept = async || node.held(list).await.unwrap().unwrap().hub.mesh.kept as u64;
    count(kept, kept, async || counted(&node).await).await;
    node.stop().await;
}

/// Returns what went through the receive pump of a node, by lane.
async fn counted(node: &Node) -> String {
    let view = node.pump();
    let lanes = [("control", &view.recv_pump.control), ("pubsub", &view.recv_pump.pubsub)];
    let line = |(name, lane): (&str, &LaneView)| {
        format!(
            "{name}: {} came, {} taken, {} dropped, {} shed, held back {} ms, above 80 % {} ms, most {} of {}, \
             dwell p50 {} us, p99 {} us, max {} us\n",
            lane.produced_total,
            lane.dequeued_total,
            lane.dropped_full,
            lane.shed_priority,
            lane.backpressured_ms,
            lane.above_80_ms,
            lane.max_depth,
            lane.capacity,
            lane.dwell_us.p50,
            lane.dwell_us.p99,
            lane.dwell_us.max
        )
    };
    let repairs = format!(
        "{} repairs, {} workers at most",
        view.repairs.begun_total, view.workers.running_max
    );
    lanes.map(line).concat() + &repairs
}

async fn receive_raw() {
    let identity = Arc::new(Identity::passing().unwrap());
    let agent = identity.agent();
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), identity).unwrap();
    say(&Place { agent, listen: endpoint.address().unwrap(), tickets: Vec::new() });
    let seen = Arc::new(AtomicU64::new(0));
    let verified = seen.clone();
    let taking = async move {
        let mut links = tokio::task::JoinSet::new();
        while let Some(call) = endpoint.next_call().await {
            let seen = verified.clone();
            links.spawn(async move {
                let link = call.answer().await.unwrap();
                let stream = link.connection().accept_uni().await.unwrap();
                read_raw(stream, &link, &seen).await;
            });
        }
    };
    tokio::runtime::Handle::current().spawn(taking);
    count(async || 0, async || seen.load(Ordering::Relaxed), async || String::new()).await;
}

async fn read_raw(mut stream: RecvStream, link: &Link, seen: &AtomicU64) {
    let mut lane = [0];
    stream.read_exact(&mut lane).await.unwrap();
    let codec = LengthDelimitedCodec::builder()
        .little_endian()
        .length_field_length(4)
        .max_frame_length(PUBSUB_BYTES_MAX)
        .new_codec();
    let mut frames = FramedRead::new(stream, codec);
    while let Some(Ok(frame)) = frames.next().await {
        assert!(is_signed(&frame, link.public_key()));
        seen.fetch_add(1, Ordering::Relaxed);
    }
}
