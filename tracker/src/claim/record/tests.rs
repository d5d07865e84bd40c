use proptest::prelude::*;

use super::*;
use crate::testing::claims::{ISSUE, Scene, agent, record, shard};

fn is_accepted(act: Act) -> bool {
    let record = record(0, act);
    let read = Record::decode(&record.encode(), ISSUE);
    assert!(read.is_none() || read.as_ref() == Some(&record), "read as another record");
    read.is_some()
}

fn hashes(count: usize) -> Vec<RecordHash> {
    let mut hashes: Vec<_> = (0..count).map(|i| RecordHash::of(&i.to_le_bytes())).collect();
    hashes.sort_unstable();
    hashes
}

fn claim_of(worker: &str, ttl_ms: u64) -> Act {
    let claim = Scene::new().new_claim(Origin::First);
    Act::Claim(Claim { worker: worker.to_owned(), ttl_ms, ..claim })
}

fn end_of(how: How, reason: Option<&str>, retry_after_ms: Option<u64>) -> Act {
    let reason = reason.map(str::to_owned);
    Act::End(End { claim: hashes(1)[0], how, reason, retry_after_ms })
}

fn reopen_of(answers: Vec<RecordHash>, reason: Option<&str>) -> Act {
    Act::Reopen(Reopen { answers, reason: reason.map(str::to_owned) })
}

fn ruling_of(answers: Vec<RecordHash>, reason: Option<&str>) -> Act {
    let reason = reason.map(str::to_owned);
    Act::Ruling(Ruling { verdict: Verdict::Done, answers, ends: None, reason })
}

fn handoff_of(json: &str) -> Act {
    end_of(How::HandedOff(json.to_owned()), None, None)
}

/// One record of every kind.
fn samples() -> Vec<Record> {
    let mut scene = Scene::new();
    let first = scene.first(0);
    let taken = scene.take_over(1, first);
    scene.contest(0, taken);
    scene.end(0, first, How::Abandoned { to: taken });
    scene.end(0, taken, How::Forced);
    let end = scene.release(1, taken);
    let after = scene.claim(2, Origin::After { claim: taken, end });
    let handoff = scene.hand_off(2, after);
    let reopen = scene.reopen(&[handoff]);
    scene.rule(Verdict::Duplicate, &[reopen], Some(after));
    scene.add(0, Act::Shard(shard(1, &[3, 2])));
    scene.records
}

#[test]
fn every_kind_of_record_survives_being_written_and_read() {
    for record in samples() {
        assert_eq!(Record::decode(&record.encode(), ISSUE), Some(record));
    }
}

#[test]
fn bytes_left_over_or_missing_are_no_record() {
    for record in samples() {
        let mut bytes = record.encode();
        assert_eq!(Record::decode(&bytes[..bytes.len() - 1], ISSUE), None);
        bytes.push(0);
        assert_eq!(Record::decode(&bytes, ISSUE), None);
    }
}

#[test]
fn another_spelling_of_a_number_is_no_record() {
    let record = record(0, claim_of("w", TTL_MS_MIN));
    let mut bytes = record.encode();
    // A varint may be drawn out by a last byte that adds nothing.
    let last = bytes.pop().expect("the time to live comes last");
    bytes.extend([last | 0x80, 0]);
    let (read, rest) = postcard::take_from_bytes::<Record>(&bytes).unwrap();
    assert!(read == record && rest.is_empty(), "postcard itself takes the longer spelling");
    assert_eq!(Record::decode(&bytes, ISSUE), None);
}

#[test]
fn a_worker_has_a_short_plain_name() {
    let longest = "w".repeat(WORKER_BYTES_MAX);
    assert!(is_accepted(claim_of(&longest, TTL_MS_DEFAULT)));
    for name in ["", " ", "a b", ".w", "w/x", "w\n", &format!("{longest}w")] {
        assert!(!is_accepted(claim_of(name, TTL_MS_DEFAULT)), "{name:?}");
    }
}

