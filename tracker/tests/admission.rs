//! Changes that a member must not make: each is refused without a trace, and the next good one is
//! taken. One test for each way in.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "admission/forge.rs"]
mod forge;
mod support;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType, SortedVec};
use automerge::{Change, ExpandedChange, ObjType, ScalarValue};
use forge::{FIELDS, Forge, genesis_actor, map_of, operation, put};
use std::num::NonZeroU64;
use x0x_tracker::claim::record::{Act, Claim, End, How, Origin, Record, Ruling, Shard, Verdict};
use x0x_tracker::document::Birth;
use x0x_tracker::id::{AgentId, RecordHash};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::journal::commit::Entry;
use x0x_tracker::testing;

fn text(text: &str) -> ScalarValue {
    ScalarValue::Str(text.into())
}

fn bytes_of(change: ExpandedChange) -> Vec<u8> {
    Change::from(change).raw_bytes().to_vec()
}

/// The key of an element or a record.
fn key() -> String {
    "0123456789abcdef".repeat(2)
}

#[test]
fn a_change_whose_checksum_is_wrong_is_refused() {
    let mut forge = Forge::new();
    let mut bytes = bytes_of(forge.change(vec![forge.good_op()]));
    bytes[4] ^= 1;
    forge.sees_refused_bytes(&bytes, "its checksum is wrong");
}

#[test]
fn a_compressed_change_is_refused() {
    let mut forge = Forge::new();
    let long = put(forge.map(FIELDS), "note", text(&"x".repeat(1_000)));
    let mut change = Change::from(forge.change(vec![long]));
    assert_eq!(change.bytes()[8], 2, "it is compressed");
    let bytes = change.bytes().to_vec();
    forge.sees_refused_bytes(&bytes, "it is not one uncompressed change");
}

#[test]
fn what_follows_a_change_is_refused() {
    let mut forge = Forge::new();
    let mut bytes = bytes_of(forge.change(vec![forge.good_op()]));
    bytes.push(0);
    forge.sees_refused_bytes(&bytes, "it is not one uncompressed change");
    let two = bytes_of(forge.change(vec![forge.good_op()])).repeat(2);
    forge.sees_refused_bytes(&two, "it is not one uncompressed change");
}

#[test]
fn another_actor_than_the_log_is_refused() {
    let mut forge = Forge::new();
    let nobody: &[u8] = &[7; 40];
    let log = forge.log.to_bytes();
    let long_prefix = [&[0x13, 0xb2, 0x23, 0x09, 0, 0, 0, 0, 0, 0][..], &log].concat();
    let log_first = [&log[..], &[0]].concat();
    for actor in [nobody, &[], &log[1..], &long_prefix, &log_first] {
        let mut change = forge.change(vec![forge.good_op()]);
        change.actor_id = automerge::ActorId::from(actor);
        forge.sees_refused(change, "its actor is not the log");
    }
}

#[test]
fn a_genesis_that_says_something_else_is_refused() {
    let mut forge = Forge::new();
    let id = put(ObjectId::Root, "id", text("A-666"));
    let mut change = forge.change(vec![id]);
    change.actor_id = genesis_actor(&forge.birth);
    change.deps.clear();
    change.start_op = NonZeroU64::MIN;
    forge.sees_refused(change.clone(), "its actor is not the log");
    change.actor_id = forge.actor();
    forge.sees_refused(change, "is not listed in order");
}

#[test]
fn writing_to_the_root_is_refused() {
    let mut forge = Forge::new();
    let mut overwritten = put(ObjectId::Root, FIELDS, ScalarValue::Null);
    let ObjectId::Id(fields) = forge.map(FIELDS) else { unreachable!() };
    overwritten.pred = SortedVec::from(vec![fields]);
    let mut deleted = overwritten.clone();
    deleted.action = OpType::Delete;
    let added = put(ObjectId::Root, "new", ScalarValue::Null);
    for op in [overwritten, deleted, added] {
        forge.sees_refused(forge.change(vec![forge.good_op(), op]), "it writes to the root");
    }
}

