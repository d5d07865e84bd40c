//! What the fuzzer runs, run by every test run: the inputs that are kept in `fuzz/corpus/`, and some
//! thousands that follow from them and a seed.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod hostile;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hostile::mutate::{Numbers, mutated};
use hostile::{change, commit, document, lines, merge, seeds, stream};
use x0x_tracker::document::Document;
use x0x_tracker::document::admit::Checked;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Returns the inputs that are kept for a target, sorted by name.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no inputs", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs a target over what is kept for it, its seeds, and `more` inputs that follow from those.
fn run(target: &str, check: fn(&[u8]), more: usize) {
    let mut inputs = kept(target);
    inputs.extend(seeds::all().remove(target).unwrap());
    inputs.iter().for_each(|input| named(target, check, input));
    let mut numbers = Numbers::of(1);
    for _ in 0..more {
        let from = &inputs[numbers.below(inputs.len())];
        named(target, check, &mutated(from, &inputs, &mut numbers));
    }
}

/// Runs a target over one input, and shows the input where it fails.
fn named(target: &str, check: fn(&[u8]), input: &[u8]) {
    let result = catch_unwind(|| check(input));
    assert!(result.is_ok(), "{target} fails for {:?}", String::from_utf8_lossy(input));
}

#[test]
fn lines_are_read_without_loss_or_refused() {
    run("lines", lines::run, 6_000);
}

#[test]
fn merging_loses_no_record() {
    run("merge", merge::run, 4_000);
}

#[test]
fn commits_and_statements_are_opened_or_refused() {
    run("commit", commit::run, 3_000);
}

#[test]
fn streams_are_proved_or_refused() {
    run("stream", stream::run, 10_000);
}

#[test]
fn stored_documents_are_loaded_or_refused() {
    run("document", document::run, 1_500);
}

#[test]
fn changes_are_refused_without_a_trace_or_taken_alike_everywhere() {
    run("change", change::run, 3_000);
}

/// Were no commit of the seeds proved, the streams that follow from them would reach nothing.
#[test]
fn the_streams_that_others_follow_from_are_good() {
    let proved: Vec<usize> = stream::seeds().iter().map(|seed| stream::proved(seed)).collect();
    assert_eq!(proved, [0, 0, 2, 2, 3, 3]);
}

/// Of mutated changes some are taken and many refused: were it all of one kind, nothing would be
/// tested.
#[test]
fn mutated_changes_are_of_both_kinds() {
    let samples = seeds::all().remove("change").unwrap();
    for honest in &change::world().samples[2..] {
        change::take(&mut change::world().whole.clone(), honest).unwrap();
    }
    let mut numbers = Numbers::of(2);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let from = &samples[numbers.below(samples.len())];
        let bytes = change::framed(&mutated(from, &samples, &mut numbers));
        match change::take(&mut change::world().whole.clone(), &bytes) {
            Ok(()) => taken += 1,
            Err(_refused) => refused += 1,
        }
    }
    assert!(taken > 5 && refused > 1_000, "{taken} taken, {refused} refused");
}

/// Changes that Automerge decodes, and panics when it applies them.
#[test]
fn a_change_that_panics_when_it_is_applied_leaves_the_document_as_it_was() {
    let world = change::world();
    let mut panicking = 0;
    for input in kept("change") {
        let bytes = change::framed(&input);
        let Ok(Ok(decoded)) = catch_unwind(|| automerge::Change::from_bytes(bytes.clone())) else {
            continue;
        };
        let mut plain = automerge::Automerge::load(&world.whole.save()).unwrap();
        let apply = AssertUnwindSafe(|| plain.apply_changes([decoded.clone()]).is_ok());
        if catch_unwind(apply).is_ok() {
            continue;
        }
        panicking += 1;
        let mut judged = world.whole.clone();
        change::take(&mut judged, &bytes).unwrap_err();
        // Also where no check stands before it.
        let unchecked = Checked { change: decoded, records: Vec::new(), state: None };
        judged.admit(unchecked).unwrap_err();
        assert_eq!(judged.save(), world.whole.save());
        Document::load(document::birth(), &judged.save()).unwrap();
    }
    assert!(panicking >= 5, "only {panicking} inputs that are kept make Automerge panic");
}

/// The inputs that are kept say what was wrong once; each is refused for a reason of its own.
#[test]
fn a_change_that_is_spelled_as_nobody_spells_it_is_refused() {
    let bytes = std::fs::read(folder("change").join("unreadable-once-saved")).unwrap();
    let bytes = change::framed(&bytes);
    let world = change::world();
    let error = change::take(&mut world.whole.clone(), &bytes).unwrap_err().to_string();
    assert!(error.contains("not as Automerge writes them"), "{error}");
    // What it would have done: the document is saved, and cannot be loaded again.
    let mut plain = automerge::Automerge::load(&world.without_last.save()).unwrap();
    plain.apply_changes([automerge::Change::from_bytes(bytes).unwrap()]).unwrap();
    assert!(automerge::Automerge::load(&plain.save()).is_err());
}

#[test]
fn a_damaged_document_is_refused_before_it_is_decoded() {
    let stored = &change::world().stored;
    Document::load(document::birth(), stored).unwrap();
    for at in 0..stored.len() {
        let mut damaged = stored.clone();
        damaged[at] ^= 1;
        let error = Document::load(document::birth(), &damaged).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "its checksum is wrong", "byte {at}");
    }
}
