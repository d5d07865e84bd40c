//! What a replica is told, and what it wants done.

use std::sync::Arc;

use x0x_tracker::id::{AgentId, LogId};
use x0x_tracker::journal::charter::Charter;
use x0x_tracker::journal::commit::Position;
use x0x_tracker::journal::frontier::Frontier;
use x0x_tracker::journal::run::Proved;
use x0x_tracker::tasklist::Verdict;

use crate::wire::{Payload, Standing};

/// What a replica is told.
#[derive(Debug)]
pub enum Input {
    /// A link stands to a member of the list.
    PeerUp(AgentId),
    /// It is gone.
    PeerDown(AgentId),
    /// A neighbour says how far it is.
    Digest {
        /// Who.
        from: AgentId,
        /// Its digest.
        hash: [u8; 32],
        /// Whether it asks for this side's.
        wants_answer: bool,
    },
    /// A neighbour says that logs moved.
    News {
        /// Who.
        from: AgentId,
        /// Where to.
        places: Vec<(LogId, Position)>,
    },
    /// A commit came by gossip; its author is known.
    Offered {
        /// Who passed it on.
        from: AgentId,
        /// The commit.
        commit: Proved,
    },
    /// The gossip offered something that did not come, or a queue lost something: ask that neighbour.
    Missed(AgentId),
    /// A neighbour says how far it is.
    Standing {
        /// Who.
        from: AgentId,
        /// How far it is.
        standing: Standing,
        /// Whether it says so at the end of all that it had for this side; otherwise it asks.
        after_all: bool,
    },
    /// The store judged what [`Effect::Judge`] gave it.
    Judged {
        /// The commits.
        commits: Vec<Proved>,
        /// What became of each.
        verdicts: Vec<Verdict>,
    },
    /// A part of the answer to a pull is stored.
    Received {
        /// From whom it came.
        from: AgentId,
        /// Where logs are now.
        places: Vec<(LogId, Position)>,
        /// The charter, where it has more statements now.
        charter: Option<Arc<Charter>>,
    },
    /// A neighbour keeps commits that do not count there.
    Lost {
        /// Who.
        from: AgentId,
        /// Where they stood.
        places: Vec<(LogId, Position)>,
    },
    /// A pull is over: everything came, or it broke off.
    Pulled {
        /// From whom.
        from: AgentId,
        /// Whether it came to its end.
        is_whole: bool,
    },
    /// This store has commits of its own that are on disk.
    Wrote {
        /// Where its log is now.
        place: (LogId, Position),
        /// What tells everybody; where there is none, neighbours are told the place.
        payload: Option<Payload>,
    },
    /// The store is as far as this, whatever was known before.
    Refreshed {
        /// Where logs are.
        frontier: Frontier,
        /// The charter.
        charter: Arc<Charter>,
    },
    /// The deadline passed.
    Tick,
}

/// What a replica wants done.
#[derive(Debug)]
pub enum Effect {
    /// Say how far this replica is.
    Digest {
        /// To whom.
        to: AgentId,
        /// The digest.
        hash: [u8; 32],
        /// Whether to ask for the other's.
        wants_answer: bool,
    },
    /// Say that logs moved.
    News {
        /// To whom.
        to: AgentId,
        /// Where to.
        places: Vec<(LogId, Position)>,
    },
    /// Ask for what is lacking here; answered by [`Input::Pulled`].
    Pull {
        /// Whom.
        from: AgentId,
        /// How far this replica is.
        standing: Standing,
    },
    /// Have commits judged, in this order; answered by [`Input::Judged`].
    Judge(Vec<Proved>),
    /// Broadcast to all.
    Broadcast(Payload),
    /// A neighbour has another commit in some place of a log, or knows one to be void that would stand
    /// there: find out where they part.
    Fork {
        /// Who.
        with: AgentId,
        /// Which log.
        log: LogId,
        /// A place in it that the neighbour has, or that is behind all that it has.
        theirs: Position,
    },
    /// A neighbour knows more of logs of this agent's than its own store does, or knows commits of them
    /// not to count.
    OwnLogs {
        /// Who.
        with: AgentId,
        /// Which logs, and where there is one the commit that does not count;
        /// [`OWN_PLACES_MAX`](super::OWN_PLACES_MAX).
        places: Vec<(LogId, Option<Position>)>,
    },
}
