//! What a runner says of others: that none is heard, or that none can hear of its work. Each is said once when
//! it begins, and once when it ends. Not: what is done about it.

use x0x_tracker::interface::claims::duration;

use super::foreman::{Beat, Job};
use super::told::Told;
use crate::output::plain::one_line;

/// What was said last.
#[derive(Debug, Default)]
pub struct Others {
    /// Whether no other member was heard for the life of a claim.
    is_isolated: bool,
    /// Whether no node runs here any more.
    is_untold: bool,
}

impl Others {
    /// Takes in what became of beats; `of` tells the name of a job's issue, and how long its claim lives without
    /// a beat.
    pub fn beaten(
        &mut self,
        told: &Told,
        beats: &[(Job, Beat)],
        of: impl Fn(Job) -> Option<(String, u64)>,
    ) {
        let untold = |beat: &Beat| match beat {
            Beat::Untold(_) => Some(true),
            Beat::Kept(_) | Beat::Isolated(_) => Some(false),
            Beat::Later | Beat::Settled | Beat::Lost(_) => None,
        };
        let isolated = |beat: &Beat| match beat {
            Beat::Isolated(_) => Some(true),
            Beat::Kept(_) => Some(false),
            _ => None,
        };
        if let Some(is_untold) = beats.iter().find_map(|(_, beat)| untold(beat)) {
            match (std::mem::replace(&mut self.is_untold, is_untold), is_untold) {
                (false, true) => told.note("untold", &untold_text(beats, of)),
                (true, false) => told.note("told", "a node runs here again"),
                _ => {}
            }
        }
        if let Some(is_isolated) = beats.iter().find_map(|(_, beat)| isolated(beat)) {
            let why = "no other member was heard for the life of a claim: others may take it over";
            self.isolated(told, is_isolated, why);
        }
    }

    /// Takes in whether no other member is heard, and why that is known.
    pub fn isolated(&mut self, told: &Told, is_isolated: bool, why: &str) {
        match (std::mem::replace(&mut self.is_isolated, is_isolated), is_isolated) {
            (false, true) => told.note("isolated", why),
            (true, false) => told.note("connected", "other members are heard again"),
            _ => {}
        }
    }
}

/// Says of the first of the beats that reached nobody what may come of it, and how many more there are.
fn untold_text(beats: &[(Job, Beat)], of: impl Fn(Job) -> Option<(String, u64)>) -> String {
    let mut untold = beats.iter().filter(|(_, beat)| matches!(beat, Beat::Untold(_)));
    let first = untold.next().and_then(|(job, _)| of(*job));
    let (name, ttl_ms) = first.unwrap_or_default();
    let (name, after) = (one_line(&name), duration(ttl_ms));
    match untold.count() {
        0 => format!(
            "no node runs here any more: others do not hear that {name} is worked on, and may take it \
             over after {after}"
        ),
        more => format!(
            "no node runs here any more: others do not hear that {name} and {more} more are worked on, \
             and may take them over after {after}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use x0x_tracker::id::RecordHash;

    use super::*;

    #[test]
    fn what_others_do_not_hear_of_is_named_with_the_time_that_is_left() {
        let beat = Beat::Untold(RecordHash([1; 32]));
        let of = |job: Job| (job == 1).then(|| ("PUMP-0001".to_owned(), 9_000));
        let expected = "no node runs here any more: others do not hear that PUMP-0001 is worked on, and \
                        may take it over after 9 s";
        let beats = [(1, beat.clone()), (2, Beat::Later), (3, beat)];
        assert_eq!(untold_text(&beats[..2], of), expected);
        assert!(untold_text(&beats, of).contains("PUMP-0001 and 1 more are worked on"));
    }
}
