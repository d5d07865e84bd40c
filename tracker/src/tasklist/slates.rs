//! The slate of an issue, as this store's agent knows it: the one that a shard record says, or the one that
//! the first claim would draw of those members that are there.

use super::edition::Edition;
use super::watching::{Outlook, Watching};
use crate::claim::record::{Shard, TTL_MS_DEFAULT};
use crate::claim::{Tree, slate};
use crate::document::Content;
use crate::id::AgentId;
use crate::interface::TrackerError;
use crate::store::Tables;

/// Returns the agents that are preferred for an issue, in order.
pub(super) fn of(
    watching: &Watching<'_, impl Tables>,
    tree: &Tree,
) -> Result<Vec<AgentId>, TrackerError> {
    if let Some((_, shard)) = tree.shard() {
        return Ok(shard.slate.clone());
    }
    drawn(watching, tree.issue())
}

/// Returns the slate that the first claim on an issue would draw.
pub(super) fn drawn(
    watching: &Watching<'_, impl Tables>,
    issue: &str,
) -> Result<Vec<AgentId>, TrackerError> {
    Ok(slate::draw(issue, candidates(watching)?))
}

/// Returns the shard record of an issue that has none yet, or that is drawn anew.
pub(super) fn draw(edition: &Edition<'_>, content: &Content) -> Result<Shard, TrackerError> {
    let issue = content.issue.id();
    let watching = Watching::of(edition.tables(), edition.outlook());
    let considered = slate::considered(issue, candidates(&watching)?.to_vec());
    let mut charter = edition.charter().to_vec();
    charter.sort_unstable();
    let slate = slate::draw(issue, &considered);
    Ok(Shard { epoch: 0, charter, considered, slate, ttl_ms: TTL_MS_DEFAULT, reason: None })
}

/// Returns the agents that a slate is drawn of: the members that may work and are there, and this agent, who
/// is the only one that is known to be without a node.
fn candidates<'w>(watching: &'w Watching<'_, impl Tables>) -> Result<&'w [AgentId], TrackerError> {
    if let Some(known) = watching.candidates.get() {
        return Ok(known);
    }
    let Outlook { agent, uptime, .. } = watching.outlook();
    let workers = watching.workers()?;
    let may_work = |agent: &AgentId| workers.is_none_or(|workers| workers.contains(agent));
    let own = agent.filter(|own| may_work(own));
    let online = watching.around().into_iter().flat_map(|around| around.online(*uptime));
    let mut agents: Vec<AgentId> = online.filter(may_work).chain(own).collect();
    if agents.is_empty() {
        // Somebody must be on it: whoever draws it.
        agents.extend(*agent);
    }
    agents.sort_unstable();
    agents.dedup();
    Ok(watching.candidates.get_or_init(|| agents))
}
