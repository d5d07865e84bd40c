//! A UDP socket that calls other nodes and is called by them. Which of them to call, when to try again
//! and which of two links to keep is decided elsewhere.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connecting, Connection, ConnectionError, Incoming, TransportConfig};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustls::pki_types::CertificateDer;
use tokio::time::{MissedTickBehavior, interval, timeout};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::Signer;

use super::config::Config;
use super::error::{Farewell, LinkError};
use super::tls::{self, Expected, TlsError};
use super::version::Answering;

/// How long a call may take at most, where the longest silence is longer. The first packet is sent again
/// after about one and after three seconds.
pub const CALL_MAX: Duration = Duration::from_millis(3_500);

/// How often during the longest silence a link looks whether something was heard.
const LOOKS: u32 = 7;

/// What the binding of a link is exported under.
const BINDING_LABEL: &[u8] = b"EXPORTER-x0x-binding-v1";

/// How many bytes of datagrams the system is asked to hold that came, and that are to leave. It may allow fewer. What
/// finds no room while this process does not run counts as lost on the way, and the other side slows down for it.
const SOCKET_RECEIVE_BYTES: usize = 4 << 20;
const SOCKET_SEND_BYTES: usize = 1 << 20;

/// A socket for links. Clones are the same socket.
#[derive(Clone)]
pub struct Endpoint {
    endpoint: quinn::Endpoint,
    signer: Arc<dyn Signer>,
    transport: Arc<TransportConfig>,
    silence_max: Duration,
}

/// A node that calls; nothing is known of it yet but its address.
pub struct Call {
    incoming: Incoming,
    endpoint: Endpoint,
}

/// A link to another node, whose key was checked. Clones are the same link.
#[derive(Clone, Debug)]
pub struct Link {
    peer: AgentId,
    public_key: Arc<[u8]>,
    binding: [u8; 32],
    connection: Connection,
    is_caller: bool,
    silence_max: Duration,
    /// Why this side ended it; the first reason counts.
    ended_for: Arc<OnceLock<Farewell>>,
}

impl Endpoint {
    /// Listens on an address; with port 0 on any free one. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// Where the system or TLS refuses.
    pub fn bind(address: SocketAddr, signer: Arc<dyn Signer>) -> Result<Self, LinkError> {
        Self::bind_with(address, signer, Config::default())
    }

    /// Listens on an address, set up as told.
    ///
    /// # Errors
    /// As for [`Endpoint::bind`].
    pub fn bind_with(
        address: SocketAddr,
        signer: Arc<dyn Signer>,
        config: Config,
    ) -> Result<Self, LinkError> {
        let failed = |source| LinkError::NotBound { address, source };
        let transport = Arc::new(config.transport());
        let server = Answering::new(tls::server(signer.clone())?);
        let server = server.map_err(|_no_suite| unusable())?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport.clone());
        let socket = bind(address).map_err(failed)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = quinn::Endpoint::new(config.endpoint(), Some(server), socket, runtime);
        let endpoint = endpoint.map_err(failed)?;
        Ok(Self { endpoint, signer, transport, silence_max: config.silence_max })
    }

    /// Returns the address that it listens on.
    ///
    /// # Errors
    /// Where the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Listens on another address from now on.
    ///
    /// To be called when the address that it was bound to has gone from the machine. Bound to all
    /// addresses (0.0.0.0 or ::) it follows the machine by itself. Links that this side called go on
    /// from the new address. Those that it was called on do not: the others go on sending to the old
    /// one, notice the silence, and need to be told the new one or to be called.
    ///
    /// # Errors
    /// Where the system refuses; then it goes on as before.
    pub fn rebind(&self, address: SocketAddr) -> Result<(), LinkError> {
        let socket = bind(address);
        let moved = socket.and_then(|socket| self.endpoint.rebind(socket));
        moved.map_err(|source| LinkError::NotBound { address, source })
    }

    /// Calls the node at an address. It takes [`CALL_MAX`] at most, or [`Config::silence_max`] if that is
    /// less.
    ///
    /// # Errors
    /// Where nobody answers, another agent does, or it does not speak this protocol. A port where
    /// nobody listens is silence: whoever is on the way could forge the message that says so.
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
        match self.in_time(calling).await {
            Ok(connection) => self.link(connection, true),
            Err(error) => Err(match (wanted, expected.stranger()) {
                (Some(expected), Some(found)) => LinkError::OtherAgent { address, expected, found },
                _ => LinkError::of(address, error),
            }),
        }
    }

    /// Returns the next node that calls; `None` once the endpoint is closed.
    ///
    /// It waits for no handshake, so that a caller that stalls holds up no other.
    pub async fn next_call(&self) -> Option<Call> {
        let incoming = self.endpoint.accept().await?;
        Some(Call { incoming, endpoint: self.clone() })
    }

    /// Ends every link, and waits until the others have been told.
    pub async fn close(&self) {
        self.endpoint.close(Farewell::Stopping.code(), &[]);
        self.endpoint.wait_idle().await;
    }

    /// Waits for a handshake as long as one may take.
    async fn in_time(&self, handshake: Connecting) -> Result<Connection, ConnectionError> {
        timeout(self.silence_max.min(CALL_MAX), handshake)
            .await
            .unwrap_or(Err(ConnectionError::TimedOut))
    }

    fn link(&self, connection: Connection, is_caller: bool) -> Result<Link, LinkError> {
        let address = connection.remote_address();
        let shown = connection.peer_identity().and_then(|shown| shown.downcast().ok());
        let key = shown.and_then(|shown: Box<Vec<CertificateDer<'static>>>| tls::peer_key(&shown));
        let mut binding = [0; 32];
        let exported = connection.export_keying_material(&mut binding, BINDING_LABEL, &[]);
        // Without a key the handshake does not come so far, and TLS exports so little always.
        let Some(public_key) = key.filter(|_| exported.is_ok()) else {
            connection.close(Farewell::Breach.code(), &[]);
            return Err(LinkError::EndedHere { address });
        };
        let peer = AgentId::of_public_key(&public_key);
        if peer == self.signer.agent() {
            connection.close(Farewell::Superfluous.code(), &[]);
            return Err(LinkError::Oneself { address });
        }
        let (silence_max, ended_for) = (self.silence_max, Arc::default());
        Ok(Link { peer, public_key, binding, connection, is_caller, silence_max, ended_for })
    }
}

