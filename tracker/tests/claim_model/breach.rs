//! What must never come about, and rules that can be broken to see the checker find it.

/// What must never come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// The same records name another winner when they come in another order.
    OrderMatters,
    /// A fence does not grow along a branch, or two claims share a token.
    FenceOrToken,
    /// A handoff that nobody sent back is not shown.
    HandoffLost,
    /// Nobody ended the issue or handed it off, and a worker may neither claim it nor take it over.
    NobodyMayClaim,
    /// A holder was told that it lost, and is told again that it holds.
    ToldLostHoldsAgain,
    /// An act had no effect where it was done.
    NoEffect,
    /// A record that was written by the rules would be refused.
    Refused,
    /// Everybody has heard everything, and somebody believes who does not hold the issue, or the holder
    /// does not.
    WrongBelief,
}

/// All of them, with their names.
pub const BREACHES: [(Breach, &str); 8] = [
    (Breach::OrderMatters, "the winner does not depend on the order of arrival"),
    (Breach::FenceOrToken, "the fence grows along a branch and no two claims share a token"),
    (Breach::HandoffLost, "a handoff is never lost"),
    (
        Breach::NobodyMayClaim,
        "what is open may be claimed, and what is held taken over, by every worker",
    ),
    (Breach::ToldLostHoldsAgain, "who was told that a claim is lost is never told that it holds"),
    (Breach::NoEffect, "every act has its effect where it is done"),
    (Breach::Refused, "what is written by the rules is admitted"),
    (Breach::WrongBelief, "once all is heard the holder believes, and nobody else"),
];

/// A rule that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Who lost writes that it gives the claim up.
    LosersAbandon,
    /// A claim has bytes of its own.
    ClaimsHaveNonces,
    /// A contest counts.
    ContestsCount,
    /// A reopen counts.
    ReopensCount,
    /// The end that a maintainer puts to a claim counts.
    ForcedEndsCount,
    /// A handoff counts.
    HandoffsCount,
    /// The order of arrival does not count.
    FirstArrivedDoesNotCount,
    /// A claim starts from the winner that its author knows.
    ClaimsStartFromTheWinner,
}

/// Every rule, and a breach that leaving it out leads to.
pub const RULES: [(Rule, Breach); 8] = [
    (Rule::LosersAbandon, Breach::ToldLostHoldsAgain),
    (Rule::ClaimsHaveNonces, Breach::FenceOrToken),
    (Rule::ContestsCount, Breach::NoEffect),
    (Rule::ReopensCount, Breach::NoEffect),
    (Rule::ForcedEndsCount, Breach::NoEffect),
    (Rule::HandoffsCount, Breach::HandoffLost),
    (Rule::FirstArrivedDoesNotCount, Breach::OrderMatters),
    (Rule::ClaimsStartFromTheWinner, Breach::Refused),
];
