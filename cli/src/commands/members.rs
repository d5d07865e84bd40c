//! `x0x members`, `grant` and `revoke`: who belongs to the list, and what each may do.

use std::io::Write;

use x0x_tracker::interface::Members;
use x0x_tracker::journal::charter::Role;

use super::node::short;
use crate::args::members::{GrantArgs, RevokeArgs};
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::output::table::{self, Cell, Column};
use crate::resolve::Session;

/// Shows who belongs to the list, and who does no more.
pub fn list(session: &Session) -> Result<Exit, CliError> {
    let members = session.reader()?.members()?;
    answer(session, &members)
}

/// Gives an agent a role.
pub fn grant(session: &Session, args: &GrantArgs) -> Result<Exit, CliError> {
    let members = session.writer()?.grant(&args.agent, args.role.into())?;
    answer(session, &members)
}

/// Takes every role from an agent.
pub fn revoke(session: &Session, args: &RevokeArgs) -> Result<Exit, CliError> {
    let reason = Texts::default().read(&args.reason)?;
    let members = session.writer()?.revoke(&args.agent, &reason)?;
    answer(session, &members)
}

fn answer(session: &Session, members: &Members) -> Result<Exit, CliError> {
    let output = session.output;
    if output.json {
        output.data(|stdout| writeln!(stdout, "{}", members.answer_json()))?;
        return Ok(Exit::Done);
    }
    if members.members.is_empty() {
        output.note("Nobody is known to belong to the list; `x0x join TICKET` joins it.");
        return Ok(Exit::Done);
    }
    let name =
        |agent: &str| if output.verbose { agent.to_owned() } else { short(agent).to_owned() };
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for member in &members.members {
        let remark = if member.is_own { "this agent" } else { "" };
        let agent = name(&member.agent.to_string());
        rows.push(vec![Cell::new(&agent), Cell::new(member.role.name()), Cell::new(remark)]);
    }
    for revoked in &members.revoked {
        let by = name(&revoked.by.to_string());
        let remark = format!("by {by} at {}: {}", revoked.at, revoked.reason);
        let agent = name(&revoked.agent.to_string());
        rows.push(vec![Cell::new(&agent), Cell::new("revoked"), Cell::new(&remark)]);
    }
    let head = [Column::firm("agent"), Column::firm("role"), Column::soft("remark")];
    output.data(|stdout| table::write(stdout, &head, &rows, output.look))?;
    let maintainers = members.members.iter().filter(|member| member.role == Role::Maintainer);
    if maintainers.count() == 1 && members.members.len() > 1 {
        output.note(
            "One maintainer alone lets others in: `x0x grant AGENT --role maintainer` makes another.",
        );
    }
    Ok(Exit::Done)
}
