//! What a runner decides, event by event.

use super::*;

const TTL_MS: u64 = 40_000;
const DAY_MS: u64 = 86_400_000;

fn plan() -> Plan {
    let backoff =
        Backoff { first_ms: 10_000, most_ms: 300_000, attempts_max: 5, given_up_ms: DAY_MS };
    Plan {
        jobs_max: None,
        parallel_max: 1,
        until_idle: false,
        asks_once: false,
        poll_ms: 5_000,
        timeout_ms: None,
        stops_isolated: false,
        backoff,
    }
}

fn once() -> Plan {
    Plan { jobs_max: Some(1), asks_once: true, ..plan() }
}

fn claim(number: u8) -> RecordHash {
    RecordHash([number; 32])
}

fn claimed(job: Job, failures: u32) -> Event {
    Event::Claimed(Claimed { job, claim: claim(job as u8), ttl_ms: TTL_MS, failures })
}

fn ended(job: Job, exit_code: Option<i32>, signal: Option<i32>, stopped: bool) -> Event {
    Event::Ended(job, Ending { exit_code, signal, stopped, left: 0 })
}

fn done(job: Job, outcome: Outcome) -> Event {
    Event::Settled(job, Settled::Done { outcome, retry_after_ms: None })
}

/// A foreman with a clock.
struct Scene {
    foreman: Foreman,
    now_ms: u64,
}

impl Scene {
    fn of(plan: Plan) -> Self {
        Self { foreman: Foreman::new(plan), now_ms: 1_000 }
    }

    fn hear(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.foreman.handle(self.now_ms, event, &mut effects);
        effects
    }

    /// Lets time go by.
    fn pass(&mut self, ms: u64) -> Vec<Effect> {
        self.now_ms += ms;
        self.hear(Event::Tick)
    }

    /// Begins a job and has its command run.
    fn begin(&mut self, job: Job, failures: u32) {
        self.hear(Event::Tick);
        assert!(self.hear(claimed(job, failures)).contains(&Effect::Start(job)));
        self.hear(Event::Started(job));
    }
}

