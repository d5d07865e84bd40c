//! The shapes of answers, for the OpenAPI document alone: issues are written as text, so that every field
//! stays as it is spelled, and no answer is made of these.

#![expect(dead_code, reason = "what the OpenAPI document says of answers; none is made of these")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What a member of a task list may do; each may do what the next may.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleName {
    Maintainer,
    Worker,
    Reader,
}

/// Messages with one peer over one way.
#[derive(Serialize, ToSchema)]
pub(super) struct DmRow {
    /// Its agent's id; this node's own for the loopback.
    peer: String,
    /// `loopback`, `quic` or `gossip`.
    path: String,
    /// Messages that were sent, each counted once.
    sent: u64,
    /// Messages of which the peer acknowledged that it has them.
    delivered: u64,
    /// How often one was sent again.
    retried: u64,
    /// Messages whose time was over.
    expired: u64,
    /// Messages that the peer did not take.
    refused: u64,
    /// Messages that came.
    received: u64,
    /// Messages that came again.
    duplicates: u64,
    /// Messages that came and were not taken.
    turned_away: u64,
    /// How long delivered messages took, in microseconds.
    latency_us_p50: Option<u64>,
    latency_us_p99: Option<u64>,
}

/// A new issue. Fields that x0x does not know are kept as they are.
#[derive(Serialize, ToSchema)]
pub(super) struct IssueDraft {
    /// At most 1 KiB, not empty.
    #[schema(min_length = 1, max_length = 1024)]
    title: String,
    identifier: Option<String>,
    description: Option<String>,
    /// 1 (urgent) to 4 (low), or null.
    #[schema(minimum = 1, maximum = 4)]
    priority: Option<i64>,
    /// todo, in_progress, review, blocked, done, cancelled or duplicate; the last three are for
    /// maintainers.
    state: Option<String>,
    branch_name: Option<String>,
    url: Option<String>,
    labels: Option<Vec<String>>,
    /// The issues that it waits for, by any of their names.
    blocked_by: Option<Vec<String>>,
    acceptance: Option<Vec<String>>,
    validation: Option<Vec<String>>,
    assignee: Option<String>,
    links: Option<Vec<Link>>,
    /// Any other field.
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// Something that an issue points to.
#[derive(Serialize, ToSchema)]
pub(super) struct Link {
    kind: String,
    url: String,
    note: Option<String>,
}

/// Changes of an issue: fields with their new values, and what is to be taken out, added and removed.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuePatch {
    /// Fields to take out.
    #[serde(rename = "_unset")]
    unset: Option<Vec<String>>,
    /// Elements to add to list fields.
    #[serde(rename = "_add")]
    add: Option<BTreeMap<String, Vec<Value>>>,
    /// Elements to remove from list fields.
    #[serde(rename = "_remove")]
    remove: Option<BTreeMap<String, Vec<Value>>>,
    /// Fields to set.
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// An issue: its record as it is exported, with `_version` and what is known of its claim.
#[derive(Serialize, ToSchema)]
pub(super) struct Issue {
    id: String,
    identifier: Option<String>,
    title: String,
    state: Option<String>,
    /// Who holds it, and how the claim stands.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    claim: Option<Value>,
    /// How often it was claimed.
    #[serde(rename = "_attempts")]
    attempts: Option<u64>,
    /// Its version: what `If-Match` takes, without the quotes.
    #[serde(rename = "_version")]
    version: Option<String>,
    /// Every other field of the record.
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// Issues, and where more would follow.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuePage {
    issues: Vec<Issue>,
    next_cursor: Option<String>,
}

/// Issues that can be worked on, and with `explain` why others can not.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    issues: Vec<Issue>,
    next_cursor: Option<String>,
    waiting: Option<Vec<WaitingIssue>>,
    cycles: Option<Vec<Vec<String>>>,
}

/// An open issue that is not ready.
#[derive(Serialize, ToSchema)]
pub(super) struct WaitingIssue {
    id: String,
    identifier: String,
    reason: String,
    blocked_by: Vec<String>,
}

