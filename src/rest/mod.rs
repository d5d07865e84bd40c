//! What programs of this machine ask of a node, over HTTP on loopback: JSON, a bearer token, errors of one
//! shape. It sees handles, never documents or connections.

mod answer;
mod asked;
mod body;
mod calls;
mod claims;
pub mod client;
mod diagnostics;
mod direct;
mod edits;
mod errors;
mod events;
mod exchange;
pub mod follow;
mod guard;
mod issues;
mod lists;
mod messages;
mod metrics;
mod nodes;
mod patch;
mod query;
mod remote;
mod requests;
mod routes;
mod schema;
mod serving;
mod streamed;
mod subscriber;

pub use answer::API_VERSION;
pub use metrics::{Measured, exposition};
pub use remote::RemoteTracker;
pub(crate) use remote::lists_of;
pub use routes::document;
pub use serving::Limits;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::BASE32_NOPAD;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::entropy;
use crate::node::{Events, Mailbox, Node, NodeError, PORT};

/// The file in a data directory that holds the token.
pub const TOKEN_FILE: &str = "api-token";

/// The file in a data directory that holds HOST:PORT.
pub const ADDRESS_FILE: &str = "api.port";

/// A socket for programs, before anybody is answered.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: String,
}

/// Answers programs until it is stopped or dropped.
pub struct Serving {
    stop: Option<oneshot::Sender<()>>,
    events: Events,
    mailbox: Mailbox,
    task: JoinHandle<()>,
}

/// Listens for programs, and writes down where, and what they must show.
///
/// # Errors
/// Where the address is taken, or is not on loopback and `allow_remote` is not said, or the files cannot
/// be written.
pub async fn listen(
    dir: &Path,
    api: Option<SocketAddr>,
    allow_remote: bool,
) -> Result<Server, NodeError> {
    let any = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let failed = |address| move |source| NodeError::Api { address, source };
    let listener = match api {
        Some(address) if !address.ip().is_loopback() && !allow_remote => {
            return Err(NodeError::ApiNotLocal { address });
        }
        Some(address) => TcpListener::bind(address).await.map_err(failed(address))?,
        None => match TcpListener::bind(any(PORT)).await {
            Ok(listener) => listener,
            Err(_taken) => TcpListener::bind(any(0)).await.map_err(failed(any(0)))?,
        },
    };
    let address = listener.local_addr().map_err(failed(any(0)))?;
    let token = new_token();
    write_private(dir, TOKEN_FILE, &token)?;
    write_private(dir, ADDRESS_FILE, &address.to_string())?;
    Ok(Server { listener, address, token })
}

impl Server {
    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to answer for a node.
    pub fn serve(self, node: Node, limits: Limits) -> Serving {
        let (stop, stopped) = oneshot::channel();
        let (events, mailbox) = (node.events().clone(), node.mailbox().clone());
        let router = routes::router(node, &self.token, limits);
        let serving = serving::serve(self.listener, router, limits, stopped);
        // It ends when it is told to, or with the runtime.
        let task = tokio::runtime::Handle::current().spawn(serving);
        Serving { stop: Some(stop), events, mailbox, task }
    }
}

impl Serving {
    /// Takes no more requests.
    pub fn stop(&mut self) {
        self.events.end();
        self.mailbox.end();
        let _ended = self.stop.take().map(|stop| stop.send(()));
    }

    /// Waits until what was asked for before it was stopped is answered, or took too long.
    pub async fn stopped(&mut self) {
        let _panicked = (&mut self.task).await;
    }
}

fn new_token() -> String {
    let mut bytes = [0; 32];
    entropy::fill(&mut bytes);
    BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_private(dir: &Path, name: &str, text: &str) -> Result<(), NodeError> {
    let path = dir.join(name);
    let partial = dir.join(format!("{name}.partial"));
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&partial, &path)
    };
    write().map_err(|source| NodeError::Io { what: "write", path: path.clone(), source })
}
