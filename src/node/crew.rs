//! Threads for work that others wait for less than for anything else: as many as are called, each gone when it was not
//! called for a while. What the work is, is not known here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far behind all other threads these stand (`nice`): with 5 a quarter of a core is theirs where another wants it as
/// well, so that whoever decides does not wait for it.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// How long one waits for the next call.
const LINGER: Duration = Duration::from_secs(5);

/// Threads that do one kind of work.
#[derive(Default)]
pub(super) struct Crew {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Default)]
struct State {
    /// Calls that nobody has answered.
    calls: usize,
    waiting: usize,
    is_over: bool,
}

impl Crew {
    /// Has the work done once: by a thread that waits, or else by a new one. All calls are for the same work: a thread
    /// that waits does what it did before.
    ///
    /// # Errors
    /// Where there can be no new one.
    pub(super) fn call(
        self: &Arc<Self>,
        work: impl Fn() + Send + 'static,
    ) -> Result<(), std::io::Error> {
        let mut state = self.lock();
        state.calls += 1;
        if state.waiting >= state.calls {
            self.called.notify_one();
            return Ok(());
        }
        drop(state);
        let crew = self.clone();
        let thread = std::thread::Builder::new().name("crew".to_owned());
        match thread.spawn(move || crew.serve(work)) {
            Ok(_detached) => Ok(()),
            Err(error) => {
                let mut state = self.lock();
                if state.calls == 0 {
                    // Somebody who was done took it meanwhile.
                    return Ok(());
                }
                state.calls -= 1;
                Err(error)
            }
        }
    }

    /// Has those that wait go.
    pub(super) fn dismiss(&self) {
        self.lock().is_over = true;
        self.called.notify_all();
    }

    fn serve(&self, work: impl Fn()) {
        // On Linux it is that of this thread alone. Where it is refused, it stands where all do.
        #[cfg(target_os = "linux")]
        let _refused = rustix::process::setpriority_process(None, NICE);
        while self.is_called() {
            work();
        }
    }

    /// Waits for a call, not for ever.
    fn is_called(&self) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        let is_idle = |state: &mut State| state.calls == 0 && !state.is_over;
        let waited = self.called.wait_timeout_while(state, LINGER, is_idle);
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        let is_called = state.calls > 0;
        state.calls -= usize::from(is_called);
        is_called
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn each_call_is_answered_once_and_threads_that_wait_are_called_again() {
        let crew = Arc::new(Crew::default());
        let (tell, told) = mpsc::channel();
        for _ in 0..100 {
            let tell = tell.clone();
            crew.call(move || tell.send(std::thread::current().id()).unwrap()).unwrap();
            told.recv().unwrap();
        }
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told, [], "no call is answered twice");
        crew.dismiss();
    }

    #[test]
    fn calls_that_come_together_are_answered_together() {
        let crew = Arc::new(Crew::default());
        let meeting = Arc::new(std::sync::Barrier::new(4));
        for _ in 0..3 {
            let meeting = meeting.clone();
            crew.call(move || {
                meeting.wait();
            })
            .unwrap();
        }
        meeting.wait();
        crew.dismiss();
    }
}
