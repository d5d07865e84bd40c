//! Callers that are not ours, or no longer: another version, a weaker key exchange, no key or another
//! kind of key. Each is refused for what it is, and the next one is answered.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::ConnectionError;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::{CertifiedKey, Signer as TlsSigner, SigningKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureAlgorithm, SignatureScheme,
};
use x0x::identity::Identity;
use x0x::link::version::Answering;
use x0x::link::{Expected, LinkError, tls};

use super::{ANY_PORT, Side, linked, side};

fn ours() -> ClientConfig {
    tls::client(Arc::new(Identity::passing().unwrap()), Expected::anybody()).unwrap()
}

/// Calls a side with some configuration of TLS: what the caller is told, and what the side says.
async fn refused(client: ClientConfig, side: &Side) -> (LinkError, LinkError) {
    let endpoint = quinn::Endpoint::client(ANY_PORT).unwrap();
    let client = QuicClientConfig::try_from(client).unwrap();
    let client = quinn::ClientConfig::new(Arc::new(client));
    let calling = endpoint.connect_with(client, side.address, tls::SERVER_NAME).unwrap();
    // A caller may believe in a link before the other side has seen its key.
    let told = async {
        match calling.await {
            Ok(connection) => connection.closed().await,
            Err(error) => error,
        }
    };
    let (told, answered) = tokio::join!(told, side.answer());
    (LinkError::of(side.address, told), answered.unwrap_err())
}

/// Sees that both sides were told of a failure of TLS, and that the one called goes on.
async fn assert_refused_by_tls(client: ClientConfig) {
    let (side, other) = (side(), side());
    let (told, said) = refused(client, &side).await;
    let of_tls = |error: &LinkError| match error {
        LinkError::Broken { source: ConnectionError::TransportError(error), .. } => {
            u64::from(error.code)
        }
        LinkError::Broken { source: ConnectionError::ConnectionClosed(close), .. } => {
            u64::from(close.error_code)
        }
        other => panic!("{other:?}"),
    };
    assert!((0x100..0x200).contains(&of_tls(&told)), "{told:?}");
    assert!((0x100..0x200).contains(&of_tls(&said)), "{said:?}");
    linked(&other, &side).await;
}

#[tokio::test]
async fn a_caller_of_another_version_is_told_both_and_so_is_the_side_called() {
    let side = side();
    let mut client = ours();
    client.alpn_protocols = vec![b"x0x/2".to_vec()];
    let (told, said) = refused(client, &side).await;
    let LinkError::OtherVersion { found: Some(found), .. } = &told else { panic!("{told:?}") };
    assert_eq!(found, "x0x/1");
    let LinkError::OtherVersion { found: Some(found), .. } = &said else { panic!("{said:?}") };
    assert_eq!(found, "x0x/2");
    assert!(said.to_string().ends_with("speaks x0x/2, this one x0x/1"), "{said}");
    assert!(!said.is_retryable());
}

/// Answers one call with some configuration of TLS; returns where.
fn answering(server: Arc<dyn quinn::crypto::ServerConfig>) -> SocketAddr {
    let server = quinn::ServerConfig::with_crypto(server);
    let endpoint = quinn::Endpoint::server(server, ANY_PORT).unwrap();
    let address = endpoint.local_addr().unwrap();
    let answering = async move {
        let incoming = endpoint.accept().await.unwrap();
        incoming.await.unwrap_err();
        endpoint.wait_idle().await;
    };
    tokio::runtime::Handle::current().spawn(answering);
    address
}

fn of_protocol(name: &[u8]) -> ServerConfig {
    let mut server = tls::server(Arc::new(Identity::passing().unwrap())).unwrap();
    server.alpn_protocols = vec![name.to_vec()];
    server
}

#[tokio::test]
async fn a_node_of_a_later_version_is_named() {
    let address = answering(Arc::new(Answering::new(of_protocol(b"x0x/2")).unwrap()));
    let error = side().endpoint.call(address, None).await.unwrap_err();
    assert!(error.to_string().ends_with("speaks x0x/2, this one x0x/1"), "{error:?}");
    assert!(matches!(error, LinkError::OtherVersion { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_node_at_all_is_said_not_to_speak_this_protocol() {
    let address = answering(Arc::new(QuicServerConfig::try_from(of_protocol(b"h3")).unwrap()));
    let error = side().endpoint.call(address, None).await.unwrap_err();
    assert!(matches!(error, LinkError::OtherVersion { found: None, .. }), "{error:?}");
    assert!(error.to_string().ends_with("does not speak x0x/1"), "{error}");
}

#[tokio::test]
async fn a_caller_that_offers_no_post_quantum_key_exchange_is_refused() {
    let classical = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut client = ClientConfig::builder_with_provider(Arc::new(classical))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(ours().client_auth_cert_resolver);
    client.alpn_protocols = vec![tls::PROTOCOL.to_vec()];
    assert_refused_by_tls(client).await;
}

#[tokio::test]
async fn a_caller_without_a_key_is_refused() {
    let mut client = ours();
    client.client_auth_cert_resolver = Arc::new(Keyless);
    assert_refused_by_tls(client).await;
}

#[tokio::test]
async fn a_caller_with_an_ed25519_key_is_refused() {
    use ::aws_lc_rs::encoding::AsDer;
    use ::aws_lc_rs::signature::Ed25519KeyPair;
    let pair = Ed25519KeyPair::generate().unwrap();
    let der: ::aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(der.as_ref().to_vec());
    let key = aws_lc_rs::sign::any_eddsa_type(&der).unwrap();
    let info = CertificateDer::from(key.public_key().unwrap().to_vec());
    let key = Arc::new(CertifiedKey::new(vec![info], Arc::new(Stubborn(key))));
    let mut client = ours();
    client.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(key));
    assert_refused_by_tls(client).await;
}

/// Signs as it likes, whatever it was asked for.
#[derive(Debug)]
struct Stubborn(Arc<dyn SigningKey>);

impl SigningKey for Stubborn {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn TlsSigner>> {
        self.0.choose_scheme(&[SignatureScheme::ED25519])
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct Keyless;

impl rustls::client::ResolvesClientCert for Keyless {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Believes any key, so that nothing but the key exchange can fail.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ML_DSA_65]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
