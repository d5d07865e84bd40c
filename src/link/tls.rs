//! TLS 1.3 for links: key exchange X25519MLKEM768 alone, ML-DSA-65 raw public keys on both sides
//! (RFC 7250), one protocol name. Whether the agent at the other end is welcome is not asked here.

use std::sync::{Arc, OnceLock};

use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, alg_id};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer as TlsSigner, SigningKey, public_key_to_spki};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, PeerIncompatible, ServerConfig,
    SignatureAlgorithm, SignatureScheme,
};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::{PUBLIC_KEY_BYTES, Signer};

/// The name of the protocol and its version (ALPN, RFC 7301).
pub const PROTOCOL: &[u8] = b"x0x/1";

/// The name that a client asks for. It means nothing: a server is known by its key.
pub const SERVER_NAME: &str = "x0x.invalid";

/// The configuration of TLS could not be made.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up")]
pub struct TlsError(#[from] rustls::Error);

/// Whom a client wants to reach, and who answered instead, if that was another.
#[derive(Clone, Debug)]
pub struct Expected {
    agent: Option<AgentId>,
    found: Arc<OnceLock<AgentId>>,
}

impl Expected {
    /// Returns the expectation that this agent answers.
    pub fn agent(agent: AgentId) -> Self {
        Self { agent: Some(agent), found: Arc::default() }
    }

    /// Returns the expectation that anybody answers.
    pub fn anybody() -> Self {
        Self { agent: None, found: Arc::default() }
    }

    /// Returns the agent that answered although another was expected.
    pub fn stranger(&self) -> Option<AgentId> {
        self.found.get().copied().filter(|found| Some(*found) != self.agent)
    }
}

/// Returns the configuration of the side that is called.
///
/// # Errors
/// Where the key is none that TLS can use.
pub fn server(signer: Arc<dyn Signer>) -> Result<ServerConfig, TlsError> {
    let keys = AlwaysResolvesServerRawPublicKeys::new(certified(signer));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(Peers::default()))
        .with_cert_resolver(Arc::new(keys));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // A resumed session would show no key, and early data can be replayed.
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Returns the configuration of the side that calls.
///
/// # Errors
/// Where the key is none that TLS can use.
pub fn client(signer: Arc<dyn Signer>, expected: Expected) -> Result<ClientConfig, TlsError> {
    let keys = AlwaysResolvesClientRawPublicKeys::new(certified(signer));
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Peers { expected: Some(expected) }))
        .with_client_cert_resolver(Arc::new(keys));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Returns the public key of an agent as TLS carries it: its SubjectPublicKeyInfo (RFC 9881).
pub fn public_key_info(public_key: &[u8]) -> SubjectPublicKeyInfoDer<'static> {
    public_key_to_spki(&alg_id::ML_DSA_65, public_key)
}

/// Returns the public key in a SubjectPublicKeyInfo; `None` where it is no ML-DSA-65 key in the one
/// encoding for it.
pub fn public_key_of(info: &[u8]) -> Option<&[u8]> {
    let (_, key) = info.split_at_checked(info.len().checked_sub(PUBLIC_KEY_BYTES)?)?;
    (public_key_info(key).as_ref() == info).then_some(key)
}

/// Returns the public key of who is at the other end of a handshake that was carried through.
pub fn peer_key(shown: &[CertificateDer<'_>]) -> Option<Arc<[u8]>> {
    match shown {
        [only] => public_key_of(only).map(Arc::from),
        _ => None,
    }
}

/// The algorithms that links use, and no others.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .copied()
            .filter(|suite| suite.tls13().is_some())
            .collect(),
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        signature_verification_algorithms: ml_dsa_65_alone(),
        ..aws_lc_rs::default_provider()
    }
}

/// The one kind of signature that counts; none at all where the library did not know it.
fn ml_dsa_65_alone() -> WebPkiSupportedAlgorithms {
    let known = aws_lc_rs::default_provider().signature_verification_algorithms.mapping;
    let found = known.iter().find(|(scheme, _)| *scheme == SignatureScheme::ML_DSA_65);
    let mapping = found.map(std::slice::from_ref).unwrap_or_default();
    WebPkiSupportedAlgorithms { all: mapping.first().map_or(&[], |(_, kinds)| kinds), mapping }
}

fn certified(signer: Arc<dyn Signer>) -> Arc<CertifiedKey> {
    let info = public_key_info(signer.public_key());
    Arc::new(CertifiedKey::new(
        vec![CertificateDer::from(info.to_vec())],
        Arc::new(LinkKey(signer)),
    ))
}

/// The agent's key, as TLS signs with it.
///
/// What TLS signs begins with 64 spaces (RFC 8446, section 4.4.3), and what x0x signs with a label, so
/// neither can be taken for the other.
struct LinkKey(Arc<dyn Signer>);

impl SigningKey for LinkKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn TlsSigner>> {
        let is_offered = offered.contains(&SignatureScheme::ML_DSA_65);
        is_offered.then(|| Box::new(Self(self.0.clone())) as Box<dyn TlsSigner>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_info(self.0.public_key()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        // TLS 1.2 alone asks for it, and links do not speak that.
        SignatureAlgorithm::Unknown(0)
    }
}

impl TlsSigner for LinkKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.0.sign(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ML_DSA_65
    }
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LinkKey").field(&self.0.agent()).finish()
    }
}

/// Judges the key that the other side shows.
#[derive(Debug, Default)]
struct Peers {
    expected: Option<Expected>,
}

impl Peers {
    fn judge(&self, shown: &[u8], more: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let refused = |error| Err(rustls::Error::InvalidCertificate(error));
        let key = public_key_of(shown).filter(|_| more.is_empty());
        let Some(agent) = key.map(AgentId::of_public_key) else {
            return refused(rustls::CertificateError::BadEncoding);
        };
        let Some(expected) = &self.expected else { return Ok(()) };
        if expected.agent.is_some_and(|expected| expected != agent) {
            let _first = expected.found.set(agent);
            return refused(rustls::CertificateError::ApplicationVerificationFailure);
        }
        Ok(())
    }
}

fn check_signature(
    message: &[u8],
    key: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let info = SubjectPublicKeyInfoDer::from(key.as_ref());
    verify_tls13_signature_with_raw_key(message, &info, signed, &ml_dsa_65_alone())
}

fn tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

impl ServerCertVerifier for Peers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ML_DSA_65]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Peers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ML_DSA_65]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
