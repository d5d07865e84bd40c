//! Events from the node, on a thread of their own: it comes back to the node after every interruption.
//! Not: what is shown of them.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use x0x::rest::client::{Client, ClientError};
use x0x::rest::follow::{Following, Told, Wanted};
use x0x::time;

use crate::error::CliError;
use crate::output::screen::Sign;

/// How many events wait for who shows them. The node keeps more.
const WAITING_MAX: usize = 256;

/// The pauses between two tries to reach the node; each is twice the one before it.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What whoever watches hears of.
pub enum Heard {
    /// The node answers.
    Linked {
        /// Whether it did before.
        again: bool,
    },
    /// The node went away, and is looked for.
    Gone,
    /// Something happened.
    Event {
        /// The id to come back from.
        id: String,
        /// What.
        data: Value,
    },
    /// Nothing happened, and the node is there.
    Alive,
    /// There will be no more events.
    Ended(CliError),
    /// The terminal has another size.
    Resized,
    /// Somebody wants it to end.
    Stop,
}

impl From<Sign> for Heard {
    fn from(sign: Sign) -> Self {
        match sign {
            Sign::Resized => Self::Resized,
            Sign::Stop => Self::Stop,
        }
    }
}

/// Returns both ends of what is heard.
pub fn channel() -> (SyncSender<Heard>, Receiver<Heard>) {
    sync_channel(WAITING_MAX)
}

/// Starts to follow the node of a data directory.
pub fn start(dir: PathBuf, mut wanted: Wanted, tell: SyncSender<Heard>) {
    thread::spawn(move || {
        // Only whoever listens ends before this does.
        let Err(Over::Refused(error)) = follow(&dir, &mut wanted, &tell) else { return };
        let _nobody_listens = tell.send(Heard::Ended(error.into()));
    });
}

/// Why nothing more is to be heard.
enum Over {
    /// Nobody listens any more.
    Unheard,
    /// The node does not tell it.
    Refused(ClientError),
}

fn follow(dir: &Path, wanted: &mut Wanted, tell: &SyncSender<Heard>) -> Result<(), Over> {
    let hear = |heard| tell.send(heard).map_err(|_unheard| Over::Unheard);
    let (mut again, mut pause) = (false, PAUSE_MIN);
    loop {
        // A node that was started anew may be elsewhere.
        match Client::of(dir).and_then(|client| client.follow(wanted)) {
            Ok(mut following) => {
                // Its first words say from where to come back.
                if let Some(first) = following.next_told() {
                    hear(Heard::Linked { again })?;
                    pause = PAUSE_MIN;
                    again = true;
                    pass_on(first, &hear)?;
                    pass_all(&mut following, wanted, &hear)?;
                    hear(Heard::Gone)?;
                }
            }
            Err(error) if !again || is_final(&error) => return Err(Over::Refused(error)),
            Err(_away) => {}
        }
        time::pause(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn pass_all(
    following: &mut Following,
    wanted: &mut Wanted,
    hear: &impl Fn(Heard) -> Result<(), Over>,
) -> Result<(), Over> {
    loop {
        wanted.after = following.last().map(str::to_owned);
        match following.next_told() {
            Some(told) => pass_on(told, hear)?,
            None => return Ok(()),
        }
    }
}

fn pass_on(told: Told, hear: &impl Fn(Heard) -> Result<(), Over>) -> Result<(), Over> {
    hear(match told {
        Told::Event { id, data } => Heard::Event { id, data },
        Told::Alive => Heard::Alive,
    })
}

/// Tells whether trying again is of no use: the node is there, and does not know the list,
/// or speaks another version.
fn is_final(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(body)
        if matches!(body.error.as_str(), "unknown_list" | "no_list" | "api_version"))
}