#[test]
fn a_time_to_live_has_bounds() {
    let drawn_for = |ttl_ms| Act::Shard(Shard { ttl_ms, ..shard(0, &[0]) });
    for ttl_ms in [TTL_MS_MIN, TTL_MS_DEFAULT, TTL_MS_MAX] {
        assert!(is_accepted(claim_of("w", ttl_ms)) && is_accepted(drawn_for(ttl_ms)));
    }
    for ttl_ms in [0, TTL_MS_MIN - 1, TTL_MS_MAX + 1, u64::MAX] {
        assert!(!is_accepted(claim_of("w", ttl_ms)) && !is_accepted(drawn_for(ttl_ms)));
    }
}

#[test]
fn a_reason_says_something_and_is_no_book() {
    let with = |reason: &str| {
        let drawn = Shard { reason: Some(reason.to_owned()), ..shard(1, &[0]) };
        [
            end_of(How::Released, Some(reason), None),
            reopen_of(hashes(1), Some(reason)),
            ruling_of(Vec::new(), Some(reason)),
            Act::Shard(drawn),
        ]
    };
    let longest = "r".repeat(REASON_BYTES_MAX);
    assert!(with(&longest).into_iter().all(is_accepted));
    for reason in ["", " \n", &format!("{longest}r")] {
        assert!(!with(reason).into_iter().any(is_accepted), "{} bytes", reason.len());
    }
}

#[test]
fn a_release_asks_to_be_waited_for_a_day_at_most() {
    let asks = |ms| is_accepted(end_of(How::Released, None, Some(ms)));
    assert!(asks(0) && asks(RETRY_AFTER_MS_MAX));
    assert!(!asks(RETRY_AFTER_MS_MAX + 1));
}

#[test]
fn answers_are_a_sorted_set_of_bounded_size() {
    for of in [reopen_of, ruling_of] {
        assert!(is_accepted(of(hashes(ANSWERS_MAX), None)));
        assert!(!is_accepted(of(hashes(ANSWERS_MAX + 1), None)));
        let [a, b] = hashes(2)[..] else { unreachable!() };
        assert!(is_accepted(of(vec![a, b], None)));
        assert!(!is_accepted(of(vec![b, a], None)) && !is_accepted(of(vec![a, a], None)));
    }
    assert!(is_accepted(ruling_of(Vec::new(), None)));
    assert!(!is_accepted(reopen_of(Vec::new(), None)), "a reopen answers something");
}

