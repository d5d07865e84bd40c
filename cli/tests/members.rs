//! Who belongs to a list: given, taken, and what each role may do, by every way in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod common;

use std::fs;

use common::Place;
use common::site::{Site, level};
use serde_json::{Value, json};

fn agent(site: &Site) -> String {
    let agent: Value = serde_json::from_str(&site.ok(&["agent", "--json"])).unwrap();
    agent["agent_id"].as_str().unwrap().to_owned()
}

fn members(site: &Site) -> Value {
    serde_json::from_str(&site.ok(&["members", "--json"])).unwrap()
}

/// Returns an agent's role, as a site knows it.
fn role(site: &Site, agent: &str) -> Option<String> {
    let members = members(site);
    let of = |member: &&Value| member["agent_id"] == agent;
    let member = members["members"].as_array().unwrap().iter().find(of)?;
    Some(member["role"].as_str().unwrap().to_owned())
}

/// Asks a site's node over HTTP; returns the status and the answer.
fn ask(site: &Site, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let api = fs::read_to_string(site.data().join("api.port")).unwrap();
    let token = fs::read_to_string(site.data().join("api-token")).unwrap();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", api.trim()))
        .header("authorization", format!("Bearer {}", token.trim()))
        .header("content-type", "application/json")
        .body(body.to_string())
        .unwrap();
    let config = ureq::config::Config::builder().http_status_as_error(false).build();
    let mut answer = ureq::Agent::new_with_config(config).run(request).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
}

/// A site that joined in a role.
fn newcomer(to: &Site, role: &str) -> Site {
    let ticket = to.ok(&["invite", "--role", role, "-q"]);
    let mut site = Site::new();
    // From a file, where the list of processes does not show it.
    let file = site.dir.path().join("ticket");
    std::fs::write(&file, ticket).unwrap();
    site.join(&format!("@{}", file.display()));
    site
}

#[test]
fn without_a_node_the_only_maintainer_is_shown_and_stays() {
    let place = Place::with_list();
    let members = place.json(&["members"]);
    let all = members["members"].as_array().unwrap();
    assert_eq!(
        (all.len(), &all[0]["role"], &all[0]["is_own"]),
        (1, &"maintainer".into(), &true.into())
    );
    let me = all[0]["agent_id"].as_str().unwrap();
    let error = place.error(&["revoke", me, "--reason", "tired"], 4);
    assert_eq!(error["error"], "last_maintainer");
    assert!(error["hint"].as_str().unwrap().contains("x0x grant"), "{error}");
    let error = place.error(&["grant", "0123456789", "--role", "worker"], 3);
    assert_eq!(error["error"], "unknown_agent");
    assert_eq!(place.json(&["members"]), members);
}

#[test]
fn a_revoked_agent_is_out_on_every_machine_and_comes_back_by_a_grant() {
    let mut a = Site::founder();
    a.create("one");
    a.up();
    let b = newcomer(&a, "maintainer");
    let c = newcomer(&a, "worker");
    level(&[&a, &b, &c], 1);
    let (b_id, c_id) = (agent(&b), agent(&c));
    c.ok(&["issues", "claim", "PUMP-0001", "--worker", "w"]);
    c.ok(&["issues", "comment", "PUMP-0001", "kept"]);
    let has_comment = |site: &Site| site.ok(&["issues", "show", "PUMP-0001"]).contains("kept");
    a.until("the comment is everywhere", || has_comment(&a) && has_comment(&b));
    let refused = b.run(&["issues", "claim", "PUMP-0001", "--worker", "w"]);
    assert_eq!(refused.code, 4, "{refused:?}");

    // Another maintainer than the one who invited it.
    b.ok(&["revoke", &c_id[..8], "--reason", "the laptop was stolen"]);
    a.until("a knows", || role(&a, &c_id).is_none());
    let revoked = &members(&a)["revoked"][0];
    assert_eq!((&revoked["agent_id"], &revoked["by"]), (&json!(c_id), &json!(b_id)));
    assert_eq!(revoked["reason"], "the laptop was stolen");
    a.until("its links end", || a.peers() == 1);
    assert!(has_comment(&a), "what others had of it stays");
    let peers = |site: &Site| site.ok(&["peers", "--json"]).contains(&c_id);
    b.until("nobody is linked with it", || !peers(&b) && !peers(&a));
    // Its claim is stale at once.
    b.ok(&["issues", "claim", "PUMP-0001", "--worker", "w"]);

    // It was told, and its own store refuses.
    c.until("c knows", || role(&c, &c_id).is_none());
    let error = c.run(&["issues", "create", "afterwards", "--json"]);
    assert_eq!(error.code, 5, "{error:?}");
    let (status, error) = ask(&c, "POST", "/issues", &json!({"title": "over HTTP"}));
    assert_eq!((status, &error["error"]), (403, &json!("not_allowed")));

    let raised = a.run(&["grant", &c_id, "--role", "reader", "--json"]);
    assert_eq!(raised.code, 0, "{raised:?}");
    b.until("b knows", || role(&b, &c_id).as_deref() == Some("reader"));
    b.ok(&["issues", "create", "for all"]);
    level(&[&a, &b, &c], 2);
    assert_eq!(role(&c, &c_id).as_deref(), Some("reader"));
}