#[test]
fn a_map_of_another_document_or_of_nobody_is_refused() {
    let mut forge = Forge::new();
    let other = Birth { id: "A-2".to_owned(), ..forge.birth.clone() };
    let mine = ObjectId::Id(OpId(3, forge.actor()));
    let ObjectId::Id(OpId(last, genesis)) = forge.map("records") else { unreachable!() };
    let beyond = ObjectId::Id(OpId(last + 1, genesis));
    for obj in [map_of(&other, FIELDS), mine, beyond] {
        let change = forge.change(vec![put(obj, "note", text("x"))]);
        forge.sees_refused(change, "to an object that genesis did not make");
    }
}

#[test]
fn nested_objects_are_refused() {
    let mut forge = Forge::new();
    for kind in [ObjType::Map, ObjType::List, ObjType::Text, ObjType::Table] {
        for (map, key) in [(FIELDS, "note".to_owned()), ("labels", key()), ("records", key())] {
            let make = operation(forge.map(map), &key, OpType::Make(kind));
            forge.sees_refused(forge.change(vec![make]), "other than putting a scalar");
        }
    }
}

#[test]
fn counters_and_increments_are_refused() {
    let mut forge = Forge::new();
    let counter = put(forge.map(FIELDS), "note", ScalarValue::counter(1));
    forge.sees_refused(forge.change(vec![counter]), "a value that no edit writes");
    let increment = operation(forge.map(FIELDS), "still", OpType::Increment(1));
    forge.sees_refused(forge.change(vec![increment]), "other than putting a scalar");
}

#[test]
fn list_operations_are_refused() {
    let mut forge = Forge::new();
    let head = Key::Seq(ElementId::Head);
    for (key, insert) in [(head.clone(), true), (head, false), (Key::Map("note".into()), true)] {
        let op = Op { key, insert, ..forge.good_op() };
        forge.sees_refused(forge.change(vec![op]), "it treats a map as a list");
    }
}

#[test]
fn values_that_no_edit_writes_are_refused() {
    let mut forge = Forge::new();
    let fields = [
        ScalarValue::Uint(1),
        ScalarValue::F64(1.0),
        ScalarValue::Timestamp(1),
        ScalarValue::Unknown { type_code: 15, bytes: vec![1] },
        ScalarValue::Bytes(b"[1,".to_vec()),
        ScalarValue::Bytes(b"[1, 2]".to_vec()),
        ScalarValue::Bytes(vec![0xff]),
        ScalarValue::Bytes("[".repeat(10_000).into_bytes()),
        text(&"x".repeat(600 << 10)),
    ];
    for value in fields {
        let op = put(forge.map(FIELDS), "note", value);
        forge.sees_refused(forge.change(vec![op]), "a value that no edit writes");
    }
    let order = "7f".repeat(3_000) + "80";
    let long = format!("80 \"{}\"", "x".repeat(600 << 10));
    for (key, value) in [
        (key(), "80".to_owned()),
        (key(), "80 [1".to_owned()),
        (key(), "xx \"a\"".to_owned()),
        (key(), format!("{order} \"a\"")),
        (key(), long),
        (key() + "~", order),
        (key() + "~", "80 \"a\"".to_owned()),
        ("note".to_owned(), "80 \"a\"".to_owned()),
        ("note~".to_owned(), "-".to_owned()),
        (key().to_uppercase(), "80 \"a\"".to_owned()),
    ] {
        let op = put(forge.map("labels"), &key, text(&value));
        forge.sees_refused(forge.change(vec![op]), "a value that no edit writes");
    }
}

#[test]
fn names_that_no_field_has_are_refused() {
    let mut forge = Forge::new();
    for name in ["", "id", "created_at", "_version", &"x".repeat(257)] {
        let op = put(forge.map(FIELDS), name, text("x"));
        forge.sees_refused(forge.change(vec![op]), "a value that no edit writes");
    }
}