/// How many issues there are of what kind.
#[derive(Serialize, ToSchema)]
pub(super) struct Counts {
    issues: u64,
    ready: u64,
    by_state: BTreeMap<String, u64>,
    by_priority: BTreeMap<String, u64>,
    held: u64,
    stale: u64,
    claims: u64,
    takeovers: u64,
    abandons: u64,
    handoffs: u64,
    rework: u64,
    deleted: u64,
    conflicts: u64,
    comments: u64,
    commits: u64,
    store_bytes: u64,
}

/// What happened to an issue, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Log {
    id: String,
    identifier: String,
    entries: Vec<LogEntry>,
    more: bool,
}

/// One change of an issue.
#[derive(Serialize, ToSchema)]
pub(super) struct LogEntry {
    at: String,
    agent: String,
    log: String,
    commit: Option<String>,
    number: Option<u64>,
    change: String,
    created: bool,
    fields: Vec<Value>,
}

/// Work that was handed off.
#[derive(Serialize, ToSchema)]
pub(super) struct Handoff {
    summary: Option<String>,
    files_changed: Option<Vec<String>>,
    validation: Option<Vec<Check>>,
    follow_up: Option<Vec<String>>,
    proofs_dir: Option<String>,
}

/// A command that was run, and what came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Check {
    command: String,
    status: String,
    note: Option<String>,
}

/// Every handoff of an issue.
#[derive(Serialize, ToSchema)]
pub(super) struct Handoffs {
    handoffs: Vec<Value>,
}

/// Claims that a worker has no longer.
#[derive(Serialize, ToSchema)]
pub(super) struct Losses {
    lost: Vec<Loss>,
}

/// A claim that a worker has no longer.
#[derive(Serialize, ToSchema)]
pub(super) struct Loss {
    identifier: String,
    claim: String,
    why: String,
}

/// What was taken back.
#[derive(Serialize, ToSchema)]
pub(super) struct Undone {
    /// The issue, or the list of issues of a commit, each with what was restored and what is left.
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// Issues with fields that hold several values.
#[derive(Serialize, ToSchema)]
pub(super) struct ConflictPage {
    issues: Vec<Conflicts>,
    next_cursor: Option<String>,
}

/// The disputed fields of an issue.
#[derive(Serialize, ToSchema)]
pub(super) struct Conflicts {
    id: String,
    identifier: String,
    conflicts: Vec<Value>,
    #[serde(rename = "_version")]
    version: String,
}

/// What an import did, or would do.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    file: String,
    dry_run: bool,
    attached: bool,
    records: u64,
    unchanged: u64,
    created: Vec<String>,
    edited: Vec<Value>,
    old_news: Vec<Value>,
    pending: Vec<Value>,
    refused: Vec<Value>,
    missing: Vec<String>,
    pruned: Vec<String>,
    collisions: Vec<String>,
    problems: Vec<Value>,
}

/// What a file is known to hold.
#[derive(Serialize, ToSchema)]
pub(super) struct Noted {
    hash: String,
}

/// A task list.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskList {
    id: String,
    name: String,
    prefix: String,
    issues: u64,
    commits: u64,
    /// This agent's role; null where it is no member.
    role: Option<RoleName>,
}

/// Task lists.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskLists {
    task_lists: Vec<TaskList>,
    /// Those that cannot be opened for now.
    unopened: Vec<Unopened>,
}

/// Who belongs to a task list.
#[derive(Serialize, ToSchema)]
pub(super) struct Members {
    members: Vec<Member>,
    /// Whose role was taken and not given back.
    revoked: Vec<Revoked>,
}

/// Who works on a task list.
#[derive(Serialize, ToSchema)]
pub(super) struct Workers {
    workers: Vec<Worker>,
}

