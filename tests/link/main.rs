//! Links on loopback: who is at the other end, what is said where there is no link, and what a path that
//! fails does to them.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../harness/mod.rs"]
mod harness;
mod paths;
mod refusals;
mod restarts;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use x0x::identity::Identity;
use x0x::link::{Config, Endpoint, Farewell, Link, LinkError};
use x0x_tracker::id::AgentId;
use x0x_tracker::journal::signature::Signer;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Side {
    endpoint: Endpoint,
    agent: AgentId,
    address: SocketAddr,
}

/// How soon silence is noticed in tests.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// What a busy machine may add to any time.
const MARGIN: Duration = Duration::from_secs(1);

/// Returns what notices silence soon, so that tests need not wait for long.
fn impatient() -> Config {
    let keep_alive = SILENCE_MAX / 4;
    Config { silence_max: SILENCE_MAX, keep_alive, ..Config::default() }
}

fn side() -> Side {
    let identity = Identity::passing().unwrap();
    let agent = identity.agent();
    let endpoint = Endpoint::bind_with(ANY_PORT, Arc::new(identity), impatient()).unwrap();
    let address = endpoint.address().unwrap();
    Side { endpoint, agent, address }
}

impl Side {
    /// Answers the next call.
    async fn answer(&self) -> Result<Link, LinkError> {
        self.endpoint.next_call().await.unwrap().answer().await
    }
}

async fn linked(a: &Side, b: &Side) -> (Link, Link) {
    linked_at(a, b, b.address).await
}

/// Links two sides; the one that is called is reached at an address.
async fn linked_at(a: &Side, b: &Side, address: SocketAddr) -> (Link, Link) {
    let (called, answered) = tokio::join!(a.endpoint.call(address, Some(b.agent)), b.answer());
    (called.unwrap(), answered.unwrap())
}

/// Carries bytes there and back.
async fn exchange(a: &Link, b: &Link, text: &[u8]) {
    for (from, to) in [(a, b), (b, a)] {
        let mut stream = from.connection().open_uni().await.unwrap();
        stream.write_all(text).await.unwrap();
        stream.finish().unwrap();
        let mut stream = to.connection().accept_uni().await.unwrap();
        assert_eq!(stream.read_to_end(text.len()).await.unwrap(), text);
    }
}

#[tokio::test]
async fn both_ends_know_each_other_and_carry_bytes() {
    let (a, b) = (side(), side());
    let (out, back) = linked(&a, &b).await;
    assert_eq!((out.peer(), back.peer()), (b.agent, a.agent));
    assert_eq!((out.is_caller(), back.is_caller()), (true, false));
    exchange(&out, &back, b"over the link").await;
}

#[tokio::test]
async fn another_agent_at_the_address_is_named() {
    let (a, b, wanted) = (side(), side(), side().agent);
    let (called, answered) = tokio::join!(a.endpoint.call(b.address, Some(wanted)), b.answer());
    let error = called.unwrap_err();
    let LinkError::OtherAgent { expected, found, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*expected, *found, error.is_retryable()), (wanted, b.agent, false));
    assert!(answered.is_err());
}

#[tokio::test]
async fn a_node_that_calls_itself_is_told() {
    let a = side();
    let (called, answered) = tokio::join!(a.endpoint.call(a.address, None), a.answer());
    assert!(matches!(called.unwrap_err(), LinkError::Oneself { .. }));
    assert!(answered.is_err());
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
    assert!(error.is_retryable() && b.endpoint.next_call().await.is_none());
}

#[tokio::test]
async fn a_caller_that_stalls_holds_up_no_other() {
    let (a, b, c) = (side(), side(), side());
    let meanwhile = async {
        let unanswered = b.endpoint.next_call().await.unwrap();
        let (out, back) = linked(&c, &b).await;
        exchange(&out, &back, b"meanwhile").await;
        unanswered
    };
    let (stalled, _unanswered) = tokio::join!(a.endpoint.call(b.address, None), meanwhile);
    assert!(matches!(stalled.unwrap_err(), LinkError::Silent { .. }));
}
