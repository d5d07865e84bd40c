//! `x0x invite`: a ticket for somebody who is to join.

use std::io::Write;

use serde_json::{Value, json};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::timestamp::Timestamp;

use super::node::client;
use crate::args::node::InviteArgs;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Prints a ticket, and nothing else.
pub fn run(session: &Session, args: &InviteArgs) -> Result<Exit, CliError> {
    let list = session.list()?;
    let lifetime_ms = u64::try_from(args.expires.as_millis()).unwrap_or(u64::MAX);
    let body = json!({"role": Role::from(args.role).name(), "lifetime_ms": lifetime_ms});
    let answer: Value = client(session)?.post(&format!("/task-lists/{list}/invites"), &body)?;
    let expires_at = Timestamp(answer["expires_at_ms"].as_i64().unwrap_or_default()).to_string();
    let ticket = answer["ticket"].as_str().unwrap_or_default();
    let (output, role) = (session.output, &answer["role"]);
    if output.json {
        output.json(&json!({"ticket": ticket, "role": role, "expires_at": expires_at}))?;
    } else {
        output.data(|stdout| writeln!(stdout, "{ticket}"))?;
        let role = role.as_str().unwrap_or_default();
        output.note(&format!("For one {role}, until {expires_at}: x0x join TICKET"));
    }
    Ok(Exit::Done)
}
