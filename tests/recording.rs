//! What it costs to count what goes through a receive pump, in instructions: a ratio within one run, so that a noisy
//! machine changes nothing. Where valgrind is missing, it says so and measures nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::process::Command;
use std::time::Duration;

use data_encoding::HEXLOWER;
use x0x::identity::{Identity, MlDsa};
use x0x::link::policy::LinkId;
use x0x::pump::{Arrived, Keys, Kind, Offered, Policy, Recorder, RecvPump};
use x0x::wire::Lane;
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::{Signer, Verifier};

/// How much more may be executed, in percent.
const COST_PCT_MAX: f64 = 2.0;

const FRAMES: u32 = 300;

/// How many frames go through, and whether they are counted; as in `300 counted`.
const WORK: &str = "X0X_RECORDING_WORK";

/// A key and its signature of the message, in hex: how long signing takes is chance.
const SIGNED: &str = "X0X_RECORDING_SIGNED";

const MESSAGE: [u8; 300] = [7; 300];

fn signed() -> String {
    let identity = Identity::passing().unwrap();
    let signature = identity.sign(&MESSAGE).unwrap();
    format!("{} {}", HEXLOWER.encode(identity.public_key()), HEXLOWER.encode(&signature))
}

/// Puts signed frames through a pump, as a node does with those of four peers.
fn work(frames: u32, is_counted: bool, signed: &str) -> u32 {
    let (public_key, signature) = signed.split_once(' ').unwrap();
    let [public_key, signature] =
        [public_key, signature].map(|hex| HEXLOWER.decode(hex.as_bytes()).unwrap());
    let mut pump = match is_counted {
        true => RecvPump::new(Duration::ZERO, Policy::FAIR),
        false => RecvPump::uncounted(Duration::ZERO, Policy::FAIR),
    };
    let peers: Vec<AgentId> = (1..=4).map(|n| AgentId([n; 32])).collect();
    peers.iter().for_each(|peer| pump.open(Duration::ZERO, *peer));
    let bytes = bytes::Bytes::from([&MESSAGE[..], &signature].concat());
    let (keys, mut taken) = (Keys::default(), 0);
    for n in 0..frames {
        let now = Duration::from_micros(u64::from(n) * 100);
        let frame =
            Arrived { link: LinkId(1), lane: Lane::Pubsub, bytes: bytes.clone(), kind: Kind::Data };
        let offered = pump.offer(now, peers[n as usize % 4], frame, false, &mut Vec::new());
        assert!(matches!(offered, Offered::In));
        let job = pump.job().unwrap();
        let recorder = Recorder::new(&MlDsa, &keys, job.bytes.clone());
        assert!(recorder.verify(&public_key, &job.bytes[..300], &job.bytes[300..]));
        let took = Duration::from_micros(76);
        pump.checked(&job, recorder.into_proofs(), Some(took));
        taken += u32::from(pump.take(now + took, Lane::Pubsub).is_some());
    }
    taken
}

#[test]
fn recv_pump_takes_what_was_put_counted_or_not() {
    let asked = std::env::var(WORK).unwrap_or_else(|_| format!("{FRAMES} counted"));
    let (frames, how) = asked.split_once(' ').unwrap();
    let frames = frames.parse().unwrap();
    let signed = std::env::var(SIGNED).unwrap_or_else(|_| signed());
    assert_eq!(work(frames, how == "counted", &signed), frames);
}

/// Returns how many instructions this program executes for so many frames.
fn instructions(frames: u32, how: &str, signed: &str) -> u64 {
    let out = tempfile::NamedTempFile::new().unwrap();
    let program = std::env::current_exe().unwrap();
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=yes"])
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(program)
        .args(["--exact", "recv_pump_takes_what_was_put_counted_or_not", "--test-threads=1"])
        .env(WORK, format!("{frames} {how}"))
        .env(SIGNED, signed)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let told = std::fs::read_to_string(out.path()).unwrap();
    let totals = told.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    totals.trim().parse().unwrap()
}

#[test]
fn recv_pump_recording_costs_at_most_two_percent_of_the_instructions() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let signed = signed();
    let start = instructions(0, "counted", &signed);
    let [without, with] =
        ["uncounted", "counted"].map(|how| instructions(FRAMES, how, &signed) - start);
    let cost_pct = (with as f64 - without as f64) / without as f64 * 100.0;
    eprintln!(
        "{} instructions a frame, of which counting {:.0}: {cost_pct:.2} %",
        with / u64::from(FRAMES),
        (with as f64 - without as f64) / f64::from(FRAMES)
    );
    assert!(cost_pct <= COST_PCT_MAX, "{cost_pct} %");
    // A frame costs what a signature does, at least.
    assert!(without / u64::from(FRAMES) > 50_000, "{without}");
    assert!(with > without, "counting costs something: {with} against {without}");
}
