//! Paths that change, go half dead, go wholly dead or lose much: what the two sides notice, and when.

use std::time::{Duration, Instant};

use x0x::link::{Farewell, Link, LinkError};

use super::harness::{Conditions, Direction, Network, Path};
use super::{ANY_PORT, MARGIN, SILENCE_MAX, Side, exchange, linked, linked_at, side};

/// When silence is noticed at the latest: a seventh is how often a link looks.
fn latest() -> Duration {
    SILENCE_MAX * 8 / 7 + MARGIN
}

#[expect(clippy::disallowed_methods, reason = "how soon a link ends is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

/// Waits until both ends have noticed that the link is gone; returns what they say, in time.
async fn both_end(a: &Link, b: &Link) -> (LinkError, LinkError) {
    let start = now();
    let ends = tokio::join!(a.ended(), b.ended());
    let took = now() - start;
    assert!(took < latest(), "{took:?}");
    ends
}

fn is_silent(error: &LinkError) -> bool {
    matches!(error, LinkError::Silent { .. }) && error.is_retryable()
}

#[tokio::test]
async fn traffic_goes_on_when_the_caller_seems_to_have_moved() {
    let (a, b, network) = (side(), side(), Network::new(1));
    let path = network.path(b.address);
    let (out, back) = linked_at(&a, &b, path.address()).await;
    exchange(&out, &back, b"before").await;
    let before = back.address();
    path.rebind();
    exchange(&out, &back, b"after").await;
    assert_ne!(back.address(), before);
}

#[tokio::test]
async fn traffic_goes_on_when_the_calling_side_takes_another_socket() {
    let (a, b, network) = (side(), side(), Network::new(2));
    let path = network.path(b.address);
    let (out, back) = linked_at(&a, &b, path.address()).await;
    exchange(&out, &back, b"before").await;
    let before = back.address();
    a.endpoint.rebind(ANY_PORT).unwrap();
    assert_ne!(a.endpoint.address().unwrap(), a.address);
    exchange(&out, &back, b"after").await;
    assert_ne!(back.address(), before);
    let c = side();
    let moved = Side { address: a.endpoint.address().unwrap(), ..a };
    linked(&c, &moved).await;
}

#[tokio::test]
async fn a_link_to_a_side_that_has_moved_ends_and_is_made_anew_at_its_new_place() {
    let (a, b) = (side(), side());
    let (out, back) = linked(&a, &b).await;
    b.endpoint.rebind(ANY_PORT).unwrap();
    let moved = Side { address: b.endpoint.address().unwrap(), ..b };
    // What it still sends comes from where nobody was called.
    let (out_says, back_says) = both_end(&out, &back).await;
    assert!(is_silent(&out_says) && back_says.is_retryable(), "{out_says:?} {back_says:?}");
    linked(&a, &moved).await;
}

async fn half_dead(direction: Direction) -> (LinkError, LinkError, [Side; 2], Path, Network) {
    let (a, b, network) = (side(), side(), Network::new(3));
    let path = network.path(b.address);
    let (out, back) = linked_at(&a, &b, path.address()).await;
    // Until the caller has heard that its handshake is through, it says that part again and nothing else,
    // and the callee has thrown the keys for it away.
    exchange(&out, &back, b"through").await;
    path.cut(direction);
    let (out_says, back_says) = both_end(&out, &back).await;
    assert!(path.counters(direction).cut > 0);
    (out_says, back_says, [a, b], path, network)
}

fn is_told(error: &LinkError) -> bool {
    matches!(error, LinkError::Ended { why: Farewell::Unheard, .. }) && error.is_retryable()
}

#[tokio::test]
async fn a_caller_that_is_no_longer_heard_is_told_and_links_anew_once_the_path_is_whole() {
    let (out_says, back_says, [a, b], path, _network) = half_dead(Direction::There).await;
    assert!(is_told(&out_says) && is_silent(&back_says), "{out_says:?} {back_says:?}");
    path.heal();
    linked_at(&a, &b, path.address()).await;
}

#[tokio::test]
async fn a_callee_that_is_no_longer_heard_is_told_and_is_linked_anew_once_the_path_is_whole() {
    let (out_says, back_says, [a, b], path, _network) = half_dead(Direction::Back).await;
    assert!(is_silent(&out_says) && is_told(&back_says), "{out_says:?} {back_says:?}");
    path.heal();
    linked_at(&a, &b, path.address()).await;
}

#[tokio::test]
async fn a_call_on_a_half_dead_path_fails_in_time() {
    let (a, b, network) = (side(), side(), Network::new(4));
    let path = network.path(b.address);
    path.cut(Direction::Back);
    let start = now();
    let (called, answered) = tokio::join!(a.endpoint.call(path.address(), None), b.answer());
    assert!(now() - start < latest());
    assert!(is_silent(&called.unwrap_err()) && answered.unwrap_err().is_retryable());
}

#[tokio::test]
async fn after_a_sleep_both_sides_know_that_the_link_is_gone_and_link_anew() {
    let (a, b, network) = (side(), side(), Network::new(5));
    let path = network.path(b.address);
    let (out, back) = linked_at(&a, &b, path.address()).await;
    path.cut(Direction::Both);
    let (out_says, back_says) = both_end(&out, &back).await;
    assert!(is_silent(&out_says) && is_silent(&back_says), "{out_says:?} {back_says:?}");
    path.heal();
    let (out, back) = linked_at(&a, &b, path.address()).await;
    exchange(&out, &back, b"awake").await;
}

#[tokio::test]
async fn a_port_that_closes_ends_its_own_link_and_no_other() {
    let (a, b, c, network) = (side(), side(), side(), Network::new(6));
    let path = network.path(b.address);
    let (out, back) = linked_at(&a, &b, path.address()).await;
    let (other_out, other_back) = linked(&a, &c).await;
    path.close();
    // Whoever sends there now is told by ICMP, which is no reason to believe it.
    let (out_says, back_says) = both_end(&out, &back).await;
    assert!(is_silent(&out_says) && is_silent(&back_says), "{out_says:?} {back_says:?}");
    let start = now();
    assert!(is_silent(&a.endpoint.call(path.address(), Some(b.agent)).await.unwrap_err()));
    assert!(now() - start < latest());
    exchange(&other_out, &other_back, b"elsewhere").await;
    path.reopen();
    linked_at(&a, &b, path.address()).await;
}

#[tokio::test]
async fn a_path_that_loses_a_fifth_is_not_silent_and_carries_everything() {
    let (a, b, network) = (side(), side(), Network::new(7));
    let path = network.path(b.address);
    let (out, back) = linked_at(&a, &b, path.address()).await;
    let milliseconds = Duration::from_millis;
    let (delay, jitter) = (milliseconds(5), milliseconds(10));
    let bad = Conditions { delay, jitter, loss: 0.2, duplication: 0.1, ..Conditions::default() };
    path.set(Direction::Both, bad);
    let until = tokio::time::sleep(SILENCE_MAX * 2);
    let carried = async {
        exchange(&out, &back, &[7; 100_000]).await;
        until.await;
        exchange(&out, &back, b"still here").await;
    };
    tokio::select! {
        () = carried => {}
        error = out.ended() => panic!("{error:?}"),
        error = back.ended() => panic!("{error:?}"),
    }
    let counters = path.counters(Direction::Both);
    assert!(counters.lost > 0 && counters.duplicated > 0 && counters.delayed > 0, "{counters:?}");
}
