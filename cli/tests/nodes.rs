//! Nodes as processes: joining, cuts, kills, copies. Between them runs the emulator of links.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]
#![expect(
    clippy::disallowed_methods,
    reason = "processes are waited for by looking, up to a limit"
)]

mod common;
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::site::{Site, level};
use common::{LONG, until};
use harness::{Conditions, Direction, Network};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn a_node_whose_stores_are_borrowed_is_stopped_all_the_same() {
    let mut site = Site::founder();
    site.up();
    let home = x0x::home::Home::at(site.data());
    let list = home.list_named(None, Duration::ZERO).unwrap();
    let borrowed = home.write(list, LONG).unwrap();
    site.stop();
    drop(borrowed);
    site.ok(&["issues", "create", "--title", "afterwards"]);
}

#[test]
fn a_node_that_does_not_answer_is_named_by_every_command_that_needs_it() {
    let mut site = Site::founder();
    site.create("one");
    site.up();
    let node = Pid::from_child(site.up.as_ref().unwrap());
    kill_process(node, Signal::STOP).unwrap();
    let named = format!("the node here (process {}) does not answer", node.as_raw_nonzero());
    let commands: [&[&str]; 6] = [
        &["issues", "list"],
        &["issues", "create", "two"],
        &["direct", "send", "ab", "hello"],
        &["direct", "inbox"],
        &["status"],
        &["stop"],
    ];
    let site = &site;
    thread::scope(|scope| {
        let run = |args: &'static [&'static str]| scope.spawn(move || (args, site.run(args)));
        let answers: Vec<_> =
            commands.map(run).into_iter().map(|run| run.join().unwrap()).collect();
        for (args, answer) in answers {
            assert_eq!(answer.code, 6, "{args:?}: {answer:?}");
            assert!(answer.stderr.contains(&named), "{args:?}: {answer:?}");
            assert!(answer.stderr.contains("waiting for the node here"), "{args:?}: {answer:?}");
            assert!(answer.stderr.contains(&format!("`kill -CONT {}`", node.as_raw_nonzero())));
        }
    });
    let doctor = site.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.stdout.contains(&named), "{doctor:?}");
    kill_process(node, Signal::CONT).unwrap();
    assert!(site.ok(&["issues", "list"]).contains("one"));
}

#[test]
fn three_data_directories_of_one_machine_become_one_list() {
    let mut a = Site::founder();
    a.create("before anybody joined");
    a.up();
    let mut b = a.newcomer();
    let mut c = a.newcomer();
    level(&[&a, &b, &c], 1);
    b.create("on b");
    c.create("on c");
    a.ok(&["issues", "edit", "PUMP-0001", "--title", "edited on a"]);
    level(&[&a, &b, &c], 3);
    a.until("all are linked", || a.peers() == 2);
    let status: Value = serde_json::from_str(&a.ok(&["status", "--json"])).unwrap();
    assert_eq!((&status["peers"], &status["lists"][0]["issues"]), (&2.into(), &3.into()));
    let begun = Instant::now();
    for site in [&mut a, &mut b, &mut c] {
        site.stop();
    }
    assert!(begun.elapsed() < Duration::from_secs(6), "three stops in {:?}", begun.elapsed());
    let error = a.run(&["peers"]);
    assert_eq!((error.code, error.stderr.contains("x0x up")), (6, true), "{error:?}");
}

