//! What happens, in the log.

use x0x_tracker::journal::commit::RULES_VERSION;

use crate::hub::Note;

/// Logs what happened; what a person should look at, as a warning.
pub(super) fn log(note: &Note) {
    match note {
        Note::Shared { peer, list } => {
            tracing::info!(peer = %peer.short(), list = %list.short(), "link up: a peer shares a list");
        }
        Note::Gone { peer } => tracing::info!(peer = %peer.short(), "link down"),
        Note::Breach { peer, what } => {
            tracing::warn!(peer = %peer.short(), what, "a peer broke the protocol: link ended");
        }
        Note::Newer { peer, rules } => {
            tracing::warn!(peer = %peer.short(), rules, known = RULES_VERSION,
                "a peer follows newer rules: what it writes waits for a newer program here");
        }
        Note::Joined { list, role, .. } => {
            tracing::info!(list = %list.short(), role = role.name(), "a list was joined");
        }
        Note::NotJoined { list, why, .. } => {
            tracing::warn!(list = %list.short(), why = why.text(), "a ticket was refused");
        }
        Note::Stranger { peer } => {
            tracing::info!(peer = %peer.short(), "a peer that shares no list was refused");
        }
        Note::Unreachable { address, why } => {
            tracing::info!(%address, ?why, "a node refused the link");
        }
    }
}