#[test]
fn a_reader_writes_nothing_by_any_way_in() {
    let mut a = Site::founder();
    a.create("one");
    a.create("two");
    a.ok(&["issues", "claim", "PUMP-0001", "--worker", "x"]);
    a.up();
    let mut b = newcomer(&a, "reader");
    level(&[&a, &b], 2);
    let file = b.dir.path().join("repo/issues.jsonl");
    fs::write(&file, "{\"id\":\"PUMP-9\",\"title\":\"by import\"}\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let writes: &[&[&str]] = &[
        &["issues", "create", "two"],
        &["issues", "edit", "PUMP-0001", "--title", "mine"],
        &["issues", "comment", "PUMP-0001", "hello"],
        &["issues", "done", "PUMP-0001"],
        &["issues", "claim", "PUMP-0002", "--worker", "w"],
        &["issues", "next", "--claim", "--worker", "w"],
        &["issues", "undo", "PUMP-0002"],
        &["issues", "import", &file],
        &["issues", "reshard", "PUMP-0001", "--reason", "why not"],
        &["invite"],
        &["grant", "00000000", "--role", "worker"],
        &["revoke", "00000000", "--reason", "why not"],
    ];
    let before = b.export();
    for through_node in [true, false] {
        if !through_node {
            b.stop();
        }
        for write in writes {
            if *write == ["invite"] && !through_node {
                continue;
            }
            let answer = b.run(write);
            assert_eq!(answer.code, 5, "{write:?}: {answer:?}");
            assert!(answer.stderr.contains("maintainer"), "{write:?} says who may: {answer:?}");
        }
        assert_eq!(b.export(), before);
    }
    b.up();
    for (method, path, body) in [
        ("POST", "/issues", json!({"title": "two"})),
        ("PATCH", "/issues/PUMP-0001", json!({"title": "mine"})),
        ("DELETE", "/issues/PUMP-0001", json!({})),
        ("POST", "/issues/PUMP-0001/comments", json!({"body": "hello"})),
        ("POST", "/issues/PUMP-0002/claim", json!({"worker": "w"})),
        ("POST", "/issues/PUMP-0001/rulings", json!({"ruling": "done"})),
    ] {
        let (status, answer) = ask(&b, method, path, &body);
        assert_eq!((status, &answer["error"]), (403, &json!("not_allowed")), "{method} {path}");
    }
    assert_eq!(b.export(), before);
    // It sees what others write all the same.
    a.create("three");
    level(&[&a, &b], 3);
}

#[test]
fn a_worker_ends_no_issue_by_any_way_in() {
    let mut a = Site::founder();
    a.create("one");
    a.up();
    let mut b = newcomer(&a, "worker");
    level(&[&a, &b], 1);
    let before = b.export();
    let file = b.dir.path().join("repo/issues.jsonl");
    fs::write(&file, before.replace("\"todo\"", "\"done\"")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let (b_id, a_id) = (agent(&b), agent(&a));
    for through_node in [true, false] {
        if !through_node {
            b.stop();
        }
        for end in [
            &["issues", "done", "PUMP-0001"][..],
            &["issues", "cancel", "PUMP-0001"],
            &["issues", "edit", "PUMP-0001", "--state", "done"],
            &["issues", "edit", "PUMP-0001", "--state", "cancelled"],
            &["grant", &b_id, "--role", "maintainer"],
            &["revoke", &a_id, "--reason", "mine now"],
        ] {
            let answer = b.run(end);
            assert_eq!(answer.code, 5, "{end:?}: {answer:?}");
        }
        let imported = b.run(&["issues", "import", &file]);
        assert_eq!(imported.code, 0, "it waits for a maintainer: {imported:?}");
        assert_eq!(b.export(), before);
    }
    b.up();
    for (method, path, body) in [
        ("PATCH", "/issues/PUMP-0001", json!({"state": "done"})),
        (
            "PATCH",
            "/issues",
            json!({"edits": [{"issue": "PUMP-0001", "patch": {"state": "done"}}]}),
        ),
        ("POST", "/issues/PUMP-0001/rulings", json!({"ruling": "done"})),
        ("POST", "/task-lists/pump/grants", json!({"agent": b_id, "role": "maintainer"})),
        ("POST", "/task-lists/pump/revocations", json!({"agent": a_id, "reason": "mine now"})),
    ] {
        let (status, answer) = ask(&b, method, path, &body);
        assert_eq!(
            (status, &answer["error"]),
            (403, &json!("not_allowed")),
            "{method} {path}: {answer}"
        );
    }
    assert_eq!(b.export(), before);
    assert_eq!(a.export(), before);
}

#[test]
fn maintainers_who_revoke_each_other_while_apart_are_judged_alike_once_they_meet() {
    let mut a = Site::founder();
    a.up();
    let mut b = newcomer(&a, "maintainer");
    let mut c = newcomer(&a, "maintainer");
    let (b_id, c_id) = (agent(&b), agent(&c));
    for site in [&a, &b] {
        site.until("all know all", || role(site, &c_id).is_some() && role(site, &b_id).is_some());
    }
    for site in [&mut b, &mut c, &mut a] {
        site.stop();
    }
    b.ok(&["revoke", &c_id, "--reason", "it broke things"]);
    c.ok(&["revoke", &b_id, "--reason", "no, that one did"]);
    assert!(role(&b, &c_id).is_none() && role(&c, &b_id).is_none());
    // First the one that is to go alone with the founder, who takes the other for revoked then.
    let (stays, goes) = if b_id < c_id { (&mut b, &mut c) } else { (&mut c, &mut b) };
    let (stays_id, goes_id) = (agent(stays), agent(goes));
    a.up();
    goes.up();
    a.until("a has heard one side", || role(&a, &stays_id).is_none());
    stays.up();
    for site in [&a, &*stays, &*goes] {
        site.until("all judge alike", || {
            role(site, &stays_id).as_deref() == Some("maintainer") && role(site, &goes_id).is_none()
        });
    }
    stays.create("goes on");
    level(&[&a, stays], 1);
}