fn released(effects: &[Effect]) -> (Outcome, String, Option<u64>) {
    match effects {
        [Effect::Settle { act: Act::Release { outcome, reason, retry_after_ms }, .. }] => {
            (*outcome, reason.clone(), *retry_after_ms)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_issue_is_claimed_run_and_handed_off() {
    let mut scene = Scene::of(once());
    assert_eq!(scene.hear(Event::Tick), [Effect::Claim]);
    assert_eq!(scene.hear(Event::Tick), [], "one claim at a time");
    assert_eq!(scene.hear(claimed(1, 0)), [Effect::Start(1)]);
    assert_eq!(scene.hear(Event::Started(1)), []);
    let settle = Effect::Settle { job: 1, act: Act::HandOff, is_last: false };
    assert_eq!(scene.hear(ended(1, Some(0), None, false)), [settle]);
    assert!(!scene.foreman.is_over());
    assert_eq!(scene.hear(done(1, Outcome::HandedOff)), []);
    assert!(scene.foreman.is_over());
    assert_eq!(scene.foreman.verdict(), Verdict::Last(Outcome::HandedOff));
}

#[test]
fn without_a_loop_nothing_ready_is_the_end() {
    let mut scene = Scene::of(once());
    scene.hear(Event::Tick);
    assert_eq!(scene.hear(Event::NothingReady), []);
    assert!(scene.foreman.is_over());
    assert_eq!(scene.foreman.verdict(), Verdict::Nothing);
}

#[test]
fn a_refused_claim_is_the_end() {
    let mut scene = Scene::of(plan());
    scene.hear(Event::Tick);
    scene.hear(Event::ClaimRefused);
    assert!(scene.foreman.is_over());
    assert_eq!(scene.foreman.verdict(), Verdict::Refused);
}

#[test]
fn a_failure_releases_with_its_reason_and_a_growing_delay() {
    for (failures, delay_ms) in [(0, 10_000), (1, 20_000), (3, 80_000), (4, DAY_MS)] {
        let mut scene = Scene::of(once());
        scene.begin(1, failures);
        let effects = scene.hear(ended(1, Some(3), None, false));
        let expected = (Outcome::Failed, "exit code 3".to_owned(), Some(delay_ms));
        assert_eq!(released(&effects), expected);
    }
    let mut scene = Scene::of(once());
    scene.begin(1, 0);
    let (_, reason, _) = released(&scene.hear(ended(1, None, Some(11), false)));
    assert_eq!(reason, "killed by SIGSEGV");
}

#[test]
fn beats_leave_every_quarter_of_the_time_to_live_for_all_claims_together() {
    let mut scene = Scene::of(Plan { parallel_max: 2, ..plan() });
    scene.begin(1, 0);
    scene.pass(3_000);
    scene.begin(2, 0);
    assert_eq!(scene.pass(6_999), []);
    assert_eq!(scene.pass(1), [Effect::Beat(vec![1, 2])]);
    assert_eq!(scene.pass(60_000), [], "one beat at a time");
    let kept = Event::Beaten(vec![(1, Beat::Kept(claim(9))), (2, Beat::Kept(claim(2)))]);
    assert_eq!(scene.hear(kept), []);
    assert_eq!(scene.foreman.claim_of(1), Some(claim(9)), "a renewed claim counts");
    assert_eq!(scene.foreman.due_ms(), Some(scene.now_ms + TTL_MS / 4));
}

#[test]
fn a_beat_that_could_not_be_written_is_tried_again_soon() {
    let mut scene = Scene::of(once());
    scene.begin(1, 0);
    assert_eq!(scene.pass(10_000), [Effect::Beat(vec![1])]);
    assert_eq!(scene.hear(Event::Beaten(vec![(1, Beat::Later)])), []);
    assert_eq!(scene.pass(TTL_MS / 16), [Effect::Beat(vec![1])]);
}

#[test]
fn a_lost_claim_stops_the_command_and_is_abandoned_even_after_exit_0() {
    let mut scene = Scene::of(once());
    scene.begin(1, 0);
    scene.pass(10_000);
    let lost = Event::Beaten(vec![(1, Beat::Lost("taken over".to_owned()))]);
    assert_eq!(scene.hear(lost), [Effect::Stop { job: 1, at_once: false }]);
    assert_eq!(scene.pass(TTL_MS), [], "no beats for what is lost");
    let act = Act::Abandon { why: "taken over".to_owned() };
    let settle = Effect::Settle { job: 1, act, is_last: false };
    assert_eq!(scene.hear(ended(1, Some(0), None, false)), [settle]);
}

#[test]
fn a_command_that_settled_its_claim_itself_is_left_to_its_end() {
    let mut scene = Scene::of(once());
    scene.begin(1, 0);
    scene.pass(10_000);
    assert_eq!(scene.hear(Event::Beaten(vec![(1, Beat::Settled)])), []);
    assert_eq!(scene.pass(TTL_MS), []);
    let settle = Effect::Settle { job: 1, act: Act::Leave, is_last: false };
    assert_eq!(scene.hear(ended(1, Some(1), None, false)), [settle]);
}

#[test]
fn a_command_that_takes_too_long_is_stopped_once() {
    let mut scene = Scene::of(Plan { timeout_ms: Some(9_000), ..once() });
    scene.begin(1, 0);
    assert_eq!(scene.foreman.due_ms(), Some(scene.now_ms + 9_000));
    assert_eq!(scene.pass(8_999), []);
    assert_eq!(scene.pass(1), [Effect::Stop { job: 1, at_once: false }]);
    assert_eq!(scene.pass(10), []);
    let effects = scene.hear(ended(1, None, Some(15), true));
    let expected = (Outcome::TimedOut, "timed out after 9 s".to_owned(), Some(10_000));
    assert_eq!(released(&effects), expected);
}

#[test]
fn work_that_ended_before_the_order_reached_it_is_not_thrown_away() {
    let mut scene = Scene::of(once());
    scene.begin(1, 0);
    scene.hear(Event::Interrupted { by_hand: true });
    let settle = Effect::Settle { job: 1, act: Act::HandOff, is_last: false };
    assert_eq!(scene.hear(ended(1, Some(0), None, false)), [settle]);
}

#[test]
fn an_interrupt_stops_everything_and_a_second_one_at_once() {
    let mut scene = Scene::of(Plan { parallel_max: 2, ..plan() });
    scene.begin(1, 0);
    scene.begin(2, 0);
    let stop = |job, at_once| Effect::Stop { job, at_once };
    assert_eq!(scene.hear(Event::Interrupted { by_hand: true }), [stop(1, false), stop(2, false)]);
    assert_eq!(scene.hear(Event::Interrupted { by_hand: true }), [stop(1, true), stop(2, true)]);
    for job in [1, 2] {
        let effects = scene.hear(ended(job, None, Some(9), true));
        let expected = (Outcome::Interrupted, "interrupted".to_owned(), None);
        assert_eq!(released(&effects), expected);
        assert!(!scene.foreman.is_over());
        assert_eq!(scene.hear(done(job, Outcome::Interrupted)), [], "nothing new is claimed");
    }
    assert!(scene.foreman.is_over());
}

#[test]
fn the_signals_at_the_end_of_a_session_are_one_wish() {
    let mut scene = Scene::of(plan());
    scene.begin(1, 0);
    let end = || Event::Interrupted { by_hand: false };
    assert_eq!(scene.hear(end()), [Effect::Stop { job: 1, at_once: false }]);
    scene.now_ms += 999;
    assert_eq!(scene.hear(end()), []);
    scene.now_ms += 1;
    assert_eq!(scene.hear(end()), [Effect::Stop { job: 1, at_once: true }]);
}

#[test]
fn a_claim_that_was_under_way_when_all_was_stopped_is_given_back() {
    let mut scene = Scene::of(plan());
    assert_eq!(scene.hear(Event::Tick), [Effect::Claim]);
    scene.hear(Event::Interrupted { by_hand: true });
    assert!(!scene.foreman.is_over(), "the answer is still to come");
    let (outcome, ..) = released(&scene.hear(claimed(1, 0)));
    assert_eq!(outcome, Outcome::Interrupted);
}

fn not_started(why: &str, is_final: bool) -> Event {
    Event::NotStarted { job: 1, why: why.to_owned(), is_final }
}

#[test]
fn a_job_that_cannot_begin_for_its_own_reasons_leaves_the_others_alone() {
    let mut scene = Scene::of(plan());
    scene.hear(Event::Tick);
    scene.hear(claimed(1, 1));
    let effects = scene.hear(not_started("too many open files", false));
    let expected = (Outcome::Failed, "too many open files".to_owned(), Some(20_000));
    assert_eq!(released(&effects), expected);
    assert_eq!(scene.hear(done(1, Outcome::Failed)), [Effect::Claim]);
    let mut scene = Scene::of(plan());
    scene.hear(Event::Tick);
    scene.hear(claimed(1, 0));
    scene.hear(Event::Interrupted { by_hand: true });
    let (outcome, ..) = released(&scene.hear(not_started("the keeper was interrupted", false)));
    assert_eq!(outcome, Outcome::Interrupted);
}

#[test]
fn who_interrupts_before_anything_was_found_is_not_told_that_nothing_is_ready() {
    let mut scene = Scene::of(once());
    scene.hear(Event::Tick);
    scene.hear(Event::Interrupted { by_hand: true });
    scene.hear(Event::NothingReady);
    assert!(scene.foreman.is_over());
    assert_eq!(scene.foreman.verdict(), Verdict::Last(Outcome::Interrupted));
}

#[test]
fn an_interrupt_cuts_the_wait_for_what_could_not_be_stored_short() {
    let mut scene = Scene::of(once());
    scene.begin(1, 0);
    scene.hear(ended(1, Some(0), None, false));
    scene.hear(Event::Settled(1, Settled::Later));
    let settle = Effect::Settle { job: 1, act: Act::HandOff, is_last: false };
    assert_eq!(scene.hear(Event::Interrupted { by_hand: false }), [settle]);
}

#[test]
fn what_could_not_be_stored_is_not_forgotten_over_what_could() {
    let mut scene = Scene::of(plan());
    for (job, outcome) in [(1, Outcome::Unrecorded), (2, Outcome::HandedOff)] {
        scene.begin(job, 0);
        scene.hear(ended(job, Some(0), None, false));
        scene.hear(done(job, outcome));
    }
    assert_eq!(scene.foreman.verdict(), Verdict::Last(Outcome::Unrecorded));
}

#[test]
fn times_beyond_all_measure_do_not_overflow() {
    let endless = Plan { timeout_ms: Some(u64::MAX), poll_ms: u64::MAX, ..plan() };
    let mut scene = Scene::of(endless);
    scene.hear(Event::Tick);
    scene.hear(Event::ClaimLater);
    scene.hear(Event::NothingReady);
    scene.hear(claimed(1, 0));
    scene.hear(Event::Started(1));
    assert_eq!(scene.foreman.due_ms(), Some(scene.now_ms + TTL_MS / 4));
}

#[test]
fn a_command_that_cannot_be_started_ends_the_loop_without_a_delay_for_the_issue() {
    let mut scene = Scene::of(plan());
    scene.hear(Event::Tick);
    scene.hear(claimed(1, 0));
    let effects = scene.hear(not_started("no such file", true));
    let (outcome, reason, delay_ms) = released(&effects);
    assert_eq!((outcome, delay_ms), (Outcome::Failed, None));
    assert!(reason.contains("no such file"));
    assert_eq!(scene.hear(done(1, Outcome::Failed)), []);
    assert!(scene.foreman.is_over());
}

#[test]
fn a_loop_asks_again_after_a_while_and_at_once_when_a_job_is_over() {
    let mut scene = Scene::of(Plan { parallel_max: 2, ..plan() });
    scene.begin(1, 0);
    assert_eq!(scene.hear(Event::NothingReady), []);
    assert_eq!(scene.pass(4_999), []);
    assert_eq!(scene.pass(1), [Effect::Claim]);
    assert_eq!(scene.hear(Event::NothingReady), []);
    let effects = scene.hear(ended(1, Some(0), None, false));
    assert!(effects.contains(&Effect::Claim), "{effects:?}");
}

#[test]
fn no_more_run_at_a_time_and_in_all_than_was_asked_for() {
    let mut scene = Scene::of(Plan { parallel_max: 2, jobs_max: Some(3), ..plan() });
    scene.begin(1, 0);
    assert_eq!(scene.hear(claimed(2, 0)), [Effect::Start(2)]);
    assert_eq!(scene.pass(1), []);
    scene.hear(ended(1, Some(0), None, false));
    assert_eq!(scene.hear(done(1, Outcome::HandedOff)), [Effect::Claim]);
    assert_eq!(scene.hear(claimed(3, 0)), [Effect::Start(3)]);
    for job in [2, 3] {
        scene.hear(ended(job, Some(0), None, false));
        assert_eq!(scene.hear(done(job, Outcome::HandedOff)), []);
    }
    assert!(scene.foreman.is_over());
}

#[test]
fn a_loop_until_idle_waits_for_what_rests_and_no_longer() {
    let mut scene = Scene::of(Plan { until_idle: true, ..plan() });
    scene.begin(1, 0);
    scene.hear(ended(1, Some(1), None, false));
    let rests = Settled::Done { outcome: Outcome::Failed, retry_after_ms: Some(3_000) };
    assert_eq!(scene.hear(Event::Settled(1, rests)), [Effect::Claim]);
    assert_eq!(scene.hear(Event::NothingReady), []);
    assert!(!scene.foreman.is_over());
    assert_eq!(scene.pass(3_000 + REST_SLACK_MS), [Effect::Claim], "sooner than the next poll");
    scene.hear(claimed(2, 4));
    let given_up = Settled::Done { outcome: Outcome::Failed, retry_after_ms: Some(DAY_MS) };
    scene.hear(ended(2, Some(1), None, false));
    assert_eq!(scene.hear(Event::Settled(2, given_up)), [Effect::Claim]);
    scene.hear(Event::NothingReady);
    assert!(scene.foreman.is_over());
}

#[test]
fn an_answer_from_before_the_end_of_a_rest_does_not_end_the_loop() {
    let mut scene = Scene::of(Plan { until_idle: true, ..plan() });
    scene.begin(1, 0);
    scene.hear(ended(1, Some(1), None, false));
    let rests = Settled::Done { outcome: Outcome::Failed, retry_after_ms: Some(1) };
    assert_eq!(scene.hear(Event::Settled(1, rests)), [Effect::Claim]);
    scene.now_ms += 1_000;
    assert_eq!(scene.hear(Event::NothingReady), [Effect::Claim]);
    assert!(!scene.foreman.is_over());
    scene.hear(Event::NothingReady);
    assert!(scene.foreman.is_over());
}

#[test]
fn a_loop_until_idle_does_not_end_before_its_jobs() {
    let mut scene = Scene::of(Plan { until_idle: true, parallel_max: 2, ..plan() });
    scene.begin(1, 0);
    scene.hear(Event::NothingReady);
    assert!(!scene.foreman.is_over());
    scene.hear(ended(1, Some(0), None, false));
    scene.hear(Event::NothingReady);
    scene.hear(done(1, Outcome::HandedOff));
    assert!(!scene.foreman.is_over(), "what the job made ready is still to be seen");
    scene.hear(Event::NothingReady);
    assert!(scene.foreman.is_over());
}

#[test]
fn what_could_not_be_stored_is_tried_again_and_given_up_at_last() {
    let mut scene = Scene::of(once());
    scene.begin(1, 0);
    scene.hear(ended(1, Some(0), None, false));
    let mut tries = 1;
    loop {
        assert_eq!(scene.hear(Event::Settled(1, Settled::Later)), []);
        let due_ms = scene.foreman.due_ms().unwrap();
        assert!(due_ms - scene.now_ms <= SETTLE_PAUSE_MS_MAX);
        let wait_ms = due_ms - scene.now_ms;
        let effects = scene.pass(wait_ms);
        tries += 1;
        let [Effect::Settle { is_last, act: Act::HandOff, .. }] = effects[..] else {
            panic!("{effects:?}")
        };
        if is_last {
            break;
        }
    }
    assert_eq!(tries, SETTLE_TRIES_MAX);
    scene.hear(done(1, Outcome::Unrecorded));
    assert!(scene.foreman.is_over());
}

#[test]
fn in_isolation_a_command_goes_on_or_is_stopped_as_was_wanted() {
    let mut scene = Scene::of(plan());
    scene.begin(1, 0);
    let isolated = || Event::Beaten(vec![(1, Beat::Isolated(claim(9)))]);
    assert_eq!(scene.hear(isolated()), []);
    assert_eq!(scene.foreman.claim_of(1), Some(claim(9)), "it may have been renewed");
    let mut scene = Scene::of(Plan { stops_isolated: true, ..plan() });
    scene.begin(1, 0);
    assert_eq!(scene.hear(isolated()), [Effect::Stop { job: 1, at_once: false }]);
    assert_eq!(scene.hear(isolated()), [], "it is told once");
    let effects = scene.hear(ended(1, None, Some(15), true));
    let reason = "no other member was heard".to_owned();
    assert_eq!(released(&effects), (Outcome::Isolated, reason, None));
    // The next is not claimed until it would show whether others are heard.
    assert_eq!(scene.hear(done(1, Outcome::Isolated)), []);
    assert_eq!(scene.pass(TTL_MS - 1), []);
    assert_eq!(scene.pass(1), [Effect::Claim]);
}

#[test]
fn without_a_node_a_command_is_stopped_once_others_may_have_taken_the_issue_over() {
    let untold = || Event::Beaten(vec![(1, Beat::Untold(claim(1)))]);
    let beaten_at = |scene: &mut Scene, ms: u64, event: Event| {
        let effects = scene.pass(ms);
        assert!(matches!(effects[..], [] | [Effect::Beat(_)]), "{effects:?}");
        scene.hear(event)
    };
    let mut scene = Scene::of(Plan { stops_isolated: true, ..plan() });
    scene.begin(1, 0);
    let kept = Event::Beaten(vec![(1, Beat::Kept(claim(1)))]);
    assert_eq!(beaten_at(&mut scene, TTL_MS / 4, kept), [], "a node told others");
    for _ in 0..3 {
        assert_eq!(beaten_at(&mut scene, TTL_MS / 4, untold()), []);
    }
    let stop = Effect::Stop { job: 1, at_once: false };
    assert_eq!(beaten_at(&mut scene, TTL_MS / 4, untold()), [stop]);
    let mut scene = Scene::of(plan());
    scene.begin(1, 0);
    assert_eq!(beaten_at(&mut scene, TTL_MS * 2, untold()), [], "it goes on where that is wanted");
}

#[test]
fn a_claim_that_lives_for_long_is_beaten_often_enough_to_hear_that_it_is_lost() {
    let mut scene = Scene::of(plan());
    scene.hear(Event::Tick);
    let long = Claimed { job: 1, claim: claim(1), ttl_ms: 3_600_000, failures: 0 };
    scene.hear(Event::Claimed(long));
    scene.hear(Event::Started(1));
    assert_eq!(scene.pass(BEAT_MS_MAX - 1), []);
    assert_eq!(scene.pass(1), [Effect::Beat(vec![1])]);
}

#[test]
fn a_race_that_was_lost_at_once_leads_to_the_next_issue_without_a_pause() {
    let mut scene = Scene::of(plan());
    assert_eq!(scene.hear(Event::Tick), [Effect::Claim]);
    assert_eq!(scene.hear(Event::ClaimLost), [Effect::Claim]);
}
