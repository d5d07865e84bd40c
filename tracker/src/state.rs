//! The states of an issue, and which of them end it.
//!
//! A state that is not one of these is kept as spelled; it is neither ready nor ended.

/// A state that x0x knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting to be taken.
    Todo,
    /// Somebody works on it.
    InProgress,
    /// Handed off; waits for a verdict.
    Review,
    /// Set aside by a person, whatever its blockers say.
    Blocked,
    /// Finished.
    Done,
    /// Given up.
    Cancelled,
    /// The same work as another issue.
    Duplicate,
}

impl State {
    /// Every known state, in the order in which work usually passes through them.
    pub const ALL: [Self; 7] = [
        Self::Todo,
        Self::InProgress,
        Self::Review,
        Self::Blocked,
        Self::Done,
        Self::Cancelled,
        Self::Duplicate,
    ];

    /// Returns the state that `text` spells, ignoring case and surrounding space.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|state| state.name().eq_ignore_ascii_case(text))
    }

    /// Returns the spelling in JSONL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::InProgress => "in_progress",
            Self::Review => "review",
            Self::Blocked => "blocked",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Duplicate => "duplicate",
        }
    }

    /// Tells whether the issue is over, so that it blocks nothing any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Duplicate)
    }

    /// Returns one sentence on what the state means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Todo => "waiting to be taken; ready once every blocker has ended",
            Self::InProgress => "somebody works on it",
            Self::Review => "handed off; waits for a verdict",
            Self::Blocked => "set aside by a person, whatever its blockers say",
            Self::Done => "finished (ends the issue)",
            Self::Cancelled => "given up (ends the issue)",
            Self::Duplicate => "the same work as another issue (ends the issue)",
        }
    }
}

/// Tells whether a spelled state ends its issue; an unknown or absent one does not.
pub fn is_terminal(state: Option<&str>) -> bool {
    state.and_then(State::parse).is_some_and(State::is_terminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_varies_but_unknown_states_stay_unknown() {
        assert_eq!(State::parse(" In_Progress"), Some(State::InProgress));
        assert_eq!(State::parse("wont_fix"), None);
        assert!(!is_terminal(Some("wont_fix")));
        assert!(!is_terminal(None));
        assert!(is_terminal(Some("Done")));
        assert!(State::ALL.iter().all(|s| State::parse(s.name()) == Some(*s)));
    }
}
