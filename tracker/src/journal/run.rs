//! Headers that travel ahead of their bodies: a chain of them that ends in one signature proves each,
//! so that a body is known for its author's as it comes, and a batch may end anywhere.
//!
//! A run proves who wrote its commits. Whether what they hold is sound is judged later.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::charter::{Charter, Role};
use super::commit::{
    BODY_BYTES_MAX, Commit, Header, Position, SIGNATURE_EVERY, body_hash, checked_header,
    signed_bytes,
};
use super::signature::Verifier;
use super::{JournalError, bounded};
use crate::id::{CommitHash, ListId, LogId};

/// The most headers of one run: a signature is kept at least that often.
pub const RUN_HEADERS_MAX: usize = SIGNATURE_EVERY as usize;

/// Consecutive headers of one log and the signature of the last, as they are stored and sent: bytes,
/// not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Encoded [`Header`]s, in order; 1 to [`RUN_HEADERS_MAX`].
    #[serde(deserialize_with = "bounded::at_most::<_, _, RUN_HEADERS_MAX>")]
    pub headers: Vec<Vec<u8>>,
    /// The author's signature of the last one.
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
}

impl Run {
    /// Checks the chain and the signature.
    ///
    /// # Errors
    /// [`JournalError::Unstated`] where the charter that a header names is not known here;
    /// [`JournalError::NotAllowed`] where nothing here knows the author; the others are the sender's
    /// doing.
    pub fn prove(
        self,
        list: ListId,
        charter: &Charter,
        verifier: &dyn Verifier,
    ) -> Result<ProvedRun, JournalError> {
        let malformed = JournalError::Malformed { what: "run of headers" };
        if self.headers.is_empty() || self.headers.len() > RUN_HEADERS_MAX {
            return Err(malformed);
        }
        let mut links: Vec<Link> = Vec::with_capacity(self.headers.len());
        for bytes in self.headers {
            let header = checked_header(&bytes, list)?;
            let follows = links.last().is_none_or(|last| {
                header.log == last.header.log
                    && last.header.number.checked_add(1) == Some(header.number)
                    && header.previous == Some(last.hash)
            });
            if !follows || header.number == 0 {
                return Err(malformed);
            }
            if let Some(statement) = charter.first_unknown(&header.charter) {
                return Err(JournalError::Unstated { statement });
            }
            let role = charter.role_under(header.log.agent, &header.charter);
            links.push(Link { hash: CommitHash::of(&bytes), bytes, header, role });
        }
        // There is one: the list of headers is not empty.
        let last = links.last().ok_or(malformed)?;
        let agent = last.header.log.agent;
        let key = charter.public_key(agent).ok_or(JournalError::NotAllowed { agent })?;
        if !verifier.verify(key, &signed_bytes(&last.bytes), &self.signature) {
            return Err(JournalError::Signature { agent });
        }
        Ok(ProvedRun { links, signature: self.signature })
    }

    /// Returns how many bytes it has, what encoding adds left out.
    pub fn bytes(&self) -> usize {
        self.headers.iter().map(Vec::len).sum::<usize>() + self.signature.len()
    }
}

/// A run whose author is known.
#[derive(Clone, Debug)]
pub struct ProvedRun {
    links: Vec<Link>,
    signature: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Link {
    bytes: Vec<u8>,
    hash: CommitHash,
    header: Header,
    /// The author's role under the charter that the header names.
    role: Option<Role>,
}

impl ProvedRun {
    /// Returns the log.
    pub fn log(&self) -> LogId {
        self.links[0].header.log
    }

    /// Returns the author's role under the charter that its first header names.
    pub fn role(&self) -> Option<Role> {
        self.links[0].role
    }

    /// Returns the number of its first header.
    pub fn first(&self) -> u64 {
        self.links[0].header.number
    }

    /// Returns the commit before its first.
    pub fn previous(&self) -> Option<CommitHash> {
        self.links[0].header.previous
    }

