//! How long proofs are kept.

use std::fs;
use std::path::Path;

use crate::common::Answer;
use crate::scene::{Scene, manifest};

const OLD: &str = "20200101T000000Z";

/// Gives the only proofs of an issue another name.
fn rename(scene: &Scene, issue: &str, name: &str) -> std::path::PathBuf {
    let dir = scene.only_proofs(issue, 1).remove(0);
    let old = dir.with_file_name(name);
    fs::rename(&dir, &old).unwrap();
    old
}

#[test]
fn old_proofs_go_unless_a_handoff_names_them_or_they_may_be_anothers() {
    let scene =
        Scene::of(&["Fails", "Named", "Unnamed", "Running", "Elsewhere", "Recent", "Theirs"]);
    let write = |dir: &str| {
        format!("echo '{{\"summary\":\"s\",\"proofs_dir\":\"{dir}\"}}' > \"$X0X_HANDOFF\"")
    };
    scene.run(&["T-0001"], "exit 1");
    scene.run(&["T-0002"], &write(&format!("./proofs/T-0002/{OLD}/")));
    scene.run(&["T-0003"], &write("results"));
    scene.run(&["T-0004"], "exit 1");
    scene.run(&["T-0005"], "exit 0");
    scene.run(&["T-0006"], "exit 1");
    scene.run(&["T-0007"], "exit 1");
    let failed = rename(&scene, "T-0001", &format!("{OLD}-abandoned"));
    let named = rename(&scene, "T-0002", OLD);
    let unnamed = rename(&scene, "T-0003", OLD);
    let running = rename(&scene, "T-0004", OLD);
    let elsewhere = rename(&scene, "T-0005", OLD);
    let recent = scene.only_proofs("T-0006", 1).remove(0);
    let theirs = rename(&scene, "T-0007", OLD);
    // One runs elsewhere, one was another agent's, one belongs to an issue of another list.
    edit(&running, "\"state\": \"ended\"", "\"state\": \"running\"");
    let agent = manifest(&running)["agent"].as_str().unwrap().to_owned();
    edit(&running, &agent, &agent.chars().rev().collect::<String>());
    edit(&theirs, &agent, &agent.chars().rev().collect::<String>());
    let issue = manifest(&elsewhere)["issue"].as_str().unwrap().to_owned();
    edit(&elsewhere, &issue, "other-1");
    let foreign = scene.place.repo().join("proofs/T-0001").join(OLD);
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("manifest.json"), "{\"name\": \"a web page\"}").unwrap();
    let aside = scene.place.repo().join("proofs/notes");
    fs::write(&aside, "by hand").unwrap();
    let target = scene.place.dir().join("target");
    fs::create_dir(&target).unwrap();
    fs::copy(failed.join("manifest.json"), target.join("manifest.json")).unwrap();
    let link = scene.place.repo().join("proofs/T-0003/20200102T000000Z");
    std::os::unix::fs::symlink(&target, &link).unwrap();

    let (_, events) = scene.run(&["--label", "none", "--keep-proofs", "14"], "true");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["event"], "reaped");
    assert!(!failed.exists() && !unnamed.exists());
    let kept = [&named, &running, &theirs, &elsewhere, &recent, &foreign, &aside, &link];
    for path in kept {
        assert!(path.symlink_metadata().is_ok(), "{}", path.display());
    }
    assert!(target.join("manifest.json").exists(), "links are not followed");
    let (_, events) = scene.run(&["--label", "none", "--keep-proofs", "0"], "true");
    assert_eq!(events.len(), 1, "a day more would have been kept");
    assert!(!recent.parent().unwrap().exists(), "and the issue's own directory goes with the last");
}

fn edit(dir: &Path, from: &str, to: &str) {
    let file = dir.join("manifest.json");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn proofs_stay_that_a_handoff_names_however_it_spells_them() {
    let scene = Scene::of(&["Here", "Linked", "Moved", "Anothers", "Last"]);
    let repo = scene.place.repo();
    let out = repo.join("out");
    fs::create_dir_all(repo.join("deep")).unwrap();
    fs::create_dir_all(&out).unwrap();
    std::os::unix::fs::symlink(&out, repo.join("link")).unwrap();
    let proofs = |issue: &str| out.join(issue).join(OLD);
    let said = |path: &str| {
        let handoff = format!("{{\"summary\":\"s\",\"proofs_dir\":\"{path}\"}}");
        format!("echo '{handoff}' > \"$X0X_HANDOFF\"")
    };
    let linked = said(&format!("link/T-0002/{OLD}/stdout"));
    let moved = said(&format!("/another/copy/out/T-0003/{OLD}"));
    let others = said(&format!("../repo/deep/../out/T-0004/{OLD}"));
    for (issue, script) in [
        ("T-0001", "true"),
        ("T-0002", linked.as_str()),
        ("T-0003", moved.as_str()),
        ("T-0004", "exit 1"),
        ("T-0005", others.as_str()),
    ] {
        scene.run(&[issue, "--proofs", "out", "--keep-proofs", "100000"], script);
        let dir = fs::read_dir(out.join(issue)).unwrap().next().unwrap().unwrap().path();
        if issue != "T-0001" {
            fs::rename(&dir, proofs(issue)).unwrap();
        }
    }
    let args = ["issues", "run", "--json", "--label", "none", "--proofs", "../out"];
    let args = [&args[..], &["--keep-proofs", "0", "--", "true"]].concat();
    let mut command = scene.place.command(&args);
    let answer = Answer::of(command.current_dir(repo.join("deep")).output().unwrap());
    assert!(answer.stdout.contains("of 1 job"), "{answer:?}");
    let left = |issue: &str| out.join(issue).exists();
    assert_eq!(["T-0001", "T-0002", "T-0003", "T-0004"].map(left), [true; 4]);
    assert!(!left("T-0005"), "which no handoff names");
}

#[test]
fn proofs_lie_where_it_is_said() {
    let scene = Scene::of(&["One"]);
    let elsewhere = scene.place.dir().join("elsewhere");
    let (code, _) = scene.run(&["--proofs", elsewhere.to_str().unwrap()], "true");
    assert_eq!(code, 0);
    let named = scene.issue("T-0001")["handoff"]["proofs_dir"].as_str().unwrap().to_owned();
    assert!(named.starts_with(elsewhere.to_str().unwrap()), "{named}");
    assert!(Path::new(&named).join("stdout").exists());
    assert!(!scene.place.repo().join("proofs").exists());
}
