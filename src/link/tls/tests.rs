use std::io::Cursor;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::identity::Identity;

fn identity() -> Arc<dyn Signer> {
    Arc::new(Identity::passing().unwrap())
}

/// Shakes hands in memory: whom each side found, or the first error.
fn shake(
    client: ClientConfig,
    server: ServerConfig,
) -> Result<(Option<AgentId>, Option<AgentId>), rustls::Error> {
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = Cursor::new(wire);
        while server.read_tls(&mut wire).unwrap() > 0 {
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = Cursor::new(wire);
        while client.read_tls(&mut wire).unwrap() > 0 {
            client.process_new_packets()?;
        }
    }
    let found = |shown: Option<&[CertificateDer<'_>]>| {
        shown.and_then(peer_key).map(|key| AgentId::of_public_key(&key))
    };
    Ok((found(client.peer_certificates()), found(server.peer_certificates())))
}

#[test]
fn both_sides_learn_who_the_other_is() {
    let (a, b) = (identity(), identity());
    let client = client(a.clone(), Expected::agent(b.agent())).unwrap();
    let found = shake(client, server(b.clone()).unwrap()).unwrap();
    assert_eq!(found, (Some(b.agent()), Some(a.agent())));
}

#[test]
fn another_key_than_the_expected_one_is_refused_and_named() {
    let (a, b) = (identity(), identity());
    let expected = Expected::agent(a.agent());
    let client = client(a, expected.clone()).unwrap();
    shake(client, server(b.clone()).unwrap()).unwrap_err();
    assert_eq!(expected.stranger(), Some(b.agent()));
}

#[test]
fn anybody_may_answer_where_nobody_is_expected() {
    let (a, b) = (identity(), identity());
    let expected = Expected::anybody();
    let client = client(a, expected.clone()).unwrap();
    assert_eq!(shake(client, server(b.clone()).unwrap()).unwrap().0, Some(b.agent()));
    assert_eq!(expected.stranger(), None);
}

#[test]
fn a_key_that_somebody_else_signs_for_is_refused() {
    struct Thief(Arc<dyn Signer>, Arc<dyn Signer>);
    impl Signer for Thief {
        fn public_key(&self) -> &[u8] {
            self.0.public_key()
        }
        fn sign(
            &self,
            message: &[u8],
        ) -> Result<Vec<u8>, x0x_tracker::journal::signature::SignError> {
            self.1.sign(message)
        }
    }
    let (victim, thief, other) = (identity(), identity(), identity());
    let stolen: Arc<dyn Signer> = Arc::new(Thief(victim.clone(), thief));
    let as_server = client(other.clone(), Expected::agent(victim.agent())).unwrap();
    shake(as_server, server(stolen.clone()).unwrap()).unwrap_err();
    let as_client = client(stolen, Expected::agent(other.agent())).unwrap();
    shake(as_client, server(other).unwrap()).unwrap_err();
}

#[test]
fn a_side_without_a_key_is_refused() {
    let (a, b) = (identity(), identity());
    let mut nobody = client(a, Expected::agent(b.agent())).unwrap();
    nobody.client_auth_cert_resolver = Arc::new(Nothing);
    shake(nobody, server(b).unwrap()).unwrap_err();
}

#[derive(Debug)]
struct Nothing;

impl rustls::client::ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn another_protocol_is_refused() {
    let (a, b) = (identity(), identity());
    let mut client = client(a, Expected::anybody()).unwrap();
    client.alpn_protocols = vec![b"x0x/2".to_vec()];
    let refused = shake(client, server(b).unwrap()).unwrap_err();
    assert_eq!(refused, rustls::Error::NoApplicationProtocol);
}

#[test]
fn a_key_exchange_without_ml_kem_is_refused() {
    let (a, b) = (identity(), identity());
    let mut classical = provider();
    classical.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let keys = AlwaysResolvesClientRawPublicKeys::new(certified(a));
    let client = ClientConfig::builder_with_provider(Arc::new(classical))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Peers::default()))
        .with_client_cert_resolver(Arc::new(keys));
    shake(client, server(b).unwrap()).unwrap_err();
}

#[test]
fn a_key_has_one_encoding() {
    let key = identity();
    let info = public_key_info(key.public_key()).to_vec();
    assert_eq!(public_key_of(&info), Some(key.public_key()));
    for at in 0..info.len() - PUBLIC_KEY_BYTES {
        let mut other = info.clone();
        other[at] ^= 1;
        assert_eq!(public_key_of(&other), None, "byte {at}");
    }
    for other in [&[][..], &info[1..], key.public_key(), &[&info[..], &[0]].concat()] {
        assert_eq!(public_key_of(other), None);
    }
}
