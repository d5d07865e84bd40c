//! Links on loopback: who is at the other end, and what is said where there is no link.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use x0x::identity::Identity;
use x0x::link::{Endpoint, Farewell, Link, LinkError};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::Signer;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Side {
    endpoint: Endpoint,
    agent: AgentId,
    address: SocketAddr,
}

fn side() -> Side {
    let identity = Identity::passing().unwrap();
    let agent = identity.agent();
    let endpoint = Endpoint::bind(ANY_PORT, Arc::new(identity)).unwrap();
    let address = endpoint.address().unwrap();
    Side { endpoint, agent, address }
}

async fn linked(a: &Side, b: &Side) -> (Link, Link) {
    let (called, answered) =
        tokio::join!(a.endpoint.call(b.address, Some(b.agent)), b.endpoint.answer());
    (called.unwrap(), answered.unwrap().unwrap())
}

#[tokio::test]
async fn both_ends_know_each_other_and_carry_bytes() {
    let (a, b) = (side(), side());
    let (out, back) = linked(&a, &b).await;
    assert_eq!((out.peer(), back.peer()), (b.agent, a.agent));
    assert_eq!((out.is_caller(), back.is_caller()), (true, false));
    let mut stream = out.connection().open_uni().await.unwrap();
    stream.write_all(b"over the link").await.unwrap();
    stream.finish().unwrap();
    let mut stream = back.connection().accept_uni().await.unwrap();
    assert_eq!(stream.read_to_end(64).await.unwrap(), b"over the link");
}

#[tokio::test]
async fn another_agent_at_the_address_is_named() {
    let (a, b, wanted) = (side(), side(), side().agent);
    let (called, answered) =
        tokio::join!(a.endpoint.call(b.address, Some(wanted)), b.endpoint.answer());
    let error = called.unwrap_err();
    let LinkError::OtherAgent { expected, found, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*expected, *found, error.is_retryable()), (wanted, b.agent, false));
    assert!(answered.unwrap().is_err());
}

#[tokio::test]
async fn a_node_that_calls_itself_is_told() {
    let a = side();
    let (called, answered) = tokio::join!(a.endpoint.call(a.address, None), a.endpoint.answer());
    assert!(matches!(called.unwrap_err(), LinkError::Oneself { .. }));
    assert!(answered.unwrap().is_err());
}

#[tokio::test]
async fn the_reason_for_an_end_arrives() {
    for why in [Farewell::NoSharedList, Farewell::Superfluous, Farewell::Revoked, Farewell::Breach]
    {
        let (a, b) = (side(), side());
        let (out, back) = linked(&a, &b).await;
        back.end(why);
        let error = out.ended().await;
        assert!(matches!(error, LinkError::Ended { why: told, .. } if told == why), "{error:?}");
        assert!(!error.is_retryable());
        assert!(matches!(back.ended().await, LinkError::EndedHere { .. }));
    }
}

#[tokio::test]
async fn a_node_that_stops_says_so() {
    let (a, b) = (side(), side());
    let (out, _back) = linked(&a, &b).await;
    b.endpoint.close().await;
    let error = out.ended().await;
    assert!(matches!(error, LinkError::Ended { why: Farewell::Stopping, .. }), "{error:?}");
    assert!(error.is_retryable() && b.endpoint.answer().await.is_none());
}
