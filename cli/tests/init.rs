//! `x0x init` and `x0x agent`: binding a repository, once, and never over anything.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;

use common::{Place, record};

#[test]
fn a_repository_is_bound_at_its_root_and_git_is_left_alone() {
    let place = Place::new();
    let deep = place.repo().join("src/deep");
    fs::create_dir_all(&deep).unwrap();
    let git = place.repo().join(".git");
    let answer = place.command(&["init"]).current_dir(&deep).output().unwrap();
    assert!(answer.status.success(), "{answer:?}");
    let toml = fs::read_to_string(place.repo().join(".x0x.toml")).unwrap();
    for line in ["name = \"repo\"", "prefix = \"REPO\"", "jsonl = \"issues/issues.jsonl\""] {
        assert!(toml.contains(line), "{toml}");
    }
    assert!(toml.contains("branch = \"main\""), "{toml}");
    assert_eq!(fs::read_dir(git).unwrap().count(), 1);
    assert!(!place.jsonl().exists(), "init writes no issues");
}

#[test]
fn the_prefix_is_learned_from_the_file() {
    let place = Place::new();
    place.write_jsonl(&[record("AB.C-1", "a", "todo"), record("AB.C-2", "b", "todo")].concat());
    assert_eq!(place.json(&["init"])["prefix"], "AB.C");
    assert!(place.create(&["c"]).starts_with("AB.C-"));
}

#[test]
fn a_second_init_changes_nothing_and_says_so() {
    let place = Place::with_list();
    let before = place.trace();
    let answer = place.run(&["init"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stderr.contains("nothing was changed"), "{}", answer.stderr);
    place.ok(&["init", "--name", "tests", "--prefix", "T"]);
    for other in [["--name", "x"], ["--prefix", "X"], ["--jsonl", "x.jsonl"]] {
        let error = place.error(&["init", other[0], other[1]], 2);
        assert!(error["detail"].as_str().unwrap().contains("is there already"), "{error}");
    }
    assert_eq!(place.trace(), before);
}

#[test]
fn without_git_the_current_directory_is_the_root() {
    let place = Place::new();
    let dir = place.dir().join("plain/sub");
    fs::create_dir_all(&dir).unwrap();
    let init = || place.command(&["init", "--json"]).current_dir(&dir).output().unwrap();
    let answer = common::Answer::of(init());
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("\"branch\":null"), "{}", answer.stdout);
    let toml = fs::read_to_string(dir.join(".x0x.toml")).unwrap();
    assert!(!toml.contains("branch"), "{toml}");
}

#[test]
fn a_file_outside_the_repository_is_refused() {
    let place = Place::new();
    place.error(&["init", "--jsonl", "../out.jsonl"], 2);
    place.error(&["init", "--prefix", "a-b"], 2);
    assert!(!place.repo().join(".x0x.toml").exists());
    assert!(!place.data().exists());
    std::os::unix::fs::symlink("/etc", place.repo().join("issues")).unwrap();
    place.ok(&["init"]);
    let error = place.error(&["issues", "export"], 7);
    assert!(error["detail"].as_str().unwrap().contains("out of the repository"), "{error}");
}

#[test]
fn what_is_wrong_with_the_binding_is_named_by_line() {
    let place = Place::new();
    fs::write(place.repo().join(".x0x.toml"), "name = \"n\"\nlist = 7\n").unwrap();
    let error = place.error(&["issues", "list"], 7);
    assert!(error["detail"].as_str().unwrap().contains(".x0x.toml:2:"), "{error}");
}

#[test]
fn an_agent_has_one_key_from_first_use_on() {
    let place = Place::new();
    let first = place.json(&["agent"]);
    assert_eq!(first["agent_id"].as_str().unwrap().len(), 64);
    assert!(first["name"].is_null());
    assert_eq!(first["addresses"], serde_json::json!([]));
    assert_eq!(place.json(&["agent"]), first);
    let text = place.ok(&["agent"]);
    assert!(text.contains("agent.key") && text.contains(first["agent_id"].as_str().unwrap()));
}

#[test]
fn a_clone_works_from_the_file_alone() {
    let place =
        Place::with_file(&[record("T-1", "a", "todo"), record("T-2", "b", "done")].concat());
    let clone = Place::new();
    for file in [".x0x.toml", "issues/issues.jsonl"] {
        fs::create_dir_all(clone.repo().join("issues")).unwrap();
        fs::copy(place.repo().join(file), clone.repo().join(file)).unwrap();
    }
    let error = clone.error(&["issues", "list"], 3);
    assert!(error["hint"].as_str().unwrap().contains("x0x issues import"), "{error}");
    assert!(!clone.data().exists(), "reading makes nothing");
    assert_eq!(clone.json(&["issues", "import"])["attached"], true);
    assert_eq!(clone.json(&["issues", "import"])["attached"], false);
    assert_eq!(clone.json(&["issues", "show", "T-2"])["state"], "done");
    assert_eq!(
        clone.ok(&["issues", "export", "--canonical", "--out", "-"]),
        place.ok(&["issues", "export", "--canonical", "--out", "-"])
    );
    let other = Place::new();
    fs::copy(place.repo().join(".x0x.toml"), other.repo().join(".x0x.toml")).unwrap();
    let answer = other.run(&["init"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("from the file alone"), "{}", answer.stderr);
}

#[test]
fn a_binding_above_the_repository_is_not_its_own() {
    let place = Place::new();
    fs::write(place.dir().join(".x0x.toml"), "not a binding").unwrap();
    let deep = place.repo().join("src/deep");
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(place.error(&["issues", "list"], 3)["error"], "no_list");
    let list = || {
        common::Answer::of(place.command(&["issues", "list"]).current_dir(&deep).output().unwrap())
    };
    assert_eq!(list().code, 3);
    place.ok(&["init"]);
    assert_eq!(list().code, 0, "the root itself is searched");
    fs::remove_dir_all(place.repo().join(".git")).unwrap();
    fs::remove_file(place.repo().join(".x0x.toml")).unwrap();
    assert_eq!(list().code, 7, "without git the search goes on");
}

#[test]
fn the_help_of_agent_says_what_is_printed() {
    let place = Place::new();
    let help = place.ok(&["agent", "--help"]);
    let answer = place.json(&["agent"]);
    let keys: Vec<String> =
        answer.as_object().unwrap().keys().map(|key| format!("\"{key}\"")).collect();
    assert!(help.contains(&format!("{{{}}}", keys.join(", "))), "{help}");
}
