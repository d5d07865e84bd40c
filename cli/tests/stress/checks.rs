//! What a run must have met. Each criterion has a run that meets it and one that does not, beside it.

use std::time::Duration;

use super::run::{Outcome, Run};
use super::settings::{Role, Settings};
use super::spans::LANES;

/// How long a full queue may do nothing.
const STUCK_MAX: Duration = Duration::from_secs(5);

/// How many times as long gossip waits as control does, at least.
const CONTROL_TIMES: u64 = 10;

/// Where gossip waits for less than that, nothing waits, and control need not wait for less.
const DWELL_US_MIN: u64 = 10_000;

/// To which share full queues must fall.
const FALL_TO: f64 = 0.2;

/// Queues that were full for less than that altogether say nothing.
const FILLED_MS_MIN: u64 = 1_000;

/// A queue that was filled for that long has been seen by its node as well.
const SEEN_AFTER: Duration = Duration::from_secs(3);

/// A run of as many messages must come to what it is for; a smaller one may be too small for some.
const LARGE: usize = 1_000;

/// How it stands with a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Met,
    Failed,
    /// It did not come to it.
    NotExercised,
}

/// Something that must be so.
#[derive(Clone, Debug)]
pub struct Criterion {
    pub name: &'static str,
    pub verdict: Verdict,
    pub detail: String,
}

impl Criterion {
    fn new(name: &'static str, is_met: bool, detail: String) -> Self {
        let verdict = if is_met { Verdict::Met } else { Verdict::Failed };
        Self { name, verdict, detail }
    }

    /// Met where there are no faults.
    fn without(name: &'static str, faults: Vec<String>, otherwise: String) -> Self {
        let is_met = faults.is_empty();
        Self::new(name, is_met, if is_met { otherwise } else { faults.join("; ") })
    }

    pub fn is_good(&self, settings: &Settings) -> bool {
        match self.verdict {
            Verdict::Met => true,
            Verdict::Failed => false,
            Verdict::NotExercised => settings.messages < LARGE,
        }
    }
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Failed => "failed",
            Self::NotExercised => "not exercised",
        }
    }
}

/// Returns what holds of a run, and of it against another one.
pub fn all(settings: &Settings, run: &Run, other: Option<&Run>) -> Vec<Criterion> {
    let mut criteria = vec![everything_is_everywhere(settings, run), all_took_part(run)];
    criteria.extend([warned_in_time(run), full_queues_are_told(run)]);
    if settings.is_adverse {
        criteria.extend([was_adverse(run), full_queues_react(run), control_goes_first(run)]);
    }
    criteria.extend(other.map(|other| falls(run, other)));
    criteria
}

fn healthy(run: &Run) -> impl Iterator<Item = &Outcome> {
    run.outcomes.iter().filter(|outcome| outcome.role == Role::Healthy)
}

/// Every message is in every export, and all are the same.
pub fn everything_is_everywhere(settings: &Settings, run: &Run) -> Criterion {
    let mut faults = Vec::new();
    if run.sent != settings.messages {
        let first = run.failures.first();
        faults.push(format!("{} of {} were sent, {first:?}", run.sent, settings.messages));
    }
    for Outcome { name, export, .. } in &run.outcomes {
        if let Some(why) = &export.why {
            faults.push(format!("{name} exports nothing: {why}"));
        } else if export.present != run.sent {
            let missing = run.sent - export.present;
            faults.push(format!("{name} lacks {missing}, as {}", export.missing.join(", ")));
        }
    }
    if faults.is_empty() && !run.is_equal {
        faults.push("the exports differ".to_owned());
    }
    let detail = format!("{} messages in {} equal exports", run.sent, run.outcomes.len());
    Criterion::without("every message is in every export", faults, detail)
}

/// Every node was written to, heard gossip, and could be looked at.
pub fn all_took_part(run: &Run) -> Criterion {
    let mut faults = Vec::new();
    for Outcome { name, created, answered, why, pump, .. } in &run.outcomes {
        if *created == 0 {
            faults.push(format!("nothing was created at {name}"));
        }
        if *answered == 0 {
            faults.push(format!("the pumps of {name} were never seen: {why:?}"));
        } else if pump.recv_pump.pubsub.produced_total == 0 {
            faults.push(format!("no gossip came to {name}"));
        }
    }
    let least = run.outcomes.iter().map(|outcome| outcome.answered).min().unwrap_or(0);
    Criterion::without("every node took part", faults, format!("{least} samples of each at least"))
}