impl Call {
    /// Returns where it comes from. Nobody has shown yet that it can be reached there.
    pub fn address(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Answers it. It takes as long at most as a call.
    ///
    /// # Errors
    /// Where the caller shows no key of an agent, or does not speak this protocol.
    pub async fn answer(self) -> Result<Link, LinkError> {
        let address = self.address();
        let connection = match self.incoming.accept() {
            Ok(connecting) => self.endpoint.in_time(connecting).await,
            Err(error) => Err(error),
        };
        match connection {
            Ok(connection) => self.endpoint.link(connection, false),
            Err(error) => Err(LinkError::of(address, error)),
        }
    }

    /// Leaves it unanswered, as if nobody were here.
    pub fn ignore(self) {
        self.incoming.ignore();
    }
}

impl Link {
    /// Returns who is at the other end.
    pub fn peer(&self) -> AgentId {
        self.peer
    }

    /// Returns that agent's public key.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Returns what both ends know of this link and nobody else does (RFC 8446, section 7.5).
    pub fn binding(&self) -> [u8; 32] {
        self.binding
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
        let why = self.ended_for.get_or_init(|| why);
        self.connection.close(why.code(), &[]);
    }

    /// Returns why this side ended it, where it did.
    pub fn ended_for(&self) -> Option<Farewell> {
        self.ended_for.get().copied()
    }

    /// Watches the link until it has ended, and returns why. Every link needs to be watched.
    ///
    /// Where nothing is heard for [`Config::silence_max`] (and a seventh of it at most), this side ends
    /// it and says so. That matters where one direction alone is lost: the other side hears it, and
    /// would else go on for twice the time. If that one packet is lost too, it does.
    pub async fn ended(&self) -> LinkError {
        let address = self.address();
        let why = tokio::select! {
            why = self.connection.closed() => why,
            () = self.silence() => {
                self.end(Farewell::Unheard);
                self.connection.closed().await
            }
        };
        match why {
            ConnectionError::LocallyClosed if self.ended_for() == Some(Farewell::Unheard) => {
                LinkError::Silent { address }
            }
            why => LinkError::of(address, why),
        }
    }

    /// Waits until nothing was heard for too long.
    ///
    /// It counts looks and not time: a machine that slept, or a process that was stopped, has missed
    /// looks, and listens anew.
    async fn silence(&self) {
        let mut looks = interval((self.silence_max / LOOKS).max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first comes at once.
        looks.tick().await;
        let (mut heard, mut in_vain) = (self.heard(), 0);
        while in_vain < LOOKS {
            looks.tick().await;
            let now = self.heard();
            in_vain = if now == heard { in_vain + 1 } else { 0 };
            heard = now;
        }
    }

    /// Counts what was heard of the other side and is authenticated. Every packet has one of these: where
    /// what was sent is not acknowledged, those that follow may carry nothing but that once more.
    fn heard(&self) -> u64 {
        let frames = self.connection.stats().frame_rx;
        let of_packets = frames.acks + frames.ping + frames.immediate_ack + frames.ack_frequency;
        let of_handshake = frames.crypto + u64::from(frames.handshake_done) + frames.new_token;
        let of_path = frames.path_challenge + frames.path_response;
        let of_ids = frames.new_connection_id + frames.retire_connection_id;
        let of_streams = frames.stream + frames.reset_stream + frames.stop_sending;
        let of_room = frames.max_data
            + frames.max_stream_data
            + frames.max_streams_bidi
            + frames.max_streams_uni;
        let of_no_room = frames.data_blocked
            + frames.stream_data_blocked
            + frames.streams_blocked_bidi
            + frames.streams_blocked_uni;
        of_packets + of_handshake + of_path + of_ids + of_streams + of_room + of_no_room
    }
}

/// TLS 1.3 has a suite for the first packets of QUIC, and no other version is spoken.
fn unusable() -> TlsError {
    rustls::Error::General("no cipher suite for QUIC".to_owned()).into()
}

/// Returns a socket with room for what comes and goes while this process does not run.
fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    // As much as the system allows is enough.
    let _less = set_socket_recv_buffer_size(&socket, SOCKET_RECEIVE_BYTES);
    let _less = set_socket_send_buffer_size(&socket, SOCKET_SEND_BYTES);
    Ok(socket)
}