#[test]
fn an_issue_keeps_a_title() {
    let mut forge = Forge::new();
    for title in [ScalarValue::Null, text(""), text(" \n"), text(&"x".repeat(1_025))] {
        let op = put(forge.map(FIELDS), "title", title);
        forge.sees_refused(forge.change(vec![op]), "a value that no edit writes");
    }
    let mut op = operation(forge.map(FIELDS), "title", OpType::Delete);
    op.pred = SortedVec::from(forge.standing(FIELDS, "title"));
    forge.sees_refused(forge.change(vec![op]), "it takes the title away");
}

#[test]
fn a_key_that_is_written_twice_is_refused() {
    let mut forge = Forge::new();
    let twice = vec![forge.good_op(), forge.good_op()];
    forge.sees_refused(forge.change(twice), "it writes a key twice");
}

#[test]
fn a_record_is_neither_overwritten_nor_deleted() {
    let mut forge = Forge::new();
    let ruling = ruling(forge.log.agent);
    let added = put_record(&forge, &ruling);
    forge.take(forge.change(vec![added.clone()]));
    let [standing] = forge.standing("records", &ruling.key()).try_into().unwrap();
    let mut overwritten = added;
    overwritten.pred = SortedVec::from(vec![standing.clone()]);
    let mut deleted = overwritten.clone();
    deleted.action = OpType::Delete;
    let unseen = operation(forge.map("records"), &ruling.key(), OpType::Delete);
    for op in [overwritten, deleted, unseen] {
        forge.sees_refused(forge.change(vec![op]), "it overwrites or deletes a record");
    }
    // Automerge goes by the number of an operation: any key could replace the record's value.
    for (map, key) in [(FIELDS, "note".to_owned()), ("labels", key() + "~")] {
        let value = if map == FIELDS { text("x") } else { text("-") };
        let mut op = put(forge.map(map), &key, value);
        op.pred = SortedVec::from(vec![standing.clone()]);
        forge.sees_refused(forge.change(vec![op.clone()]), "what its key did not hold");
        op.action = OpType::Delete;
        forge.sees_refused(forge.change(vec![op]), "what its key did not hold");
    }
    assert_eq!(forge.standing("records", &ruling.key()), [standing]);
}

#[test]
fn what_is_no_record_of_its_author_is_refused() {
    let mut forge = Forge::new();
    let own = ruling(forge.log.agent);
    let of_another = ruling(AgentId([5; 32]));
    let mut longer = own.encode();
    longer.push(0);
    let records = || forge.map("records");
    let ops = [
        put(records(), &own.key(), text("claim")),
        put(records(), &key(), ScalarValue::Bytes(own.encode())),
        put(records(), &own.key(), ScalarValue::Bytes(longer)),
        put(records(), &of_another.key(), ScalarValue::Bytes(of_another.encode())),
    ];
    for op in ops {
        forge.sees_refused(forge.change(vec![op]), "it adds what is no record of its author");
    }
}

#[test]
fn a_record_that_does_not_fit_what_its_author_knew_is_refused() {
    let mut forge = Forge::new();
    let end =
        End { claim: RecordHash([7; 32]), how: How::Released, reason: None, retry_after_ms: None };
    let end = Record { act: Act::End(end), ..ruling(forge.log.agent) };
    forge.sees_refused(forge.change(vec![put_record(&forge, &end)]), "it ends what is no claim");
}

fn ruling(by: AgentId) -> Record {
    let verdict = Verdict::Done;
    let ruling = Ruling { verdict, answers: Vec::new(), ends: None, reason: None };
    Record { by, at: testing::START, act: Act::Ruling(ruling) }
}

fn put_record(forge: &Forge, record: &Record) -> Op {
    put(forge.map("records"), &record.key(), ScalarValue::Bytes(record.encode()))
}

#[test]
fn what_a_key_did_not_hold_is_not_replaced() {
    let mut forge = Forge::new();
    let ObjectId::Id(map) = forge.map("labels") else { unreachable!() };
    let [title] = forge.standing(FIELDS, "title").try_into().unwrap();
    let later = OpId(4_000, forge.actor());
    for replaced in [map, title, later] {
        let mut op = forge.good_op();
        op.pred = SortedVec::from(vec![replaced]);
        forge.sees_refused(forge.change(vec![op]), "what its key did not hold");
    }
}