/// What should go wrong went wrong.
pub fn was_adverse(run: &Run) -> Criterion {
    let mut faults = Vec::new();
    if run.sent_meanwhile.unwrap_or(0) == 0 {
        faults.push("nothing was sent while a node was stopped".to_owned());
    }
    if run.delayed.unwrap_or(0) == 0 {
        faults.push("nothing to or from the far node was late".to_owned());
    }
    if run.throttled == Some(0) {
        faults.push("the slow node never had to wait for the processor".to_owned());
    }
    let throttled = match run.throttled {
        Some(periods) => format!("a node waited for the processor in {periods} periods"),
        None => format!("skipped: {}", run.skipped.join("; ")),
    };
    let (meanwhile, delayed) = (run.sent_meanwhile.unwrap_or(0), run.delayed.unwrap_or(0));
    let detail = format!(
        "{meanwhile} messages while a node was stopped, {delayed} datagrams late; {throttled}"
    );
    Criterion::without("three nodes were worse off", faults, detail)
}

/// No queue of a healthy node was full for five seconds and did nothing.
pub fn full_queues_react(run: &Run) -> Criterion {
    let mut faults = Vec::new();
    let mut longest = Duration::ZERO;
    for outcome in healthy(run) {
        for (lane, stuck) in LANES.iter().zip(&outcome.stuck) {
            longest = longest.max(stuck.lasted);
            if stuck.lasted >= STUCK_MAX {
                faults.push(format!(
                    "{lane} of {} from {:.8} was full for {:.1?} from {:.1?} on and nothing moved",
                    outcome.name, stuck.peer, stuck.lasted, stuck.from
                ));
            }
        }
    }
    Criterion::without(
        "full queues react",
        faults,
        format!("none did nothing for over {longest:.1?}"),
    )
}

/// Control waits at most a tenth as long as gossip.
pub fn control_goes_first(run: &Run) -> Criterion {
    const NAME: &str = "control waits a tenth as long as pubsub";
    let (mut faults, mut ratios) = (Vec::new(), Vec::new());
    for outcome in healthy(run) {
        let pump = &outcome.pump.recv_pump;
        let (control, pubsub) = (pump.control.dwell_us.p99, pump.pubsub.dwell_us.p99);
        let told = format!("{}: {control} us against {pubsub} us", outcome.name);
        let is_met = pubsub > 0 && control * CONTROL_TIMES <= pubsub;
        match is_met {
            true => ratios.push(told),
            false if pubsub >= DWELL_US_MIN => faults.push(told),
            false => {}
        }
    }
    if ratios.is_empty() && faults.is_empty() {
        let detail = format!("gossip waited for less than {DWELL_US_MIN} us at every healthy node");
        return Criterion { name: NAME, verdict: Verdict::NotExercised, detail };
    }
    Criterion::without(NAME, faults, ratios.join("; "))
}

/// Of every queue of which WARN was said, INFO was said before.
pub fn warned_in_time(run: &Run) -> Criterion {
    let (mut faults, mut warned) = (Vec::new(), 0);
    for outcome in &run.outcomes {
        for (queue, said) in outcome.said.queues.iter().filter(|(_, said)| said.warn > 0) {
            warned += 1;
            if said.warned_first {
                faults.push(format!("{}: {queue}", outcome.name));
            }
        }
    }
    let detail = format!("{warned} queues were warned of");
    Criterion::without("INFO comes before the first WARN", faults, detail)
}

/// Of a lane that was seen nearly full for long, its node said so.
pub fn full_queues_are_told(run: &Run) -> Criterion {
    let (mut faults, mut full) = (Vec::new(), 0);
    for outcome in &run.outcomes {
        for (lane, above_80) in LANES.iter().zip(&outcome.above_80) {
            if above_80.lasted < SEEN_AFTER {
                continue;
            }
            full += 1;
            if !outcome.said.speaks_of(lane) {
                faults.push(format!(
                    "{} says nothing of {lane}, above 80 % for {:.1?}",
                    outcome.name, above_80.lasted
                ));
            }
        }
    }
    let detail = format!("{full} lanes were above 80 % for {SEEN_AFTER:?} or longer");
    Criterion::without("full queues are told", faults, detail)
}

/// Full queues are fewer, or full for shorter, than in the other run.
pub fn falls(run: &Run, other: &Run) -> Criterion {
    const NAME: &str = "queues are full for a fifth of the time";
    let (here, there) = (run.worst(), other.worst());
    let (ours, theirs) = (here.above_80_ms(), there.above_80_ms());
    let detail = format!(
        "{}: {ours} ms above 80 % at {}; {}: {theirs} ms at {}",
        run.policy, here.name, other.policy, there.name
    );
    if run.sent != other.sent {
        let detail = format!("{detail}; {} messages against {}", run.sent, other.sent);
        return Criterion::new(NAME, false, detail);
    }
    if theirs < FILLED_MS_MIN {
        return Criterion { name: NAME, verdict: Verdict::NotExercised, detail };
    }
    Criterion::new(NAME, ours as f64 <= theirs as f64 * FALL_TO, detail)
}
