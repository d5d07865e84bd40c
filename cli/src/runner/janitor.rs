//! What a node does for runners of its machine that are gone: where a claim of theirs was lost, the proofs are
//! kept apart without anybody asking for it. A runner that lives does that itself.

use std::time::Duration;

use serde_json::Value;
use x0x::home::Home;
use x0x::node::{Happened, Node};
use x0x::time;
use x0x_tracker::id::{AgentId, ListId};

use super::desk::Desk;
use super::haste::Haste;
use super::reach::Reach;
use super::recovery::{Found, Recovered, recover_others};

/// How long an issue is left alone that such a runner had: a runner's first backoff.
const RETRY_AFTER_MS: u64 = 10_000;

/// When it is tried again where something could not be dealt with: a node that has just started asks others
/// first whether they took over.
const AGAIN_AFTER: Duration = Duration::from_secs(15);

/// Looks after them until the node stops.
pub async fn look_after(node: Node, home: Home, wait: Duration) {
    let mut events = node.events().follow("who looks after runners", None);
    let (mut is_due, mut again_at) = (true, None);
    loop {
        if is_due {
            let (home, agent) = (home.clone(), node.agent());
            let recovering = tokio::task::spawn_blocking(move || recover(home, agent, wait));
            if let Ok(recovered) = recovering.await {
                let has_left = !recovered.complaints.is_empty();
                again_at = has_left.then(|| time::origin() + AGAIN_AFTER);
                log(&recovered);
            }
        }
        // However much happens meanwhile.
        let waited = match again_at {
            Some(at) => tokio::time::timeout_at(at, events.next()).await,
            None => Ok(events.next().await),
        };
        let me = node.agent().to_string();
        is_due = match waited {
            // Nothing happens any more.
            Ok(None) => return std::future::pending().await,
            Ok(Some(happened)) => happened.iter().any(|one| match one {
                Happened::Event(event) => is_loss(event.kind, &event.data, &me),
                Happened::Lagged { .. } => true,
            }),
            Err(_elapsed) => true,
        };
    }
}

fn is_loss(kind: &str, data: &str, me: &str) -> bool {
    // A handoff may be that of whoever took over.
    matches!(kind, "lost" | "released" | "handed_off" | "ended")
        && serde_json::from_str::<Value>(data).is_ok_and(|data| data["holder"]["agent"] == *me)
}

fn recover(home: Home, agent: AgentId, wait: Duration) -> Recovered {
    // Each that is gone left which list is meant, and from where its proofs are named.
    let list = ListId([0; 32]);
    let (worker, root) = (String::new(), home.dir().to_owned());
    let (ttl_ms, stops_isolated) = (None, false);
    let (haste, reach) = (Haste::default(), Reach::default());
    let desk = Desk { home, agent, list, wait, worker, ttl_ms, root, stops_isolated, haste, reach };
    recover_others(&desk, RETRY_AFTER_MS)
}

fn log(recovered: &Recovered) {
    for Found { name, lost, .. } in &recovered.found {
        let how = lost.as_deref().unwrap_or("its runner is gone");
        x0x::logs::info(&format!("{name}: {how}; its proofs were completed"));
    }
    for complaint in &recovered.complaints {
        x0x::logs::warn(complaint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_this_agent_that_was_lost_is_told_from_others() {
        let data = |agent: &str| format!("{{\"holder\":{{\"agent\":\"{agent}\"}}}}");
        assert!(is_loss("lost", &data("me"), "me"));
        assert!(is_loss("handed_off", &data("me"), "me"));
        assert!(!is_loss("lost", &data("you"), "me") && !is_loss("claimed", &data("me"), "me"));
    }
}
