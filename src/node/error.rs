//! Why a node does not run, or a list was not joined.

use std::net::SocketAddr;
use std::path::PathBuf;

use x0x_tracker::interface::error::hint_of;

use crate::dm::seal::SealError;
use crate::dm::store::StoreError;
use crate::home::HomeError;
use crate::link::LinkError;
use crate::wire::JoinRefusal;

/// A node could not start, or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The socket for other nodes cannot be used.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The socket for programs cannot be used.
    #[error("cannot answer programs on {address}")]
    Api {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The address for programs is one that other machines reach, which was not allowed.
    #[error("{address} is not an address of this machine alone")]
    ApiNotLocal {
        /// Where.
        address: SocketAddr,
    },
    /// A file of the data directory cannot be used.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file of direct messages cannot be used.
    #[error("the direct messages cannot be used")]
    Direct(#[source] StoreError),
    /// The key for sealed messages could not be drawn.
    #[error("no key for sealed messages could be drawn")]
    NoSealKey(#[source] SealError),
    /// A part of it ended by itself.
    #[error("the node stopped because a part of it failed")]
    Broken,
}

impl NodeError {
    /// Returns the word that programs tell errors apart by.
    pub fn code(&self) -> &str {
        match self {
            Self::Home(error) => error.code(),
            Self::Link(_) => "listen",
            Self::Api { .. } => "api",
            Self::ApiNotLocal { .. } => "api_not_local",
            Self::Io { .. } => "io",
            Self::Direct(_) => "direct",
            Self::NoSealKey(_) | Self::Broken => "internal",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Home(error) => error.hint(),
            Self::Link(_) => {
                "name another address with --listen HOST:PORT; port 0 is any".to_owned()
            }
            Self::Api { .. } => {
                "name another address of this machine with --api 127.0.0.1:PORT; port 0 \
                is any"
                    .to_owned()
            }
            Self::ApiNotLocal { .. } => "answer on loopback (--api 127.0.0.1:PORT), which others reach \
                through an SSH tunnel; --allow-remote answers there all the same, without encryption"
                .to_owned(),
            Self::Io { source, .. } => hint_of(source).to_owned(),
            Self::Direct(_) => "look at the file that is named and at its disk; no message is lost by that".to_owned(),
            Self::NoSealKey(_) => "start it again".to_owned(),
            Self::Broken => {
                "start it again: what was answered is on disk; the lines above say what \
                failed"
                    .to_owned()
            }
        }
    }
}

/// A list was not joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The data directory cannot hold it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The issuer refused the ticket.
    #[error("the ticket was refused: {}", .0.text())]
    Refused(JoinRefusal),
}
