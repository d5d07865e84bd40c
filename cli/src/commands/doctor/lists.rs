//! The task lists: whether they open, what they say of membership, and whether their times make sense.

use std::ops::ControlFlow;

use x0x_tracker::Tracker;
use x0x_tracker::id::ListId;
use x0x_tracker::interface::{Filter, Members, TrackerError};
use x0x_tracker::journal::charter::Role;
use x0x_tracker::timestamp::Timestamp;

use super::Findings;
use super::node::Running;
use crate::commands::node::short;
use crate::error::CliError;
use crate::resolve::Session;

/// An edit that is dated so far ahead was made by a clock that is wrong.
const AHEAD_MS: i64 = 5 * 60 * 1_000;

pub(super) fn look(
    session: &Session,
    node: Option<&Running>,
    is_deep: bool,
    findings: &mut Findings,
) {
    let lists = match session.home.list_ids() {
        Ok(lists) => lists,
        Err(error) => return findings.fail("store", &error.into()),
    };
    if lists.is_empty() {
        let hint = "`x0x init` makes one, `x0x join TICKET` joins one";
        findings.warn("store", "no task list yet", hint);
    }
    for list in lists {
        if let Err(error) = one(session, list, node, is_deep, findings) {
            findings.fail("store", &error);
        }
    }
}

fn one(
    session: &Session,
    list: ListId,
    node: Option<&Running>,
    is_deep: bool,
    findings: &mut Findings,
) -> Result<(), CliError> {
    session.check_node()?;
    let tracker = session.home.reader(list, session.lock_timeout)?.tracker;
    let info = tracker.info()?;
    let name = format!("{} ({})", info.name, short(&list.to_string()));
    let faults = match is_deep {
        true => session.home.check(list, session.lock_timeout)?,
        false => Vec::new(),
    };
    let said = format!("{name}: {} issues, {} commits", info.issues, info.commits);
    match faults.first() {
        None if is_deep => findings.pass("store", format!("{said}, every page and commit checked")),
        None => findings.pass("store", said),
        Some(fault) => {
            let what = format!("{name}: {} faults, the first: {fault}", faults.len());
            findings.fail("store", &TrackerError::Damaged { what }.into());
        }
    }
    // Without its key it is not known which of them this agent is.
    if session.home.known_identity().is_ok() {
        let linked = node.map(|node| node.linked(list));
        membership(&name, &tracker.members()?, linked, findings);
    }
    times(&name, &*tracker, findings)
}

fn membership(name: &str, members: &Members, linked: Option<u64>, findings: &mut Findings) {
    let Some(own) = members.members.iter().find(|member| member.is_own) else {
        let (detail, hint) = match members.members.is_empty() {
            true => ("not joined yet", "`x0x join TICKET` joins it; what is written here waits"),
            false => (
                "this agent has no role in it",
                "ask a maintainer (`x0x members`) for a grant or a ticket",
            ),
        };
        return findings.warn("members", format!("{name}: {detail}"), hint);
    };
    let count = members.members.len();
    let maintainers = members.members.iter().filter(|member| member.role == Role::Maintainer);
    let said = format!("{name}: {} of {count}", own.role.name());
    if count > 1 && maintainers.count() == 1 {
        let hint = match own.role {
            Role::Maintainer => "`x0x grant AGENT --role maintainer`: one alone cannot be replaced",
            _ => "one alone cannot be replaced: ask it to make another one",
        };
        findings.warn("members", format!("{said}, one maintainer alone"), hint);
    } else {
        findings.pass("members", said);
    }
    if count > 1 && linked == Some(0) {
        let detail = format!("{name}: {} other members, and none is linked", count - 1);
        findings.warn("peers", detail, "one of them has to run a node that this one can reach");
    }
}

fn times(name: &str, tracker: &dyn Tracker, findings: &mut Findings) -> Result<(), CliError> {
    let ahead = Timestamp(x0x::time::now_ms().saturating_add(AHEAD_MS));
    let filter =
        Filter { updated_since: Some(ahead.to_string()), limit: Some(1), ..Filter::default() };
    let mut found = None;
    tracker.list(&filter, &mut |shown| {
        found = Some(shown.name.clone());
        ControlFlow::Break(())
    })?;
    if let Some(issue) = found {
        let detail = format!("{name}: {issue} was edited in the future");
        findings.warn("clock", detail, "this clock is slow, or that of who edited it is fast");
    }
    Ok(())
}
