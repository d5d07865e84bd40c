//! Why there is no link, or no longer: what each side tells the other, and what is told to people.

use std::io;
use std::net::SocketAddr;

use quinn::{ConnectionError, VarInt};
use x0x_tracker::id::AgentId;

use super::tls::{PROTOCOL, TlsError};
use super::version::{self, NO_PROTOCOL};

/// Why a side ends a link: the application error code of QUIC (RFC 9000, section 20.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Farewell {
    /// The node stops.
    Stopping = 0,
    /// There is another link between the two, which stays.
    Superfluous = 1,
    /// The two share no task list.
    NoSharedList = 2,
    /// The other side broke the protocol.
    Breach = 3,
    /// The other side is no longer a member of a list that they shared.
    Revoked = 4,
    /// Nothing was heard of the other side for too long, which may still hear this one.
    Unheard = 5,
    /// The node has all the links that it may have.
    Full = 6,
}

impl Farewell {
    const ALL: [Self; 7] = [
        Self::Stopping,
        Self::Superfluous,
        Self::NoSharedList,
        Self::Breach,
        Self::Revoked,
        Self::Unheard,
        Self::Full,
    ];

    /// Returns the code that travels.
    pub fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    /// Returns what a code says; `None` for one of a later version.
    pub fn of_code(code: VarInt) -> Option<Self> {
        Self::ALL.into_iter().find(|farewell| farewell.code() == code)
    }

    /// Returns the words for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Stopping => "it stops",
            Self::Superfluous => "there is another link between the two",
            Self::NoSharedList => "the two share no task list",
            Self::Breach => "this side broke the protocol",
            Self::Revoked => "this agent is no longer a member",
            Self::Unheard => "it heard nothing of this node",
            Self::Full => "it has as many links as it may have",
        }
    }
}

/// Why there is no link, or no longer. The endpoint goes on in every case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    NotBound {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up with this key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody can be called at this address.
    #[error("{address} is no address that can be called: {reason}")]
    BadAddress {
        /// Which address.
        address: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// Another agent answered.
    #[error("agent {} answered at {address}, not {}", found.short(), expected.short())]
    OtherAgent {
        /// Where.
        address: SocketAddr,
        /// Who was called.
        expected: AgentId,
        /// Who answered.
        found: AgentId,
    },
    /// This node called itself.
    #[error("{address} is this node itself")]
    Oneself {
        /// Where.
        address: SocketAddr,
    },
    /// The other side speaks another version.
    #[error("{}", other_version(address, found.as_deref()))]
    OtherVersion {
        /// Where.
        address: SocketAddr,
        /// Which one, where it said so. Nobody vouches for that.
        found: Option<String>,
    },
    /// Nothing is heard of the other side.
    #[error("nothing is heard of {address}")]
    Silent {
        /// Where.
        address: SocketAddr,
    },
    /// The other side is there and knows nothing of the link: it was started anew.
    #[error("the node at {address} was started anew and forgot the link")]
    Forgotten {
        /// Where.
        address: SocketAddr,
    },
    /// The other side ended the link and said why.
    #[error("the node at {address} ended the link: {}", why.text())]
    Ended {
        /// Where.
        address: SocketAddr,
        /// Why.
        why: Farewell,
    },
    /// This side ended the link.
    #[error("this node ended the link to {address}")]
    EndedHere {
        /// Where.
        address: SocketAddr,
    },
    /// The link broke in another way.
    #[error("the link to {address} broke")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// What QUIC or TLS said.
        #[source]
        source: ConnectionError,
    },
}

impl LinkError {
    /// Returns what an error of QUIC means.
    pub fn of(address: SocketAddr, source: ConnectionError) -> Self {
        match source {
            ConnectionError::VersionMismatch => Self::OtherVersion { address, found: None },
            ConnectionError::TransportError(error) if u64::from(error.code) == NO_PROTOCOL => {
                Self::OtherVersion { address, found: version::asked(error.reason.as_bytes()) }
            }
            ConnectionError::ConnectionClosed(close)
                if u64::from(close.error_code) == NO_PROTOCOL =>
            {
                Self::OtherVersion { address, found: version::spoken(&close.reason) }
            }
            ConnectionError::TimedOut => Self::Silent { address },
            ConnectionError::Reset => Self::Forgotten { address },
            ConnectionError::LocallyClosed => Self::EndedHere { address },
            ConnectionError::ApplicationClosed(close) => {
                match Farewell::of_code(close.error_code) {
                    Some(why) => Self::Ended { address, why },
                    None => {
                        let source = ConnectionError::ApplicationClosed(close);
                        Self::Broken { address, source }
                    }
                }
            }
            source => Self::Broken { address, source },
        }
    }

    /// Tells whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Silent { .. }
            | Self::Forgotten { .. }
            | Self::Broken { .. }
            | Self::EndedHere { .. } => true,
            Self::Ended { why, .. } => {
                matches!(why, Farewell::Stopping | Farewell::Unheard | Farewell::Full)
            }
            _ => false,
        }
    }
}

fn other_version(address: &SocketAddr, found: Option<&str>) -> String {
    let own = String::from_utf8_lossy(PROTOCOL);
    match found {
        Some(found) => format!("the node at {address} speaks {found}, this one {own}"),
        None => format!("the node at {address} does not speak {own}"),
    }
}
