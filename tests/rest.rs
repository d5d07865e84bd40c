//! What a node answers programs: who may ask, and what every error looks like.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use x0x::home::Home;
use x0x::logs::{Filter, Log};
use x0x::node::{Config, Node, NodeError};
use x0x::rest::Limits;
use x0x::rest::client::{Client, ClientError};
use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::Draft;

const WAIT: Duration = Duration::from_secs(10);

fn config(dir: &TempDir, api: SocketAddr) -> Config {
    let home = Home::at(dir.path().to_owned());
    Config { api: Some(api), lock_wait: WAIT, ..Config::on_loopback(home) }
}

async fn node() -> (TempDir, Node, ListId) {
    let dir = tempfile::tempdir().unwrap();
    let list = Home::at(dir.path().to_owned()).found("pump", "PUMP", WAIT).unwrap();
    let node = Node::start(config(&dir, "127.0.0.1:0".parse().unwrap())).await.unwrap();
    (dir, node, list)
}

/// Sends a request as it is written, and returns status and body.
async fn ask(node: &Node, request: &str, token: Option<&str>, more: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(node.api()).await.unwrap();
    let token = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let head =
        format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}{more}");
    let head = if more.contains("\r\n\r\n") { head } else { format!("{head}\r\n") };
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn token(dir: &TempDir) -> String {
    std::fs::read_to_string(dir.path().join("api-token")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_token_is_answered_and_no_web_page() {
    let (dir, node, _) = node().await;
    let token = token(&dir);
    assert_eq!(ask(&node, "GET /status", Some(&token), "").await.0, 200);
    assert_eq!(ask(&node, "GET /health", None, "").await.1["status"], "ok");
    for wrong in [None, Some("wrong"), Some("")] {
        let (status, body) = ask(&node, "GET /status", wrong, "").await;
        assert_eq!((status, &body["error"]), (401, &json!("unauthorized")));
        let (status, _) = ask(&node, "POST /stop", wrong, "").await;
        assert_eq!(status, 401);
    }
    let page = "Origin: https://example.org\r\n";
    let (status, body) = ask(&node, "GET /status", Some(&token), page).await;
    assert_eq!((status, &body["error"]), (403, &json!("foreign_origin")));
    use std::os::unix::fs::PermissionsExt;
    let file = std::fs::metadata(dir.path().join("api-token")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_the_error_object() {
    let (dir, node, list) = node().await;
    let token = token(&dir);
    let json_body = |body: &str| {
        let length = body.len();
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let invites = format!("POST /task-lists/{list}/invites");
    let other = format!("POST /task-lists/{}/invites", "0".repeat(64));
    let good = json_body("{\"role\":\"worker\",\"lifetime_ms\":1000}");
    for (request, more, expected) in [
        ("GET /nothing", String::new(), 404),
        ("DELETE /status", String::new(), 405),
        (invites.as_str(), json_body("{\"role\":"), 400),
        (invites.as_str(), json_body("{\"role\":\"king\",\"lifetime_ms\":1}"), 422),
        (invites.as_str(), json_body("{\"role\":\"worker\",\"lifetime_ms\":1,\"x\":1}"), 422),
        (invites.as_str(), "Content-Length: 2\r\n\r\n{}".to_owned(), 415),
        (other.as_str(), good.clone(), 404),
        ("POST /task-lists/short/invites", good.clone(), 404),
        ("POST /joins", json_body("{\"ticket\":\"x0xtabc\"}"), 422),
        ("GET /issues?colour=red", String::new(), 400),
        ("GET /issues?priority=high", String::new(), 400),
        ("GET /issues?limit=-1", String::new(), 400),
        ("GET /issues?updated_since=yesterday", String::new(), 422),
        ("GET /issues?cursor=nowhere", String::new(), 422),
        ("GET /issues?list=nothing", String::new(), 404),
        ("GET /issues/PUMP-0001", String::new(), 404),
        ("GET /issues/%FF", String::new(), 400),
        ("GET /task-lists/nothing/members", String::new(), 404),
    ] {
        let (status, body) = ask(&node, request, Some(&token), &more).await;
        assert_eq!(status, expected, "{request} {more}: {body}");
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["error", "detail", "hint", "retryable"], "{request}: {body}");
        assert!(!body["hint"].as_str().unwrap().is_empty(), "{request}: {body}");
    }
    let (status, body) = ask(&node, &invites, Some(&token), &good).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["ticket"].as_str().unwrap().starts_with("x0xt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_answered_on_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Node::start(config(&dir, "0.0.0.0:0".parse().unwrap())).await;
    let error = refused.err().unwrap();
    assert!(matches!(error, NodeError::ApiNotLocal { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_writes_to_the_lists_of_a_node_and_what_it_wrote_is_there_at_once() {
    let (dir, node, list) = node().await;
    let home = Home::at(dir.path().to_owned());
    let created = tokio::task::spawn_blocking(move || {
        let mut tracker = home.write(list, WAIT).unwrap();
        let shown = tracker.create(&Draft::titled("by another program")).unwrap();
        drop(tracker);
        shown.name
    });
    assert_eq!(created.await.unwrap(), "PUMP-0001");
    let issues = node.keeper().with(list, |tracker| tracker.info().unwrap().issues).await;
    assert_eq!(issues.unwrap(), Some(1));
    node.stop().await;
    let client = Client::of(dir.path()).unwrap();
    let gone = tokio::task::spawn_blocking(move || client.get::<Value>("/status")).await.unwrap();
    assert!(matches!(gone, Err(ClientError::Unreachable { .. })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_borrower_that_dies_gives_the_stores_back() {
    let (dir, node, list) = node().await;
    let token = token(&dir);
    let mut stream = TcpStream::connect(node.api()).await.unwrap();
    let request = format!(
        "POST /store/loan HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("lent") {
        assert!(stream.read_buf(&mut text).await.unwrap() > 0);
    }
    assert_eq!(
        Home::at(dir.path().to_owned()).holder().unwrap(),
        None,
        "the lock is free meanwhile"
    );
    drop(stream);
    let info = node.keeper().with(list, |tracker| tracker.info().unwrap().issues);
    let back = tokio::time::timeout(WAIT, info).await.unwrap();
    assert_eq!(back.unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn task_lists_and_issues_are_read_in_the_form_of_the_command_line() {
    let (dir, node, list) = node().await;
    let token = token(&dir);
    let filled = node.keeper().write(list, |tracker| {
        let first = tracker.create(&Draft::titled("one").with("priority", "1")).unwrap();
        let waiting = Draft::titled("two").with("blocked_by", "[\"PUMP-0001\"]");
        let labelled = waiting.with("labels", "[\"a\",\"b\"]");
        let second = tracker.create(&labelled).unwrap();
        tracker.create(&Draft::titled("three")).unwrap();
        Ok([first, second].map(|shown| shown.answer_json().unwrap()))
    });
    let [first, second] = filled.await.unwrap().unwrap();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let get = async |path: &str| {
        let (status, body) = ask(&node, &format!("GET {path}"), Some(&token), "").await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    };
    let names = |page: &Value| -> Vec<String> {
        let issues = page["issues"].as_array().unwrap().iter();
        issues.map(|issue| issue["title"].as_str().unwrap().to_owned()).collect()
    };
    let all = get("/issues").await;
    assert_eq!((names(&all).len(), &all["next_cursor"]), (3, &Value::Null));
    // Those that were made within a millisecond stand in any order.
    let is_first = |issue: &&Value| issue["title"] == "one";
    let listed = all["issues"].as_array().unwrap().iter().find(is_first);
    assert_eq!(listed, Some(&parsed(&first)));
    assert_eq!(names(&get("/issues?label=B,a&state=todo,review").await), ["two"]);
    assert_eq!(names(&get("/issues?priority=1,4").await), ["one"]);
    assert_eq!(names(&get("/issues?text=THR&list=pump").await), ["three"]);
    assert_eq!(names(&get("/issues/ready").await), ["one", "three"]);
    let mut seen = Vec::new();
    let mut page = get("/issues?limit=1").await;
    while let Some(cursor) = page["next_cursor"].as_str() {
        seen.extend(names(&page));
        page = get(&format!("/issues?limit=1&cursor={cursor}")).await;
    }
    seen.extend(names(&page));
    assert_eq!(seen, names(&all));
    assert_eq!(get("/issues/PUMP-0002").await, parsed(&second));
    let version = parsed(&second)["_version"].as_str().unwrap().to_owned();
    let known = format!("If-None-Match: \"{version}\"\r\n");
    assert_eq!(ask(&node, "GET /issues/PUMP-0002", Some(&token), &known).await.0, 304);
    let lists = get("/task-lists").await;
    let expected = json!({
        "id": list.to_string(), "name": "pump", "prefix": "PUMP", "issues": 3, "commits": 3,
        "role": "maintainer",
    });
    assert_eq!(lists, json!({"task_lists": [expected], "unopened": []}));
    assert_eq!(get("/task-lists/pump").await, expected);
    let members = get(&format!("/task-lists/{}/members", &list.to_string()[..8])).await;
    let me = node.agent().to_string();
    assert_eq!(
        members,
        json!({"members": [{"agent_id": me, "role": "maintainer", "is_own": true}], "revoked": []})
    );
    let (status, body) = ask(&node, "GET /issues/PUMP-0", Some(&token), "").await;
    assert_eq!((status, &body["error"]), (422, &json!("ambiguous")), "{body}");
    assert_eq!(body["candidates"].as_array().unwrap().len(), 3, "{body}");
}

/// Returns a body of JSON, with the head that it needs.
fn sent(body: &str) -> String {
    let length = body.len();
    format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_is_written_worked_on_and_ended_over_http() {
    let (dir, node, _) = node().await;
    let token = token(&dir);
    let act = async |request: &str, body: &str, expected: u16| {
        let (status, answer) = ask(&node, request, Some(&token), &sent(body)).await;
        assert_eq!(status, expected, "{request} {body}: {answer}");
        answer
    };
    let made = act("POST /issues", "{\"title\":\"one\",\"x_weight\":1.50}", 201).await;
    assert_eq!((&made["identifier"], &made["state"]), (&json!("PUMP-0001"), &json!("todo")));
    assert_eq!(made["x_weight"].to_string(), "1.50", "as it was spelled");
    let patch = "{\"priority\":1,\"_add\":{\"labels\":[\"Net\"]},\"_unset\":[\"x_weight\"]}";
    let edited = act("PATCH /issues/PUMP-0001", patch, 200).await;
    assert_eq!((&edited["priority"], &edited["labels"]), (&json!(1), &json!(["net"])));
    assert!(edited.get("x_weight").is_none());
    act("POST /issues/PUMP-0001/comments", "{\"body\":\"hm\",\"author\":\"ann\"}", 200).await;
    let claimed = act("POST /issues/claim?label=net", "{\"worker\":\"w\"}", 200).await;
    assert_eq!(
        (&claimed["identifier"], &claimed["claim"]["worker"]),
        (&json!("PUMP-0001"), &json!("w"))
    );
    let refused = act("POST /issues/PUMP-0001/claim", "{\"worker\":\"v\"}", 409).await;
    assert_eq!((&refused["error"], &refused["holder"]["worker"]), (&json!("claimed"), &json!("w")));
    let token_of_claim = claimed["claim"]["id"].as_str().unwrap();
    let holding = format!("{{\"worker\":\"w\",\"claim\":\"{token_of_claim}\"}}");
    act("POST /claims/heartbeat", &holding, 200).await;
    act("POST /claims/release", "{\"worker\":\"w\",\"reason\":\"lunch\"}", 200).await;
    let gone = act("POST /claims/heartbeat", &holding, 409).await;
    assert_eq!(gone["error"], "claim_lost");
    act("POST /issues/PUMP-0001/claim", "{\"worker\":\"w\"}", 200).await;
    let handoff = "{\"worker\":\"w\",\"handoff\":{\"summary\":\"done\"}}";
    assert_eq!(act("POST /claims/handoff", handoff, 200).await["state"], "review");
    let rule = "POST /issues/PUMP-0001/rulings";
    act(rule, "{\"ruling\":\"reopened\"}", 200).await;
    assert_eq!(act(rule, "{\"ruling\":\"done\"}", 200).await["state"], "done");
    let again = act(rule, "{\"ruling\":\"reopened\",\"reason\":\"not yet\"}", 200).await;
    assert_eq!(again["state"], "todo");
    let log = ask(&node, "GET /issues/PUMP-0001/log", Some(&token), "").await.1;
    assert!(log["entries"].as_array().unwrap().len() > 6, "{log}");
    assert!(act("DELETE /issues/PUMP-0001", "", 200).await["deleted_at"].is_string());
    let stale = "If-Match: \"0000000000000000\"\r\n";
    let (status, _) = ask(&node, "DELETE /issues/PUMP-0001", Some(&token), stale).await;
    assert_eq!(status, 412, "also of an issue that was removed");
    assert_eq!(ask(&node, "GET /issues", Some(&token), "").await.1["issues"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_refused_with_the_error_object_and_writes_nothing() {
    let (dir, node, list) = node().await;
    let token = token(&dir);
    let (_, made) = ask(&node, "POST /issues", Some(&token), &sent("{\"title\":\"one\"}")).await;
    let version = made["_version"].as_str().unwrap().to_owned();
    let stale = |body: &str| format!("If-Match: \"0000000000000000\"\r\n{}", sent(body));
    let long = "x".repeat(100 << 10);
    let titled = sent(&format!("{{\"title\":\"{long}\"}}"));
    let huge = sent(&format!("{{\"title\":\"a\",\"x\":\"{}\"}}", "x".repeat(1 << 20)));
    for (request, more, status, error) in [
        ("POST /issues", sent("{}"), 422, "invalid"),
        ("POST /issues", sent("{\"title\":\"\"}"), 422, "invalid"),
        ("POST /issues", titled, 422, "invalid"),
        ("POST /issues", huge, 413, "too_large"),
        ("POST /issues", sent("{\"title\":\"a\",\"title\":\"b\"}"), 400, "bad_request"),
        ("POST /issues", sent("[1]"), 400, "bad_request"),
        ("POST /issues", sent("{\"title\":\"a\"} x"), 400, "bad_request"),
        ("PATCH /issues/PUMP-0001", sent("{\"state\":\"wont_fix\"}"), 422, "invalid"),
        ("PATCH /issues/PUMP-0001", sent("{\"id\":\"x\"}"), 422, "invalid"),
        ("PATCH /issues/PUMP-0001", sent("{}"), 400, "bad_request"),
        ("PATCH /issues/PUMP-0001", stale("{\"title\":\"b\"}"), 412, "version_mismatch"),
        ("PATCH /issues/PUMP-0009", sent("{\"title\":\"b\"}"), 404, "not_found"),
        ("POST /issues/PUMP-0001/rulings", sent("{\"ruling\":\"won\"}"), 422, "invalid"),
        ("POST /issues/PUMP-0001/rulings", sent("{\"ruling\":\"reopened\"}"), 422, "invalid"),
        (
            "POST /issues/PUMP-0001/rulings",
            sent("{\"ruling\":\"done\",\"of\":\"x\"}"),
            400,
            "bad_request",
        ),
        ("POST /issues/PUMP-0001/claim", sent("{\"worker\":\"w\",\"x\":1}"), 422, "invalid"),
        ("POST /claims/heartbeat", sent("{\"worker\":\"w\"}"), 404, "no_claim"),
        ("POST /issues/import", sent(""), 400, "bad_request"),
        ("POST /issues/import?file=f", sent("no record\n"), 422, "bad_lines"),
        ("PUT /issues/PUMP-0001", sent("{}"), 405, "wrong_method"),
    ] {
        let (found, body) = ask(&node, request, Some(&token), &more).await;
        let shown: String = more.chars().rev().take(60).collect::<String>().chars().rev().collect();
        assert_eq!((found, &body["error"]), (status, &json!(error)), "{request} {shown}: {body}");
        assert!(!body["hint"].as_str().unwrap().is_empty(), "{body}");
    }
    let (_, page) = ask(&node, "GET /issues", Some(&token), "").await;
    assert_eq!(
        (page["issues"].as_array().unwrap().len(), &page["issues"][0]["_version"]),
        (1, &json!(version))
    );
    let (status, body) = ask(&node, "GET /status", Some(&token), "x0x-api: 99\r\n").await;
    assert_eq!((status, &body["error"]), (426, &json!("api_version")));
    assert!(body["detail"].as_str().unwrap().contains("speaks version 1"), "{body}");
    let commits = node.keeper().with(list, |tracker| tracker.info().unwrap().commits).await;
    assert_eq!(commits.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_and_comes_out_as_it_was() {
    let (dir, node, _) = node().await;
    let token = token(&dir);
    let line = "{\"id\":\"A-1\",\"title\":\"one\",\"x\":1e400}\n";
    let import = |name: &str| format!("POST /issues/import?file={name}");
    let (status, report) = ask(&node, &import("f"), Some(&token), &sent(line)).await;
    assert_eq!((status, &report["created"]), (200, &json!(["A-1"])), "{report}");
    let mut stream = TcpStream::connect(node.api()).await.unwrap();
    let head = format!(
        "GET /issues/export?file=f HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let hash = blake3::hash(line.as_bytes()).to_hex();
    assert!(text.contains(line) && text.contains(&format!("etag: \"{hash}\"")), "{text}");
    let noted = format!("{{\"file\":\"f\",\"hash\":\"{hash}\"}}");
    assert_eq!(ask(&node, "POST /issues/exported", Some(&token), &sent(&noted)).await.0, 200);
    let other = noted.replace(&hash.to_string(), &"0".repeat(64));
    let (status, body) = ask(&node, "POST /issues/exported", Some(&token), &sent(&other)).await;
    assert_eq!((status, &body["error"]), (409, &json!("not_imported")));
}

/// The log of a program, for a node to change.
#[derive(Debug)]
struct Kept(std::sync::Mutex<Filter>);

impl Log for Kept {
    fn filter(&self) -> Filter {
        self.0.lock().unwrap().clone()
    }

    fn set_filter(&self, filter: Filter) {
        *self.0.lock().unwrap() = filter;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_of_the_log_is_shown_and_set_by_who_has_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(Kept(std::sync::Mutex::new("info".parse().unwrap())));
    let config = config(&dir, "127.0.0.1:0".parse().unwrap());
    let node = Node::start(Config { log: Some(log.clone()), ..config }).await.unwrap();
    let token = token(&dir);
    let put = |filter: Value| {
        let body = json!({"filter": filter}).to_string();
        let length = body.len();
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let (status, shown) = ask(&node, "GET /log-level", Some(&token), "").await;
    assert_eq!((status, shown), (200, json!({"filter": "info"})));
    let good = put(json!("warn,x0x::node=debug"));
    assert_eq!(ask(&node, "PUT /log-level", None, &good).await.0, 401);
    assert_eq!(log.filter().to_string(), "info");
    let (status, set) = ask(&node, "PUT /log-level", Some(&token), &good).await;
    assert_eq!((status, set), (200, json!({"filter": "warn,x0x::node=debug"})));
    for (filter, why) in [(json!("wran"), "'warn' is meant?"), (json!("info,debug"), "two levels")]
    {
        let (status, error) = ask(&node, "PUT /log-level", Some(&token), &put(filter)).await;
        assert_eq!((status, &error["error"]), (422, &json!("bad_filter")));
        assert!(error["detail"].as_str().unwrap().contains(why), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("info,x0x::node=debug"), "{error}");
    }
    let (status, _) = ask(&node, "PUT /log-level", Some(&token), &put(json!(7))).await;
    assert_eq!(status, 422);
    assert_eq!(log.filter().to_string(), "warn,x0x::node=debug");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_a_log_to_change_says_so() {
    let (dir, node, _) = node().await;
    let (status, error) = ask(&node, "GET /log-level", Some(&token(&dir)), "").await;
    assert_eq!((status, &error["error"]), (404, &json!("no_log")));
    node.stop().await;
}

/// A node whose programs have little time.
async fn hasty(limits: Limits) -> (TempDir, Node, String) {
    let dir = tempfile::tempdir().unwrap();
    Home::at(dir.path().to_owned()).found("pump", "PUMP", WAIT).unwrap();
    let config = Config { limits, ..config(&dir, "127.0.0.1:0".parse().unwrap()) };
    let node = Node::start(config).await.unwrap();
    let token = token(&dir);
    (dir, node, token)
}

/// Sends the beginning of a request, and returns what is answered until the node hangs up.
async fn begun(node: &Node, text: &str) -> String {
    let mut stream = TcpStream::connect(node.api()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let heard = stream.read_to_string(&mut answer);
    // A reset says as much as an end.
    let _reset = tokio::time::timeout(WAIT, heard).await.expect("the node hangs up");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_say_what_it_wants_in_time_is_hung_up_on() {
    let wait = Duration::from_millis(200);
    let limits = Limits { head_wait: wait, body_wait: wait, ..Limits::default() };
    let (_dir, node, token) = hasty(limits).await;
    assert_eq!(begun(&node, "").await, "", "it says nothing");
    let answer = begun(&node, "GET /health HTTP/1.1\r\nHost: local").await;
    assert!(answer.is_empty() || answer.contains("408"), "{answer}");
    let more = "Content-Type: application/json\r\nContent-Length: 20\r\nConnection: close";
    let bearer = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n\r\n");
    let answer = begun(&node, &format!("POST /issues HTTP/1.1\r\n{bearer}{{\"ti")).await;
    assert!(answer.contains(" 408 ") && answer.contains("too_slow"), "{answer}");
    let import = "POST /issues/import?file=a HTTP/1.1\r\n";
    let answer = begun(&node, &format!("{import}{bearer}{{\"ti")).await;
    assert!(answer.contains(" 408 ") && answer.contains("too_slow"), "{answer}");
    assert_eq!(ask(&node, "GET /issues", Some(&token), "").await.1["issues"], json!([]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_an_answer_is_hung_up_on_and_others_are_answered() {
    let limits = Limits { take_wait: Duration::from_millis(300), ..Limits::default() };
    let (dir, node, token) = hasty(limits).await;
    let client = Client::of(dir.path()).unwrap();
    let text = "x".repeat(500_000);
    for n in 0..20 {
        let issue = json!({"title": format!("issue {n}"), "description": text});
        let _made: Value = client.post("/issues", &issue).unwrap();
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(node.api()).await.unwrap();
    let bearer = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let request = format!("GET /issues HTTP/1.1\r\n{bearer}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 16];
    stream.read_exact(&mut first).await.unwrap();
    // It takes nothing for longer than it may; what the system keeps for it is all it gets then.
    let begun = x0x::time::origin();
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(ask(&node, "GET /health", None, "").await.0, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut rest = Vec::new();
    let heard = tokio::time::timeout(WAIT, stream.read_to_end(&mut rest)).await;
    heard.expect("the node hung up").ok();
    assert!(rest.len() < 19 * text.len(), "all of it came: {}", rest.len());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_until_another_ends() {
    let limits = Limits { connections_max: 3, ..Limits::default() };
    let (_dir, node, _token) = hasty(limits).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(node.api()).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        open.push(stream);
    }
    let fourth = ask(&node, "GET /health", None, "");
    tokio::pin!(fourth);
    let early = tokio::time::timeout(Duration::from_millis(500), fourth.as_mut()).await;
    assert!(early.is_err(), "it was answered beside three others");
    open.pop();
    let (status, _) = tokio::time::timeout(WAIT, fourth).await.expect("there is room now");
    assert_eq!(status, 200);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_answers_whatever_it_has_written() {
    for _ in 0..5 {
        let patient = Limits { stop_wait: WAIT, ..Limits::default() };
        let (dir, node, _token) = hasty(patient).await;
        let client = Arc::new(Client::of(dir.path()).unwrap());
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let client = client.clone();
                tokio::task::spawn_blocking(move || {
                    let mut answered = 0;
                    for n in 0.. {
                        let issue = json!({"title": format!("{writer}, {n}")});
                        match client.post::<Value>("/issues", &issue) {
                            Ok(_) => answered += 1,
                            Err(_stopped) => break,
                        }
                    }
                    answered
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        node.stop().await;
        drop(node);
        let mut answered = 0;
        for writer in writers {
            answered += writer.await.unwrap();
        }
        let home = Home::at(dir.path().to_owned());
        let list = home.list_named(None, WAIT).unwrap();
        let written = home.read(list).unwrap().info().unwrap().issues;
        assert!(answered > 0);
        assert_eq!(written, answered, "written and answered");
    }
}