#[test]
fn a_second_change_with_the_number_of_another_is_refused() {
    let mut forge = Forge::new();
    let first = forge.change(vec![forge.good_op()]);
    forge.take(first.clone());
    let mut other = forge.change(vec![put(forge.map(FIELDS), "note", text("other"))]);
    other.seq = first.seq;
    let reason = "it does not continue its actor's changes";
    forge.sees_refused(other, reason);
    // Beside the first, as if it had not been written.
    let mut beside = first;
    beside.operations = vec![put(forge.map(FIELDS), "note", text("beside"))];
    forge.sees_refused(beside.clone(), reason);
    beside.seq = forge.change(Vec::new()).seq;
    forge.sees_refused(beside, reason);
}

#[test]
fn a_number_that_leaves_a_gap_is_refused() {
    let mut forge = Forge::new();
    for ahead in [1, 2, u64::from(u32::MAX), u64::MAX / 2] {
        let mut change = forge.change(vec![forge.good_op()]);
        change.seq += ahead;
        forge.sees_refused(change, "it does not continue its actor's changes");
    }
    let mut zero = forge.change(vec![forge.good_op()]);
    zero.seq = 0;
    forge.sees_refused(zero, "it does not continue its actor's changes");
}

#[test]
fn operations_that_use_up_the_numbers_are_refused() {
    let mut forge = Forge::new();
    let reason = "its operations are numbered past what they build on";
    for start in [1, 5, 2_000_000, u64::from(u32::MAX)] {
        let mut change = forge.change(vec![forge.good_op()]);
        change.start_op = NonZeroU64::new(start).unwrap();
        forge.sees_refused(change, reason);
    }
    let mut change = forge.change(vec![forge.good_op()]);
    change.start_op = NonZeroU64::new(u64::from(u32::MAX) + 1).unwrap();
    forge.sees_refused(change, "its bytes are malformed");
}

#[test]
fn a_change_that_builds_on_what_is_not_here_waits_outside_the_document() {
    let mut forge = Forge::new();
    let mut orphan = forge.change(vec![forge.good_op()]);
    orphan.deps = vec![automerge::ChangeHash([9; 32])];
    forge.sees_refused(orphan.clone(), "needs changes that are not here yet");
    orphan.deps.extend(forge.change(Vec::new()).deps);
    forge.sees_refused(orphan, "needs changes that are not here yet");
}

#[test]
fn dependencies_that_repeat_or_are_lacking_are_refused() {
    let mut forge = Forge::new();
    let reason = "what it depends on is not listed in order";
    let mut twice = forge.change(vec![forge.good_op()]);
    twice.deps.push(twice.deps[0]);
    forge.sees_refused(twice, reason);
    let mut none = forge.change(vec![forge.good_op()]);
    none.deps.clear();
    forge.sees_refused(none, reason);
}

#[test]
fn what_a_change_carries_besides_operations_is_refused() {
    let mut forge = Forge::new();
    let mut message = forge.change(vec![forge.good_op()]);
    message.message = Some("hello".to_owned());
    let mut extra = forge.change(vec![forge.good_op()]);
    extra.extra_bytes = vec![0; 9];
    for change in [message, extra] {
        forge.sees_refused(change, "it carries more than operations");
    }
    forge.sees_refused(forge.change(Vec::new()), "it holds no operations");
    for time in [i64::MIN, i64::MAX, 253_402_300_800] {
        let mut change = forge.change(vec![forge.good_op()]);
        change.time = time;
        forge.sees_refused(change, "its time is out of range");
    }
}

#[test]
fn a_document_without_a_change_or_a_usable_name_is_not_made() {
    let mut forge = Forge::new();
    let empty = Entry { birth: forge.birth.clone(), changes: Vec::new() };
    forge.sees_refused_entry(empty, "it comes without a change");
    for (id, created_at) in [
        ("a\nb".to_owned(), None),
        ("x".repeat(257), None),
        (" ".to_owned(), None),
        ("A-2".to_owned(), Some("2026".to_owned() + &" ".repeat(2))),
        ("A-2".to_owned(), Some("\"".to_owned())),
        ("A-2".to_owned(), Some("1".repeat(257))),
    ] {
        let birth = Birth { id, created_at };
        for changes in [Vec::new(), vec![bytes_of(forge.change(vec![forge.good_op()]))]] {
            let entry = Entry { birth: birth.clone(), changes };
            forge.sees_refused_entry(entry, "its document cannot be named so");
        }
    }
}

