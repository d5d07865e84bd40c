//! Who belongs to a task list.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::id::AgentId;
use crate::journal::charter::{Revoked, Role};

/// An agent that has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub agent: AgentId,
    /// What it may do.
    pub role: Role,
    /// Whether it is the agent whose store this is.
    pub is_own: bool,
}

/// Everybody who has a role or had one, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Who has one.
    pub members: Vec<Member>,
    /// From whom it was taken, and not given back.
    pub revoked: Vec<Revoked>,
}

impl Members {
    /// Returns it as programs are given it.
    pub fn answer_json(&self) -> String {
        let member = |Member { agent, role, is_own }: &Member| json!({"agent_id": agent.to_string(), "role": role, "is_own": is_own});
        let revoked = |Revoked { agent, by, at, reason }: &Revoked| {
            json!({
                "agent_id": agent.to_string(),
                "by": by.to_string(),
                "at": at.to_string(),
                "reason": reason,
            })
        };
        json!({
            "members": self.members.iter().map(member).collect::<Vec<_>>(),
            "revoked": self.revoked.iter().map(revoked).collect::<Vec<_>>(),
        })
        .to_string()
    }
}
