//! A node that is killed and started anew: it said no farewell, and the others find out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use x0x::identity::Identity;
use x0x::link::{Config, Endpoint, Link, LinkError};
use x0x_tracker::journal::signature::Signer;

use super::harness::{Direction, Network, Path};
use super::{ANY_PORT, MARGIN, SILENCE_MAX, Side, exchange, impatient, linked_at, side};

/// A node on a runtime of its own, which can be killed.
struct Mortal {
    runtime: Runtime,
    side: Side,
    identity: Arc<Identity>,
}

impl Mortal {
    fn new(config: Config) -> Self {
        let identity = Arc::new(Identity::passing().unwrap());
        let runtime = Runtime::new().unwrap();
        let inside = runtime.enter();
        let endpoint = Endpoint::bind_with(ANY_PORT, identity.clone(), config).unwrap();
        let (agent, address) = (identity.agent(), endpoint.address().unwrap());
        drop(inside);
        Self { runtime, side: Side { endpoint, agent, address }, identity }
    }

    /// Links a side to it; what it does about that is done on its own runtime.
    async fn linked(&self, a: &Side, path: &Path) -> (Link, Link) {
        let endpoint = self.side.endpoint.clone();
        let answering = async move { endpoint.next_call().await.unwrap().answer().await };
        let answering = self.runtime.spawn(answering);
        let calling = a.endpoint.call(path.address(), Some(self.side.agent));
        let (called, answered) = tokio::join!(calling, answering);
        (called.unwrap(), answered.unwrap().unwrap())
    }

    /// Kills it, so that nothing that it would still say gets out, and starts it anew with the same
    /// key and port.
    async fn restart(self, link: Link, path: &Path, config: Config) -> Side {
        path.cut(Direction::Both);
        let Self { runtime, side: Side { endpoint, agent, address }, identity } = self;
        let killing = tokio::task::spawn_blocking(move || {
            drop(runtime);
            drop((link, endpoint));
        });
        killing.await.unwrap();
        let endpoint = Endpoint::bind_with(address, identity, config).unwrap();
        path.heal();
        Side { endpoint, agent, address }
    }
}

#[expect(clippy::disallowed_methods, reason = "how soon a link ends is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn a_node_started_anew_with_its_reset_key_ends_the_links_of_its_former_life_at_once() {
    // So long a silence that it cannot be what ends the link.
    let silence_max = Duration::from_secs(30);
    let config = Config { silence_max, ..impatient() };
    let identity = Identity::passing().unwrap();
    let agent = identity.agent();
    let endpoint = Endpoint::bind_with(ANY_PORT, Arc::new(identity), config).unwrap();
    let a = Side { agent, address: endpoint.address().unwrap(), endpoint };
    let (b, network) = (Mortal::new(config), Network::new(1));
    let path = network.path(b.side.address);
    let (out, back) = b.linked(&a, &path).await;
    // Until the handshake is confirmed nothing is answered that an earlier life knew.
    exchange(&out, &back, b"before").await;
    let b = b.restart(back, &path, config).await;
    let start = now();
    let error = out.ended().await;
    assert!(matches!(error, LinkError::Forgotten { .. }) && error.is_retryable(), "{error:?}");
    assert!(now() - start < config.keep_alive + MARGIN, "{:?}", now() - start);
    let (out, back) = linked_at(&a, &b, path.address()).await;
    exchange(&out, &back, b"anew").await;
}

#[tokio::test]
async fn a_node_started_anew_with_another_reset_key_is_missed_after_the_longest_silence() {
    let (a, b, network) = (side(), Mortal::new(impatient()), Network::new(2));
    let path = network.path(b.side.address);
    let (out, back) = b.linked(&a, &path).await;
    let b = b.restart(back, &path, impatient()).await;
    let start = now();
    let error = out.ended().await;
    assert!(matches!(error, LinkError::Silent { .. }) && error.is_retryable(), "{error:?}");
    assert!(now() - start < SILENCE_MAX * 8 / 7 + MARGIN);
    linked_at(&a, &b, path.address()).await;
}