#[test]
fn a_node_says_who_it_is_and_a_second_one_is_refused_by_name() {
    let mut a = Site::founder();
    a.create("one");
    a.up();
    let agent = a.ok(&["agent", "--json"]);
    let agent: Value = serde_json::from_str(&agent).unwrap();
    a.until("it has said so", || a.log().contains("peers"));
    let log = a.log();
    for part in [agent["agent_id"].as_str().unwrap(), "PUMP-0001", &a.listen.to_string()] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let second = a.run(&["up", "--lock-timeout", "0"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("node"), "{second:?}");
    let bad = a.run(&["join", "x0xtabc"]);
    assert_eq!(bad.code, 7, "{bad:?}");
    a.stop();
    let late = a.run(&["invite"]);
    assert_eq!((late.code, late.stderr.contains("x0x up")), (6, true), "{late:?}");
}

/// The allocator gives back part of what is free at a time, in a debug build less than in a release one.
#[test]
fn a_node_at_rest_gives_back_what_opening_its_store_took() {
    let mut a = Site::founder();
    let issues = a.dir.path().join("repo/issues");
    fs::create_dir_all(&issues).unwrap();
    let text = "what is to be done, and why. ".repeat(20);
    let line =
        |n| format!("{{\"id\":\"PUMP-{n:05}\",\"title\":\"{n}\",\"description\":\"{text}\"}}\n");
    fs::write(issues.join("issues.jsonl"), (1..=6_000).map(line).collect::<String>()).unwrap();
    a.ok(&["issues", "import", "-q"]);
    a.up();
    // Whoever opens it next reads all of it.
    a.kill();
    a.up();
    let anonymous_kb = |a: &Site| {
        let node = a.up.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{node}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let mut most = 0;
    a.until("some of it is given back", || {
        let now = anonymous_kb(&a);
        most = most.max(now);
        now < most * 19 / 20
    });
    a.stop();
}

/// Returns two sites that hear each other through the emulator alone, and the ways there.
fn apart(network: &Network) -> (Site, Site, [harness::Path; 2]) {
    let (mut a, mut b) = (Site::founder(), Site::new());
    let ways = [network.path(a.listen), network.path(b.listen)];
    a.advertise = Some(ways[0].address());
    b.advertise = Some(ways[1].address());
    a.up();
    let ticket = a.invite();
    // The first word goes through the emulator too: the ticket holds what is advertised.
    b.join(&ticket);
    (a, b, ways)
}

#[test]
fn edits_of_both_sides_of_a_cut_are_everywhere_soon_after_it_heals() {
    let network = Network::new(7);
    let (a, b, ways) = apart(&network);
    let slow = Conditions {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        loss: 0.02,
        ..Conditions::default()
    };
    ways.iter().for_each(|way| way.set(Direction::Both, slow));
    a.create("before the cut");
    level(&[&a, &b], 1);
    ways.iter().for_each(|way| way.cut(Direction::Both));
    a.ok(&["issues", "edit", "PUMP-0001", "--title", "a's title"]);
    b.ok(&["issues", "edit", "PUMP-0001", "--priority", "1"]);
    for n in 0..20 {
        a.create(&format!("on a {n}"));
        b.create(&format!("on b {n}"));
    }
    let cut: u64 = ways.iter().map(|way| way.counters(Direction::Both).cut).sum();
    assert!(cut > 0, "the cut met nothing");
    until("both know that the link is gone", || a.peers() == 0 && b.peers() == 0);
    ways.iter().for_each(harness::Path::heal);
    let healed = Instant::now();
    level(&[&a, &b], 41);
    let took = healed.elapsed();
    assert!(a.export().contains("a's title") && a.export().contains("\"priority\":1"));
    eprintln!("level {took:?} after the cut healed");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_data_directory_that_was_copied_locks_nobody_out() {
    let mut a = Site::founder();
    a.up();
    let mut b = a.newcomer();
    b.create("before the copy");
    level(&[&a, &b], 1);
    b.stop();
    let mut copy = Site::new();
    copy_dir(&b.data(), &copy.data());
    b.up();
    copy.up();
    b.create("on the original");
    copy.create("on the copy");
    a.create("on another");
    level(&[&a, &b, &copy], 4);
    b.create("and on");
    copy.create("and on too");
    level(&[&a, &b, &copy], 6);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Kills nodes at random while issues are created through them; nothing that was answered is lost.
#[test]
fn nothing_that_was_answered_is_lost_when_nodes_are_killed() {
    let kills: u64 = std::env::var("X0X_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let mut a = Site::founder();
    a.up();
    let mut sites = vec![a.newcomer(), a.newcomer()];
    sites.insert(0, a);
    let mut answered = BTreeSet::new();
    let mut refused = 0;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for kill in 0..kills {
        let victim = draw(3) as usize;
        let title = format!("round {kill}");
        let creations: Vec<Child> = (0..6)
            .map(|n| {
                let site = &sites[n % 3];
                let title = format!("{title} {n}");
                let args = ["issues", "create", &title, "--silent", "--lock-timeout", "30"];
                let mut command = site.command(&args);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        std::thread::sleep(Duration::from_millis(draw(60)));
        sites[victim].kill();
        for creation in creations {
            let answer = common::Answer::of(creation.wait_with_output().unwrap());
            match answer.code {
                0 => drop(answered.insert(answer.stdout.trim().to_owned())),
                _ => refused += 1,
            }
        }
        sites[victim].up();
    }
    assert!(answered.len() as u64 > kills, "{} answered, {refused} refused", answered.len());
    let all: Vec<&Site> = sites.iter().collect();
    let mut exports = Vec::new();
    until("all are level", || {
        exports = all.iter().map(|site| site.export()).collect();
        exports.iter().all(|export| *export == exports[0])
            && answered.iter().all(|id| exports[0].contains(&format!("\"{id}\"")))
    });
    let (count, issues) = (answered.len(), exports[0].lines().count());
    eprintln!("{kills} kills: {count} answered, {refused} refused, {issues} issues everywhere");
    for site in &all {
        site.ok(&["issues", "validate", "--store"]);
    }
}