#[test]
fn a_handoff_is_a_compact_json_object() {
    assert!(is_accepted(handoff_of("{}")) && is_accepted(handoff_of(r#"{"summary":"done"}"#)));
    for json in ["", "[]", "1", "{ }", "{} ", " {}", r#"{"a": 1}"#, r#"{"a":1"#, r#"{"a":}"#] {
        assert!(!is_accepted(handoff_of(json)), "{json:?}");
    }
}

#[test]
fn a_record_has_a_largest_size() {
    let padded = |bytes: usize| handoff_of(&format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes)));
    let overhead = record(0, padded(100_000)).encode().len() - 100_000;
    let room = RECORD_BYTES_MAX - overhead;
    assert_eq!(record(0, padded(room)).encode().len(), RECORD_BYTES_MAX);
    assert!(is_accepted(padded(room)));
    assert!(!is_accepted(padded(room + 1)));
}

#[test]
fn a_slate_follows_from_the_agents_that_were_considered() {
    let sound = shard(0, &[4, 2, 9, 0]);
    assert_eq!(sound.slate, [agent(0), agent(2), agent(4)]);
    assert!(is_accepted(Act::Shard(sound.clone())));
    let mut other_order = sound.clone();
    other_order.slate.swap(0, 1);
    let mut too_short = sound.clone();
    too_short.slate.pop();
    let mut too_long = sound.clone();
    too_long.slate.push(agent(9));
    let mut stranger = sound.clone();
    stranger.slate[2] = agent(9);
    let nobody = shard(0, &[]);
    let mut unsorted = sound.clone();
    unsorted.considered.reverse();
    let mut twice = sound;
    twice.considered.push(*twice.considered.last().unwrap());
    for wrong in [other_order, too_short, too_long, stranger, nobody, unsorted, twice] {
        assert!(!is_accepted(Act::Shard(wrong.clone())), "{wrong:?}");
    }
}

#[test]
fn another_issue_has_another_slate() {
    let drawn = record(0, Act::Shard(shard(0, &[0, 1, 2, 3, 4, 5, 6, 7])));
    assert!(Record::decode(&drawn.encode(), ISSUE).is_some());
    assert_eq!(Record::decode(&drawn.encode(), "T-0002"), None);
}

#[test]
fn a_shard_record_lists_so_many_agents_and_heads_at_most() {
    let considering = |count: usize| {
        let agents = (0..count).map(|i| AgentId(*blake3::hash(&i.to_le_bytes()).as_bytes()));
        let mut considered: Vec<_> = agents.collect();
        considered.sort_unstable();
        let slate = slate::draw(ISSUE, &considered);
        Act::Shard(Shard { considered, slate, ..shard(0, &[0]) })
    };
    assert!(is_accepted(considering(CONSIDERED_MAX)));
    assert!(!is_accepted(considering(CONSIDERED_MAX + 1)));
    let heads = |count: usize| {
        let charter = hashes(count).into_iter().map(|hash| StatementHash(hash.0)).collect();
        Act::Shard(Shard { charter, ..shard(0, &[0]) })
    };
    assert!(is_accepted(heads(ANSWERS_MAX)));
    assert!(!is_accepted(heads(ANSWERS_MAX + 1)));
}

#[test]
fn a_slate_drawn_anew_has_a_reason_and_a_first_one_has_none() {
    let drawn = |epoch, reason: Option<&str>| {
        Act::Shard(Shard { reason: reason.map(str::to_owned), ..shard(epoch, &[0]) })
    };
    assert!(is_accepted(drawn(0, None)) && is_accepted(drawn(1, Some("ann left"))));
    assert!(!is_accepted(drawn(0, Some("first"))) && !is_accepted(drawn(1, None)));
}

#[test]
fn only_maintainers_force_reopen_rule_and_reshard() {
    let needs = |act| record(0, act).needs_maintainer();
    assert!(needs(end_of(How::Forced, None, None)));
    assert!(needs(reopen_of(hashes(1), None)) && needs(ruling_of(Vec::new(), None)));
    assert!(needs(Act::Shard(shard(1, &[0]))) && !needs(Act::Shard(shard(0, &[0]))));
    assert!(!needs(claim_of("w", TTL_MS_MIN)) && !needs(handoff_of("{}")));
    assert!(!needs(end_of(How::Released, None, None)));
    assert!(!needs(end_of(How::Abandoned { to: hashes(1)[0] }, None, None)));
    assert!(!needs(Act::Contest { takeover: hashes(1)[0] }));
}

#[test]
fn verdicts_are_the_terminal_states() {
    use crate::state::State;
    for verdict in [Verdict::Done, Verdict::Cancelled, Verdict::Duplicate] {
        assert_eq!(Verdict::of_state(verdict.state()), Some(verdict));
    }
    assert_eq!(Verdict::of_state(State::Todo), None);
    assert_eq!(Verdict::of_state(State::InProgress), None);
}

proptest! {
    #[test]
    fn bytes_that_are_a_record_are_the_only_ones_for_it(
        sample in 0..samples().len(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = samples()[sample].encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let cut = cut.index(2 * bytes.len());
        bytes.truncate(cut.max(1));
        if let Some(record) = Record::decode(&bytes, ISSUE) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(record) = Record::decode(&bytes, ISSUE) {
            prop_assert_eq!(record.encode(), bytes);
        }
    }
}
