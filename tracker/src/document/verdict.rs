//! Writing the state: a field while nobody has claimed or ruled, a ruling where it ends the issue, a
//! reopen where it opens one that was over.

use super::Content;
use super::edit::{Edit, same};
use crate::claim::record::{Act, Reopen, Ruling, Verdict};
use crate::claim::tree::{Phase, Tree};
use crate::id::RecordHash;
use crate::issue::as_text;
use crate::state::{self, State};

/// Returns why the state cannot be written: it follows from a claim. `None` where it can.
///
/// Whether the writer may end issues and open them again is not asked here.
pub fn obstacle(now: &Content, wanted: Option<&str>) -> Option<&'static str> {
    if verdict_of(wanted).is_some() || same(now.issue.json("state"), wanted) {
        return None;
    }
    match now.tree.phase() {
        Phase::Held(_) => Some("somebody works on the issue"),
        Phase::Review(_) => Some("the issue was handed off"),
        Phase::Ruled(_) | Phase::Open => None,
    }
}

impl Edit {
    /// Sets the state; where [`obstacle`] stands in the way, writes nothing.
    pub fn set_state(&mut self, now: &Content, wanted: Option<&str>, reason: Option<&str>) {
        let stored = now.registers.get("state").map(String::as_str);
        let is_disputed = now.issue.conflicts.contains_key("state");
        let is_shown = same(now.issue.json("state"), wanted);
        match verdict_of(wanted) {
            _ if now.registers.is_empty() => self.store_state(stored, wanted),
            Some(_) if is_shown && !is_disputed => {}
            Some(verdict) => self.acts.push(ruling(&now.tree, verdict, reason)),
            None if obstacle(now, wanted).is_some() => {}
            None if matches!(now.tree.phase(), Phase::Held(_) | Phase::Review(_)) => {}
            None if is_review(wanted) && waits_behind_verdict(&now.tree) => {
                // The handoff is there still, and the state follows from it.
                self.acts.push(reopen_verdicts(&now.tree, reason));
            }
            None => {
                if is_over(now) || (is_disputed && !now.tree.verdicts().is_empty()) {
                    self.acts.extend(reopen(&now.tree, reason));
                }
                if is_disputed || !same(stored, wanted) {
                    self.store_state(None, wanted);
                }
            }
        }
    }

    /// Sends the issue back to be worked on: answers every ruling and handoff, and opens the stored
    /// state where that is over or in review.
    pub fn reopen(&mut self, now: &Content, reason: Option<&str>) {
        self.acts.extend(reopen(&now.tree, reason));
        let stored = now.registers.get("state").and_then(|json| as_text(json));
        let known = stored.as_deref().and_then(State::parse);
        if state::is_terminal(stored.as_deref()) || known == Some(State::Review) {
            self.store_state(None, Some("\"todo\""));
        }
    }

    fn store_state(&mut self, stored: Option<&str>, wanted: Option<&str>) {
        if stored.is_none() || !same(stored, wanted) {
            self.registers.insert("state".to_owned(), wanted.map(str::to_owned));
        }
    }
}

/// Returns the verdict that a spelled state is; `None` for one that ends nothing.
fn verdict_of(json: Option<&str>) -> Option<Verdict> {
    let text = json.and_then(as_text)?;
    State::parse(&text).and_then(Verdict::of_state)
}

fn is_over(now: &Content) -> bool {
    matches!(now.tree.phase(), Phase::Ruled(_)) || now.issue.is_terminal()
}

fn ruling(tree: &Tree, verdict: Verdict, reason: Option<&str>) -> Act {
    let ends = tree.winner().filter(|claim| tree.is_live(*claim));
    let answers = sorted(tree.verdicts().to_vec());
    Act::Ruling(Ruling { verdict, answers, ends, reason: reason.map(str::to_owned) })
}

/// Returns the reopen of everything that was ruled or handed off; `None` where nothing was.
fn reopen(tree: &Tree, reason: Option<&str>) -> Option<Act> {
    let handoffs = tree.standing_handoffs().into_iter().map(|(end, _)| end);
    let answers = sorted(tree.verdicts().iter().copied().chain(handoffs).collect());
    let reason = reason.map(str::to_owned);
    (!answers.is_empty()).then_some(Act::Reopen(Reopen { answers, reason }))
}

/// Returns the reopen of everything that was ruled; what was handed off waits for a verdict again.
fn reopen_verdicts(tree: &Tree, reason: Option<&str>) -> Act {
    let answers = sorted(tree.verdicts().to_vec());
    Act::Reopen(Reopen { answers, reason: reason.map(str::to_owned) })
}

/// Tells whether the work of an issue that was ruled on was handed off.
fn waits_behind_verdict(tree: &Tree) -> bool {
    matches!(tree.phase(), Phase::Ruled(_))
        && tree.winner().is_some_and(|claim| tree.is_handed_off(claim))
}

fn is_review(wanted: Option<&str>) -> bool {
    wanted.and_then(as_text).as_deref().and_then(State::parse) == Some(State::Review)
}

fn sorted(mut hashes: Vec<RecordHash>) -> Vec<RecordHash> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}