/// A member of a task list, as somebody who works.
#[derive(Serialize, ToSchema)]
pub(super) struct Worker {
    agent_id: String,
    role: RoleName,
    /// Whether it is the agent of this node.
    is_own: bool,
    /// Whether it was heard in the last ten minutes.
    online: Option<bool>,
    /// Whether its link ended and nothing was heard of it since.
    gone: bool,
    /// How long ago it was heard, in milliseconds.
    heard_ms: Option<u64>,
    /// How busy its machine is, as it said: the load of a minute for each core, in percent.
    load_pct: Option<u16>,
    /// How many issues it holds.
    holds: u64,
    /// How many of those claims have lapsed.
    stale: u64,
    /// Those claims; at most 64.
    claims: Vec<HeldClaim>,
    /// Claims by which it took over those of other agents.
    takeovers: u64,
    /// Takeovers of its own claims that it contested.
    contests: u64,
    /// Claims that lost to another agent's, so that work was done or begun twice.
    duplicates: u64,
    /// Claims that it gave up since they were lost.
    abandons: u64,
}

/// A claim that an agent has.
#[derive(Serialize, ToSchema)]
pub(super) struct HeldClaim {
    identifier: String,
    id: String,
    worker: String,
    /// For how long no beat of it was seen, in milliseconds.
    silent_ms: Option<u64>,
    stale: bool,
}

/// An agent that has no role any more.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    agent_id: String,
    /// The agent who took it.
    by: String,
    /// When, by that agent's clock.
    at: String,
    reason: String,
}

/// A member of a task list.
#[derive(Serialize, ToSchema)]
pub(super) struct Member {
    agent_id: String,
    role: RoleName,
    /// Whether it is the agent of this node.
    is_own: bool,
}

/// A ticket for one agent.
#[derive(Serialize, ToSchema)]
pub(super) struct Invited {
    ticket: String,
    role: RoleName,
    /// When it expires, in Unix milliseconds.
    expires_at_ms: i64,
}

/// A task list that was joined.
#[derive(Serialize, ToSchema)]
pub(super) struct Joined {
    list: String,
    name: String,
    role: RoleName,
}

/// That somebody is there.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: String,
    /// The version of the program.
    version: String,
    /// The version of this interface.
    api: u32,
}

/// Who this agent is.
#[derive(Serialize, ToSchema)]
pub(super) struct Agent {
    agent_id: String,
    name: Option<String>,
    addresses: Vec<String>,
}

/// What a node says of itself.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    agent_id: String,
    version: String,
    pid: u32,
    listen: String,
    api: String,
    uptime_ms: i64,
    lists: Vec<ListStatus>,
    /// Lists that cannot be opened for now.
    unopened: Vec<Unopened>,
    joining: Vec<Vec<String>>,
    peers: u64,
}

/// A task list that cannot be opened for now; that is tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct Unopened {
    id: String,
    /// Who has it, or what is wrong with it.
    held_by: String,
}

/// A task list of a node.
#[derive(Serialize, ToSchema)]
pub(super) struct ListStatus {
    id: String,
    name: String,
    issues: u64,
    commits: u64,
    role: Option<RoleName>,
    peers: u64,
    /// What became of the beats that others sent: taken, old, forged, foreign, surplus.
    beats: BTreeMap<String, u64>,
}

/// The linked peers.
#[derive(Serialize, ToSchema)]
pub(super) struct Peers {
    peers: Vec<Peer>,
}

/// A linked peer.
#[derive(Serialize, ToSchema)]
pub(super) struct Peer {
    agent_id: String,
    address: String,
    outgoing: bool,
    rtt_ms: f64,
    version: String,
    rules: u16,
    lists: Vec<Value>,
}

/// Which events the node's program logs.
#[derive(Serialize, ToSchema)]
pub(super) struct LogLevel {
    /// A level (off, error, warn, info, debug or trace), and after commas levels of single parts, as in
    /// `info,x0x::node=debug`.
    #[schema(max_length = 1024)]
    filter: String,
}

/// That the node is about to end.
#[derive(Serialize, ToSchema)]
pub(super) struct Stopping {
    stopping: bool,
    /// The process that ends.
    pid: u32,
}
