//! What to do about each refusal, in a sentence that names the command. No hint steers towards losing data.

use super::claims::duration;
use super::error::{TrackerError, hint_of};
use crate::journal::JournalError;

impl TrackerError {
    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound { .. } => {
                "`x0x issues list` shows every issue; a unique prefix of an id is enough".to_owned()
            }
            Self::NoMember { .. } => "`x0x members` shows who; `x0x invite` lets others in".to_owned(),
            Self::LastMaintainer { .. } => "first: x0x grant AGENT --role maintainer".to_owned(),
            Self::NoCommit { .. } => {
                "`x0x issues log ID` names the commits that changed an issue".to_owned()
            }
            Self::NotYet { .. } => "`x0x issues log ID` shows when it was changed".to_owned(),
            Self::WrittenSince { left } if left.iter().all(|(_, left)| left.by_force) => {
                "look at it with `x0x issues log ID`; --force takes it back all the same, and that \
                 can be undone too"
                    .to_owned()
            }
            Self::WrittenSince { .. } => {
                "look at it with `x0x issues log ID`, and edit the field by hand".to_owned()
            }
            Self::Refused { is_own: true, .. } => {
                "go on with the claim: the same command with --resume; `x0x issues release` gives it up"
                    .to_owned()
            }
            Self::Refused { holder, retry_after_ms: Some(ms), .. } => {
                let when = match holder {
                    Some(holder) if holder.has_lapsed() => "it is not this agent's turn to take it over yet: try again in",
                    Some(_) => "unless a beat comes, it may be taken over in",
                    None => "try again in",
                };
                format!("{when} {}; `x0x issues next --claim` takes another issue", duration(*ms))
            }
            Self::Refused { .. } => {
                "`x0x issues next --claim` takes the first that is ready; `x0x issues ready --explain` \
                 says why others are not"
                    .to_owned()
            }
            Self::ClaimLost { holder: Some(_), .. } => {
                "stop working on it, keep what you have, and take another issue: `x0x issues next \
                 --claim`"
                    .to_owned()
            }
            Self::ClaimLost { name, .. } => {
                format!("`x0x issues show {name}` says what became of it; `x0x issues claim {name}` claims it anew, if it is ready")
            }
            Self::UnknownClaim { .. } => {
                "give `id` of the claim as `claim` answered it (X0X_CLAIM holds it in a command of \
                 `run`); `x0x issues show ID` names the claim that holds an issue"
                    .to_owned()
            }
            Self::ClaimElsewhere { .. } => "leave out the issue, or the claim".to_owned(),
            Self::NoClaim { .. } => {
                "name the worker that claimed it (--worker or X0X_WORKER), or claim an issue first"
                    .to_owned()
            }
            Self::ManyClaims { .. } => "say which issue is meant".to_owned(),
            Self::NoRoom { .. } => {
                "go on in a new issue; a maintainer can end this one with `x0x issues done` or `cancel`"
                    .to_owned()
            }
            Self::NothingReady => "`x0x issues ready --explain` says why".to_owned(),
            Self::Ambiguous { .. } => "use one of the names listed".to_owned(),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::VersionMismatch { .. } => {
                "read the issue again (`x0x issues show`) and repeat the edit on what it says now"
                    .to_owned()
            }
            Self::BadLines { file, problems } if problems.iter().all(|p| p.is_resolvable) => {
                format!("`x0x issues merge --resolve {file}` merges them; nothing was imported")
            }
            Self::BadLines { file, problems } if problems.iter().any(|p| p.is_resolvable) => {
                format!(
                    "mend the lines that are no records, then `x0x issues merge --resolve {file}` \
                     merges the rest; nothing was imported"
                )
            }
            Self::BadLines { .. } => {
                "mend the lines, or import the good ones with --keep-going; nothing was imported"
                    .to_owned()
            }
            Self::NotImported { .. } => "run `x0x issues import` first; both sides are kept".to_owned(),
            Self::OneOfSeveral { source, .. } => source.hint(),
            Self::Busy { .. } => "try again, or wait longer with --lock-timeout SECONDS".to_owned(),
            Self::CatchingUp { .. } => "try again in a few seconds; nothing is lost meanwhile".to_owned(),
            Self::NobodyAsked { .. } => {
                "start a node with `x0x daemon --detach`, and try again after some seconds; what is finished can be \
                 handed off without"
                    .to_owned()
            }
            Self::Isolated { .. } => {
                "`x0x peers` shows who is reached; with --loop it goes on by itself once one is".to_owned()
            }
            Self::Format { found, known } if found < known => {
                "a command that writes, as `x0x issues import`, brings it up to date; it keeps a \
                 copy of the store as it was"
                    .to_owned()
            }
            Self::Format { .. } => "install the version of x0x that wrote it, or a newer one".to_owned(),
            Self::Io { source, .. } => hint_of(source).to_owned(),
            Self::Store { .. } | Self::Damaged { .. } => {
                "nothing was changed. `x0x repair` keeps the damaged list aside, so that it can be fetched \
                 from other members. `x0x restore FILE --replace` brings back what `x0x backup` wrote to \
                 FILE, and keeps the damaged list beside it; the JSONL file has the issues as last \
                 exported: `x0x issues import --data-dir NEW` takes them into a directory of their own"
                    .to_owned()
            }
            Self::Sign(_) => "check the key file named by `x0x agent`".to_owned(),
            Self::Journal(JournalError::NotAllowed { .. }) => {
                "`x0x members` shows what each agent may do; a maintainer gives another role with \
                 `x0x grant`"
                    .to_owned()
            }
            Self::Journal(JournalError::Full { .. }) => {
                "what is there stays; another maintainer, whom the founder let in, may have room".to_owned()
            }
            Self::Document(_) | Self::Journal(_) => {
                "the refused change is kept by its author; other issues are not affected".to_owned()
            }
            Self::Told(told) => told.hint.clone(),
        }
    }
}
