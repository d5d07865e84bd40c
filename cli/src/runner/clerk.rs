//! The thread at the desk: it does one act after the other, so that a wait for the store delays neither
//! signals nor the end of commands.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use x0x_tracker::id::{DocumentKey, RecordHash};
use x0x_tracker::interface::Filter;

use super::desk::{Desk, Record, Settlement, Taken};
use super::foreman::{Beat, Job};
use crate::error::CliError;

/// What is to be done.
pub enum Ask {
    /// Claim an issue, of which none of these is under way.
    Claim(BTreeSet<DocumentKey>),
    /// Beat these claims.
    Beat(Vec<(Job, RecordHash)>),
    /// Store what came of a job.
    Settle(Box<Settlement>),
}

/// What came of it.
pub enum Answer {
    /// Of a claim.
    Claimed(Result<Box<Taken>, CliError>),
    /// Of beats.
    Beaten(Vec<(Job, Beat)>),
    /// Of a job; `None` where it has to be stored again.
    Settled(Box<Settlement>, Option<Record>),
}

/// Whoever sits at the desk.
pub struct Clerk {
    /// The desk.
    pub desk: Desk,
    /// The issue that is asked for, by name.
    pub name: Option<String>,
    /// Which issues are asked for.
    pub filter: Filter,
}

impl Clerk {
    /// Starts the thread; it ends once nobody can ask any more.
    pub fn sit_down(
        self,
        asks: mpsc::Receiver<Ask>,
        answer: impl Fn(Answer) + Send + 'static,
    ) -> JoinHandle<()> {
        thread::spawn(move || {
            for ask in asks {
                answer(self.act(ask));
            }
        })
    }

    fn act(&self, ask: Ask) -> Answer {
        match ask {
            Ask::Claim(under_way) => {
                let taken = self.desk.claim(self.name.as_deref(), &self.filter, &under_way);
                Answer::Claimed(taken.map(Box::new))
            }
            Ask::Beat(claims) => Answer::Beaten(self.desk.beat(&claims)),
            Ask::Settle(settlement) => {
                let record = self.desk.settle(&settlement);
                Answer::Settled(settlement, record)
            }
        }
    }
}