#[test]
fn a_change_that_is_here_already_is_refused() {
    let mut forge = Forge::new();
    let change = forge.change(vec![forge.good_op()]);
    forge.take(change.clone());
    forge.sees_refused(change, "it is here already");
}

#[test]
fn what_members_write_is_taken() {
    let mut forge = Forge::new();
    let mut title = put(forge.map(FIELDS), "title", text("theirs"));
    title.pred = SortedVec::from(forge.standing(FIELDS, "title"));
    let label = put(forge.map("labels"), &key(), text("80 \"theirs\""));
    forge.take(forge.change(vec![title, label, forge.good_op()]));
    assert_eq!(forge.victim.field("A-1", "title"), "theirs");
    assert_eq!(forge.victim.field("A-1", "note"), "good");
    assert_eq!(forge.victim.field("A-1", "labels").as_array().unwrap().len(), 3);
}

/// Writes the stored state.
fn put_state(forge: &Forge, state: &str) -> Op {
    let mut op = put(forge.map(FIELDS), "state", text(state));
    op.pred = SortedVec::from(forge.standing(FIELDS, "state"));
    op
}

#[test]
fn a_worker_neither_ends_an_issue_nor_opens_one_by_its_stored_state() {
    let refused = "has no role in this list that allows it";
    let mut forge = Forge::in_role(Role::Worker, "\"todo\"");
    for state in ["done", " Cancelled", "duplicate"] {
        forge.sees_refused(forge.change(vec![put_state(&forge, state)]), refused);
    }
    forge.take(forge.change(vec![put_state(&forge, "blocked")]));
    let mut over = Forge::in_role(Role::Worker, "\"done\"");
    over.sees_refused(over.change(vec![put_state(&over, "todo")]), refused);
    let mut taken_out = put_state(&over, "");
    taken_out.action = OpType::Delete;
    over.sees_refused(over.change(vec![taken_out]), refused);
    for (mut forge, state) in
        [(Forge::new(), "done"), (Forge::in_role(Role::Maintainer, "\"done\""), "todo")]
    {
        forge.take(forge.change(vec![put_state(&forge, state)]));
    }
}

#[test]
fn of_two_commits_that_carry_one_claim_the_smaller_hash_proves_it() {
    for nonce in 10..14 {
        let mut forge = Forge::new();
        let agent = forge.log.agent;
        let record = |act| Record { by: agent, at: testing::START, act };
        let shard = record(Act::Shard(Shard {
            epoch: 0,
            charter: Vec::new(),
            considered: vec![agent],
            slate: vec![agent],
            ttl_ms: 5_000,
            reason: None,
        }));
        let claim = record(Act::Claim(Claim {
            worker: "w".to_owned(),
            nonce: [nonce; 16],
            shard: shard.hash(),
            origin: Origin::First,
            ttl_ms: 5_000,
        }));
        let change = |forge: &Forge| {
            forge.change(vec![put_record(forge, &shard), put_record(forge, &claim)])
        };
        let first = change(&forge);
        let earlier_log = forge.log.nonce;
        forge.turn_to_log([nonce; 8]);
        let second = bytes_of(change(&forge));
        forge.offer(&second).unwrap();
        let of_second = forge.turn_to_log(earlier_log).unwrap();
        forge.offer(&bytes_of(first)).unwrap();
        let of_first = forge.turn_to_log(earlier_log).unwrap();
        let smaller = of_first.hash.min(of_second.hash).to_string();
        assert_eq!(forge.victim.field("A-1", "claim")["signature"], smaller.as_str());
        let faults = forge.victim.tracker.check(&testing::StandInVerifier).unwrap();
        assert_eq!(faults, [""; 0]);
    }
}
