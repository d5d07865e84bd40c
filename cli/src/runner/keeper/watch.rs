//! When a command is told to end, and when it is made to. No clock and no signals here.

use super::Ending;

/// How long SIGKILL may take before what it does not end is given up: a process that waits for a dead
/// disk or network mount does not end at all. A guess.
const KILL_MS_MAX: u64 = 10_000;

/// How often SIGKILL is sent again: a process that was being made is missed the first time.
const KILL_EVERY_MS: u64 = 20;

/// What the keeper hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The runner wants the command to end, or is gone.
    Stop,
    /// The runner wants it gone now.
    Kill,
    /// The command itself is over; others of its making may live.
    Ended {
        /// Its exit code.
        exit_code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// Nothing of it lives.
    Empty,
    /// Time went by.
    Tick,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Waits.
    Nothing,
    /// Asks all of them to end.
    Terminate,
    /// Ends all of them.
    Kill,
    /// Says how it ended.
    Over,
}

/// How a command is coming to its end.
#[derive(Debug)]
pub struct Watch {
    grace_ms: u64,
    ending: Option<Ending>,
    /// Told to stop; at this time the grace is over.
    stopped_until_ms: Option<u64>,
    /// SIGKILL was first sent then, and is sent again then.
    killing_ms: Option<(u64, u64)>,
    is_told: bool,
}

impl Watch {
    /// Returns the watch over a command that has just been started.
    pub fn new(grace_ms: u64) -> Self {
        Self { grace_ms, ending: None, stopped_until_ms: None, killing_ms: None, is_told: false }
    }

    /// Returns how the command ended, as far as it is known.
    pub fn ending(&self) -> Ending {
        self.ending.unwrap_or(Ending { stopped: self.is_told, ..Ending::default() })
    }

    /// Returns when [`Watch::handle`] must be called again if nothing is heard until then.
    pub fn due_ms(&self) -> Option<u64> {
        self.killing_ms.map(|(_, again_ms)| again_ms).or(self.stopped_until_ms)
    }

    /// Takes in what was heard; `now_ms` never goes back.
    pub fn handle(&mut self, now_ms: u64, input: Input) -> Effect {
        match input {
            Input::Empty => return Effect::Over,
            Input::Stop if self.stopped_until_ms.is_none() && self.killing_ms.is_none() => {
                self.is_told |= self.ending.is_none();
                self.stopped_until_ms = Some(now_ms.saturating_add(self.grace_ms));
                return Effect::Terminate;
            }
            Input::Kill => {
                self.is_told |= self.ending.is_none();
                return self.kill(now_ms);
            }
            Input::Ended { exit_code, signal } => {
                self.ending = Some(Ending { exit_code, signal, stopped: self.is_told, left: 0 });
                // What a command leaves behind that ended by itself was given no time to end.
                if self.stopped_until_ms.is_none() {
                    return self.kill(now_ms);
                }
            }
            Input::Stop | Input::Tick => {}
        }
        self.tick(now_ms)
    }

    fn tick(&mut self, now_ms: u64) -> Effect {
        match (self.killing_ms, self.stopped_until_ms) {
            (Some((first_ms, _)), _) if now_ms >= first_ms + KILL_MS_MAX => Effect::Over,
            (Some((_, again_ms)), _) if now_ms >= again_ms => self.kill(now_ms),
            (None, Some(until_ms)) if now_ms >= until_ms => self.kill(now_ms),
            _ => Effect::Nothing,
        }
    }

    fn kill(&mut self, now_ms: u64) -> Effect {
        let first_ms = self.killing_ms.map_or(now_ms, |(first_ms, _)| first_ms);
        self.killing_ms = Some((first_ms, now_ms + KILL_EVERY_MS));
        Effect::Kill
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Input = Input::Ended { exit_code: Some(0), signal: None };

    #[test]
    fn what_a_command_leaves_behind_is_killed_until_nothing_is_left() {
        let mut watch = Watch::new(5_000);
        assert_eq!(watch.due_ms(), None);
        assert_eq!(watch.handle(10, DONE), Effect::Kill);
        assert_eq!(watch.due_ms(), Some(30));
        assert_eq!(watch.handle(29, Input::Tick), Effect::Nothing);
        assert_eq!(watch.handle(30, Input::Tick), Effect::Kill);
        assert_eq!(watch.handle(31, Input::Empty), Effect::Over);
        assert_eq!(watch.ending(), Ending { exit_code: Some(0), ..Ending::default() });
    }

    #[test]
    fn a_command_that_is_told_to_stop_has_its_grace_and_no_more() {
        let mut watch = Watch::new(5_000);
        assert_eq!(watch.handle(1_000, Input::Stop), Effect::Terminate);
        assert_eq!(watch.due_ms(), Some(6_000));
        assert_eq!(watch.handle(2_000, Input::Stop), Effect::Nothing, "the grace is not renewed");
        assert_eq!(watch.handle(5_999, Input::Tick), Effect::Nothing);
        assert_eq!(watch.handle(6_000, Input::Tick), Effect::Kill);
        let killed = Input::Ended { exit_code: None, signal: Some(9) };
        assert_eq!(watch.handle(6_001, killed), Effect::Nothing);
        assert_eq!(watch.handle(6_002, Input::Empty), Effect::Over);
        let ending = watch.ending();
        assert!(ending.stopped && ending.signal == Some(9));
    }

    #[test]
    fn the_children_of_a_command_that_obeyed_have_the_rest_of_the_grace() {
        let mut watch = Watch::new(5_000);
        watch.handle(0, Input::Stop);
        assert_eq!(watch.handle(100, DONE), Effect::Nothing);
        assert_eq!(watch.handle(5_000, Input::Tick), Effect::Kill);
        assert!(watch.ending().stopped);
    }

    #[test]
    fn a_command_that_ended_by_itself_was_not_stopped() {
        let mut watch = Watch::new(5_000);
        watch.handle(0, DONE);
        watch.handle(1, Input::Stop);
        assert!(!watch.ending().stopped);
    }

    #[test]
    fn an_order_to_kill_waits_for_no_grace() {
        let mut watch = Watch::new(5_000);
        watch.handle(0, Input::Stop);
        assert_eq!(watch.handle(1, Input::Kill), Effect::Kill);
        assert_eq!(watch.due_ms(), Some(21));
    }

    #[test]
    fn what_cannot_be_killed_is_given_up() {
        let mut watch = Watch::new(0);
        watch.handle(0, Input::Kill);
        assert_eq!(watch.handle(KILL_MS_MAX - 1, Input::Tick), Effect::Kill);
        assert_eq!(watch.handle(KILL_MS_MAX, Input::Tick), Effect::Over);
        assert_eq!(watch.ending(), Ending { stopped: true, ..Ending::default() });
    }
}