    /// Returns where each header stands.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.links.iter().map(|link| Position { number: link.header.number, hash: link.hash })
    }

    /// Returns the encoded header with a number.
    pub fn header(&self, number: u64) -> Option<&[u8]> {
        let at = usize::try_from(number.checked_sub(self.first())?).ok()?;
        self.links.get(at).map(|link| link.bytes.as_slice())
    }

    /// Returns the headers from a number on, with the signature that proves them; `None` where there
    /// are none.
    pub fn from(&self, number: u64) -> Option<Run> {
        let at = usize::try_from(number.checked_sub(self.first())?).ok()?;
        let headers: Vec<Vec<u8>> =
            self.links.get(at..)?.iter().map(|link| link.bytes.clone()).collect();
        (!headers.is_empty()).then(|| Run { headers, signature: self.signature.clone() })
    }

    /// Returns the commit with a number, once its body is here; the run is shared by all of them.
    ///
    /// # Errors
    /// Where the run has no such number, or the body is another one.
    pub fn commit(self: &Arc<Self>, number: u64, body: Vec<u8>) -> Result<Proved, JournalError> {
        let at = number.checked_sub(self.first()).and_then(|at| usize::try_from(at).ok());
        let link = at.and_then(|at| Some((at, self.links.get(at)?)));
        let Some((at, link)) = link else {
            return Err(JournalError::Malformed { what: "body without a header" });
        };
        if body.len() > BODY_BYTES_MAX {
            let (bytes, bytes_max) = (body.len(), BODY_BYTES_MAX);
            return Err(JournalError::TooLarge { what: "body", bytes, bytes_max });
        }
        if body_hash(&body) != link.header.body {
            return Err(JournalError::Malformed { what: "body" });
        }
        Ok(Proved { run: self.clone(), at, body })
    }
}

/// A commit whose author is known: its signature, or that of a later one in its chain, was checked.
#[derive(Clone, Debug)]
pub struct Proved {
    run: Arc<ProvedRun>,
    at: usize,
    body: Vec<u8>,
}

impl Proved {
    /// Checks a commit that carries its own signature.
    ///
    /// # Errors
    /// Those of [`Run::prove`], and of a body that is not the header's.
    pub fn signed(
        commit: Commit,
        list: ListId,
        charter: &Charter,
        verifier: &dyn Verifier,
    ) -> Result<Self, JournalError> {
        let Commit { header, body, signature } = commit;
        let signature = signature.unwrap_or_default();
        let run = Run { headers: vec![header], signature }.prove(list, charter, verifier)?;
        let number = run.first();
        Arc::new(run).commit(number, body)
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.link().header
    }

    /// Returns where it stands in its log.
    pub fn position(&self) -> Position {
        Position { number: self.header().number, hash: self.link().hash }
    }

    /// Returns the headers that came with it.
    pub fn run(&self) -> &ProvedRun {
        &self.run
    }

    /// Returns the author's role under the charter that the header names.
    pub fn role(&self) -> Option<Role> {
        self.link().role
    }

    /// Returns the encoded body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the commit as it is stored and sent; with its signature where it carries one itself.
    pub fn to_commit(&self) -> Commit {
        let signature = self.rest().is_none().then(|| self.run.signature.clone());
        Commit { header: self.link().bytes.clone(), body: self.body.clone(), signature }
    }

    /// Returns the headers after it, whose last carries the signature that proves it; `None` where it
    /// is the last itself.
    pub fn rest(&self) -> Option<Run> {
        let after = self.run.links.get(self.at + 1..)?;
        let headers: Vec<Vec<u8>> = after.iter().map(|link| link.bytes.clone()).collect();
        (!headers.is_empty()).then(|| Run { headers, signature: self.run.signature.clone() })
    }

    fn link(&self) -> &Link {
        &self.run.links[self.at]
    }
}
