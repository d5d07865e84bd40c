//! What agents rely on: a short guide, many edges at once, backups.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;

use common::Place;

/// What a token is reckoned at, in bytes.
const TOKEN_BYTES: usize = 4;

#[test]
fn the_guide_fits_into_any_prompt() {
    let place = Place::with_list();
    assert!(place.ok(&["issues", "prime"]).contains("0 issues, 0 ready"));
    let title = "ü".repeat(400);
    for _ in 0..20 {
        place.create(&[&title, "--priority", "1"]);
    }
    let guide = place.ok(&["issues", "prime"]);
    assert!(guide.len() / TOKEN_BYTES < 1_500, "{} bytes", guide.len());
    assert!(guide.contains("20 issues, 20 ready") && guide.contains("- T-0001 üü"), "{guide}");
    assert_eq!(place.json(&["issues", "prime"])["prime"], guide);
}

#[test]
fn every_command_that_the_guide_names_is_there() {
    let place = Place::with_list();
    let guide = place.ok(&["issues", "prime"]);
    let words: Vec<&str> = guide
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| *code != "x0x issues")
        .filter_map(|code| code.split(' ').next())
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .filter(|word| !["description", "acceptance", "validation", "hint"].contains(word))
        .collect();
    assert!(words.len() > 20, "{words:?}");
    for word in words {
        let answer = place.run(&["issues", word, "--help"]);
        assert_eq!(answer.code, 0, "{word}: {}", answer.stderr);
    }
}

#[test]
fn many_edges_come_from_stdin_all_of_them_or_none() {
    let place = Place::with_list();
    for title in ["one", "two", "three", "four"] {
        place.create(&[title]);
    }
    let block = ["issues", "block", "-"];
    let before = place.ok(&["issues", "export", "--canonical", "--out", "-"]);
    for (edges, said) in [
        ("T-0002 T-0001\nT-0003 T-0009\n", "stdin, line 2: no issue is called 'T-0009'"),
        ("T-0002 T-0001\n\nT-0003 # alone\n", "stdin, line 3: 'T-0003' stands alone"),
        (
            "# a ring\nT-0001 T-0002\n\nT-0002 T-0001\n",
            "stdin, line 4: blocked_by: the issue would",
        ),
        ("T-0002 T-0001#1\n", "stdin, line 1: no issue is called 'T-0001#1'"),
    ] {
        let answer = place.run_with_stdin(&block, edges);
        assert_ne!(answer.code, 0, "{edges}");
        assert!(answer.stderr.contains(said), "{}", answer.stderr);
        assert!(answer.stderr.contains("\nhint: "), "{}", answer.stderr);
    }
    assert_eq!(place.ok(&["issues", "export", "--canonical", "--out", "-"]), before);
    let edges = "# what the release waits for\nT-0004 T-0001, T-0002\nT-0003 T-0002\n";
    let answer = place.run_with_stdin(&block, edges);
    assert_eq!((answer.code, answer.stdout.lines().count()), (0, 2), "{answer:?}");
    let blockers =
        |name| place.json(&["issues", "show", name])["blocked_by"].as_array().unwrap().len();
    assert_eq!((blockers("T-0004"), blockers("T-0003")), (2, 1));
    let again = place.run_with_stdin(&[&block[..], &["--json"]].concat(), edges);
    let object: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(object["issues"].as_array().unwrap().len(), 2);
    for args in [&["issues", "block", "T-0001"][..], &["issues", "block", "-", "T-0001"]] {
        assert_eq!(place.error(args, 2)["error"], "usage");
    }
}

#[test]
fn a_backup_brings_a_list_back_and_loses_none() {
    let place = Place::with_list();
    place.create(&["first"]);
    let file = place.dir().join("kept.x0x");
    let file = file.to_str().unwrap();
    let answer = place.json(&["backup", file]);
    assert_eq!((&answer["issues"], &answer["commits"]), (&1.into(), &1.into()));
    assert_eq!(place.error(&["backup", file], 4)["error"], "file_is_there");
    place.ok(&["backup", "beside.x0x"]);
    assert_eq!(place.error(&["backup", "none/kept.x0x"], 1)["error"], "io");
    place.create(&["second"]);
    let now = place.ok(&["issues", "export", "--canonical", "--out", "-"]);
    let error = place.error(&["restore", file], 4);
    assert_eq!(error["error"], "list_is_here");
    assert!(error["hint"].as_str().unwrap().contains("--replace"));
    let answer = place.json(&["restore", file, "--replace"]);
    assert_eq!(place.json(&["issues", "stats"])["issues"], 1);
    let kept = answer["kept_as"].as_str().unwrap();
    assert_eq!(place.error(&["restore", kept], 4)["error"], "list_is_here");
    place.ok(&["restore", kept, "--replace"]);
    assert_eq!(place.ok(&["issues", "export", "--canonical", "--out", "-"]), now);
    place.create(&["third"]);
    assert_eq!(place.error(&["restore", "nowhere"], 3)["error"], "not_found");
    fs::write(place.repo().join("text"), "no backup").unwrap();
    assert_eq!(place.error(&["restore", "text"], 7)["error"], "not_a_backup");
    // Another machine: the file alone is enough to read the list.
    let other = place.dir().join("other");
    let args = ["--data-dir", other.to_str().unwrap(), "restore", file];
    place.ok(&args);
    let list = ["--data-dir", other.to_str().unwrap(), "issues", "list", "--json"];
    assert!(place.ok(&list).contains("\"first\""));
}
