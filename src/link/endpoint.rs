//! A UDP socket that calls other nodes and is called by them. Which of them to call, when to try again
//! and which of two links to keep is decided elsewhere.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::Signer;

use super::error::{Farewell, LinkError};
use super::tls::{self, Expected, TlsError};

/// How long nothing may be heard before the other side counts as gone. Three keep-alives that are
/// lost in a row, and room for one that is late.
pub const SILENCE_MAX: Duration = Duration::from_secs(7);

/// How long a side is quiet at most: an empty packet leaves then.
pub const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// How many streams of each kind the other side may have open: the lanes, and requests for commits.
pub const STREAMS_MAX: u32 = 32;

/// How much may be on its way in one stream before this side reads it, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// How much may be on its way in all streams of a link, in bytes.
pub const LINK_WINDOW_BYTES: u32 = 8 << 20;

/// A socket for links.
#[derive(Clone)]
pub struct Endpoint {
    endpoint: quinn::Endpoint,
    signer: Arc<dyn Signer>,
    transport: Arc<TransportConfig>,
}

/// A link to another node, whose key was checked. Clones are the same link.
#[derive(Clone, Debug)]
pub struct Link {
    peer: AgentId,
    connection: Connection,
    is_caller: bool,
}

impl Endpoint {
    /// Listens on an address; with port 0 on any free one. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// Where the system or TLS refuses.
    pub fn bind(address: SocketAddr, signer: Arc<dyn Signer>) -> Result<Self, LinkError> {
        let failed = |source| LinkError::NotBound { address, source };
        let transport = Arc::new(transport());
        let server = QuicServerConfig::try_from(tls::server(signer.clone())?);
        let server = server.map_err(|_no_suite| unusable())?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport.clone());
        let socket = UdpSocket::bind(address).map_err(failed)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let config = EndpointConfig::default();
        let endpoint = quinn::Endpoint::new(config, Some(server), socket, runtime);
        Ok(Self { endpoint: endpoint.map_err(failed)?, signer, transport })
    }

    /// Returns the address that it listens on.
    ///
    /// # Errors
    /// Where the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Calls the node at an address.
    ///
    /// # Errors
    /// Where nobody answers, another agent does, or it does not speak this protocol.
    pub async fn call(
        &self,
        address: SocketAddr,
        wanted: Option<AgentId>,
    ) -> Result<Link, LinkError> {
        let expected = wanted.map_or_else(Expected::anybody, Expected::agent);
        let client =
            QuicClientConfig::try_from(tls::client(self.signer.clone(), expected.clone())?);
        let mut client =
            quinn::ClientConfig::new(Arc::new(client.map_err(|_no_suite| unusable())?));
        client.transport_config(self.transport.clone());
        let calling = self.endpoint.connect_with(client, address, tls::SERVER_NAME);
        let calling = calling
            .map_err(|error| LinkError::BadAddress { address, reason: error.to_string() })?;
        match calling.await {
            Ok(connection) => self.link(connection, true),
            Err(error) => Err(match (wanted, expected.stranger()) {
                (Some(expected), Some(found)) => LinkError::OtherAgent { address, expected, found },
                _ => LinkError::of(address, error),
            }),
        }
    }

    /// Returns the next node that calls; `None` once the endpoint is closed.
    pub async fn answer(&self) -> Option<Result<Link, LinkError>> {
        let incoming = self.endpoint.accept().await?;
        let address = incoming.remote_address();
        let connection = match incoming.accept() {
            Ok(connecting) => connecting.await,
            Err(error) => Err(error),
        };
        Some(match connection {
            Ok(connection) => self.link(connection, false),
            Err(error) => Err(LinkError::of(address, error)),
        })
    }

    /// Ends every link, and waits until the others have been told.
    pub async fn close(&self) {
        self.endpoint.close(Farewell::Stopping.code(), &[]);
        self.endpoint.wait_idle().await;
    }

    fn link(&self, connection: Connection, is_caller: bool) -> Result<Link, LinkError> {
        let address = connection.remote_address();
        let shown = connection.peer_identity().and_then(|shown| shown.downcast().ok());
        let peer = shown.and_then(|shown: Box<Vec<CertificateDer<'static>>>| tls::peer(&shown));
        // Without a key the handshake does not come so far.
        let Some(peer) = peer else {
            connection.close(Farewell::Breach.code(), &[]);
            return Err(LinkError::EndedHere { address });
        };
        if peer == self.signer.agent() {
            connection.close(Farewell::Superfluous.code(), &[]);
            return Err(LinkError::Oneself { address });
        }
        Ok(Link { peer, connection, is_caller })
    }
}

impl Link {
    /// Returns who is at the other end.
    pub fn peer(&self) -> AgentId {
        self.peer
    }

    /// Returns where the other end is now; it may move.
    pub fn address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Tells whether this side called.
    pub fn is_caller(&self) -> bool {
        self.is_caller
    }

    /// Returns the streams and datagrams of the link.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends the link, and tells the other side why.
    pub fn end(&self, why: Farewell) {
        self.connection.close(why.code(), &[]);
    }

    /// Waits until the link has ended, and returns why.
    pub async fn ended(&self) -> LinkError {
        LinkError::of(self.address(), self.connection.closed().await)
    }
}

/// TLS 1.3 has a suite for the first packets of QUIC, and no other version is spoken.
fn unusable() -> TlsError {
    rustls::Error::General("no cipher suite for QUIC".to_owned()).into()
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let silence_ms = u32::try_from(SILENCE_MAX.as_millis()).unwrap_or(u32::MAX);
    transport
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(silence_ms))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(LINK_WINDOW_BYTES))
        .datagram_receive_buffer_size(None);
    transport
}
