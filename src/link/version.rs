//! The refusal of a caller that speaks another version: it names both, which TLS alone does not. What
//! the names are is `tls.rs`'s.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn_proto::crypto::{
    ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig, Session,
    UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The alert by which TLS says that the sides have no protocol in common (RFC 7301, section 3.2), as
/// QUIC carries it (RFC 9001, section 4.8).
pub(super) const NO_PROTOCOL: u64 = 0x0100 + 120;

/// What stands between the two names in the reason that QUIC carries.
const NOT: &str = " not ";

/// How long a name may be that is told to people.
const NAME_BYTES_MAX: usize = 32;

/// The side that is called, as QUIC wants it.
pub struct Answering {
    tls: rustls::ServerConfig,
    plain: Arc<QuicServerConfig>,
}

impl Answering {
    /// Returns the side that is called, with this configuration of TLS.
    ///
    /// # Errors
    /// Where it has no cipher suite for the first packets of QUIC.
    pub fn new(tls: rustls::ServerConfig) -> Result<Self, NoInitialCipherSuite> {
        let plain = Arc::new(QuicServerConfig::try_from(tls.clone())?);
        Ok(Self { tls, plain })
    }
}

impl ServerConfig for Answering {
    fn initial_keys(&self, version: u32, to: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.plain.initial_keys(version, to)
    }

    fn retry_tag(&self, version: u32, to: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.plain.retry_tag(version, to, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        params: &TransportParameters,
    ) -> Box<dyn Session> {
        let asked = Arc::new(OnceLock::new());
        let mut tls = self.tls.clone();
        let keys = tls.cert_resolver.clone();
        tls.cert_resolver = Arc::new(Overhearing { keys, asked: asked.clone() });
        // It has the suites that it was made with.
        let quic = QuicServerConfig::try_from(tls).map_or(self.plain.clone(), Arc::new);
        let own = self.tls.alpn_protocols.first().map(|name| shown(name)).unwrap_or_default();
        Box::new(Naming { session: quic.start_session(version, params), own, asked })
    }
}

/// Returns which version the caller asked for, from the reason that the side gave that was called.
pub(super) fn asked(reason: &[u8]) -> Option<String> {
    names(reason).map(|(_, asked)| asked)
}

/// Returns which version the side speaks that was called, from the reason that it gave.
///
/// The reason is not authenticated: it is for people, and decides nothing.
pub(super) fn spoken(reason: &[u8]) -> Option<String> {
    names(reason).map(|(own, _)| own)
}

fn names(reason: &[u8]) -> Option<(String, String)> {
    let (own, asked) = std::str::from_utf8(reason).ok()?.split_once(NOT)?;
    let is_name = |name: &str| !name.is_empty() && shown(name.as_bytes()) == name;
    (is_name(own) && is_name(asked)).then(|| (own.to_owned(), asked.to_owned()))
}

/// Returns a name of a protocol as it may be shown: short, and without anything unusual.
fn shown(name: &[u8]) -> String {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    name.iter().filter(|byte| is_usual(byte)).take(NAME_BYTES_MAX).map(|b| char::from(*b)).collect()
}

/// Hears which protocol a caller would like best.
#[derive(Debug)]
struct Overhearing {
    keys: Arc<dyn ResolvesServerCert>,
    asked: Arc<OnceLock<String>>,
}

impl ResolvesServerCert for Overhearing {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(first) = hello.alpn().and_then(|mut names| names.next().map(shown)) {
            let _first = self.asked.set(first);
        }
        self.keys.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.keys.only_raw_public_keys()
    }
}

/// A session that names the versions when it ends for want of a common one; all else is TLS's.
struct Naming {
    session: Box<dyn Session>,
    own: String,
    asked: Arc<OnceLock<String>>,
}

impl Session for Naming {
    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        self.session.read_handshake(bytes).map_err(|mut error| {
            if u64::from(error.code) == NO_PROTOCOL
                && let Some(asked) = self.asked.get()
            {
                error.reason = format!("{}{NOT}{asked}", self.own);
            }
            error
        })
    }

    fn initial_keys(&self, to: &ConnectionId, side: Side) -> Keys {
        self.session.initial_keys(to, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.session.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.session.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.session.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.session.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.session.transport_parameters()
    }

    fn write_handshake(&mut self, buffer: &mut Vec<u8>) -> Option<Keys> {
        self.session.write_handshake(buffer)
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.session.next_1rtt_keys()
    }

    fn is_valid_retry(&self, to: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.session.is_valid_retry(to, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.session.export_keying_material(output, label, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_in_a_reason_are_read_and_nothing_else_is() {
        assert_eq!(asked(b"x0x/1 not x0x/2").as_deref(), Some("x0x/2"));
        assert_eq!(spoken(b"x0x/1 not x0x/2").as_deref(), Some("x0x/1"));
        let long = format!("x0x/1 not {}", "x".repeat(NAME_BYTES_MAX + 1));
        let strange: &[&[u8]] =
            &[b"", b"x0x/1", b" not x0x/2", b"x0x/1 not ", b"a b not c", b"\xff", b"x\n not y"];
        for reason in strange.iter().copied().chain([long.as_bytes()]) {
            assert_eq!((asked(reason), spoken(reason)), (None, None), "{reason:?}");
        }
    }
}
