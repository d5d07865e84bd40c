//! What goes on inside the node, over HTTP.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::errors::{Failure, Failures};
use super::schema::DmRow;
use crate::dm::{BYTES_MAX, MESSAGES_MAX, Row};
use crate::node::{MailView, Node};
use crate::pump::{PumpView, TopicView};

/// What became of direct messages since the node was started.
#[utoipa::path(get, path = "/diagnostics/dm", tag = "diagnostics",
    responses((status = 200, body = DmDiagnostics), Failures))]
pub(super) async fn dm(State(node): State<Node>) -> Result<Json<DmDiagnostics>, Failure> {
    let MailView { rows, depth, unopened, strangers } = node.mailbox().view().await?;
    let waiting =
        |depth, bytes| Waiting { depth, bytes, capacity: MESSAGES_MAX, bytes_capacity: BYTES_MAX };
    Ok(Json(DmDiagnostics {
        rows,
        outbox: waiting(depth.outbox, depth.outbox_bytes),
        inbox: waiting(depth.inbox, depth.inbox_bytes),
        outbox_by_peer: depth.outbox_by_peer,
        unopened,
        strangers,
    }))
}

/// What became of direct messages since the node was started.
#[derive(Serialize, ToSchema)]
pub(super) struct DmDiagnostics {
    /// By peer and way; one of the loopback is always there.
    #[schema(value_type = Vec<DmRow>)]
    rows: Vec<Row>,
    /// Messages to be delivered.
    outbox: Waiting,
    /// Messages that came and were not released.
    inbox: Waiting,
    /// How many messages wait to be delivered to each agent.
    outbox_by_peer: BTreeMap<String, usize>,
    /// Sealed frames that came and could not be opened: they were sealed for an earlier run of the node.
    unopened: u64,
    /// Messages that came of agents that are no members.
    strangers: u64,
}

/// How much waits, and how much may.
#[derive(Serialize, ToSchema)]
pub(super) struct Waiting {
    depth: usize,
    bytes: usize,
    capacity: usize,
    bytes_capacity: usize,
}

/// What waits between the network and the node since it was started, by lane and peer, and who follows what.
#[utoipa::path(get, path = "/diagnostics/gossip", tag = "diagnostics",
    responses((status = 200, body = GossipDiagnostics), Failures))]
pub(super) async fn gossip(State(node): State<Node>) -> Json<GossipDiagnostics> {
    Json(GossipDiagnostics { pump: node.pump(), topics: node.topics() })
}

/// What waits between the network and the node, and who follows what.
#[derive(Serialize, ToSchema)]
pub(super) struct GossipDiagnostics {
    #[serde(flatten)]
    pump: PumpView,
    /// What can be followed.
    topics: Vec<TopicView>,
}
