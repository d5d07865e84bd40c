//! At which addresses this machine can be called, and where it listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use x0x_tracker::journal::signature::Signer;

use super::PORT;
use crate::link::{self, Endpoint, LinkError};
use crate::wire::ADDRESSES_MAX;

/// Every address of this machine, any free port.
pub const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Returns where a socket that is bound so can be called, best first: what the network sees, then
/// loopback, for nodes of the same machine.
pub fn of(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let is_of_kind = |ip: &IpAddr| bound.is_ipv6() || ip.is_ipv4();
    let mut found: Vec<IpAddr> = if_addrs::get_if_addrs()
        .inspect_err(|error| tracing::warn!(%error, "the addresses of this machine are unknown"))
        .unwrap_or_default()
        .into_iter()
        .map(|interface| interface.ip())
        .filter(|ip| is_of_kind(ip) && !is_link_local(ip))
        .collect();
    found.sort_by_key(IpAddr::is_loopback);
    found.dedup();
    if found.is_empty() {
        found.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    // Loopback is always among them, however many there are.
    let loopback = found.iter().position(IpAddr::is_loopback);
    if let Some(at) = loopback.filter(|at| *at >= ADDRESSES_MAX) {
        found.swap(ADDRESSES_MAX - 1, at);
    }
    found.truncate(ADDRESSES_MAX);
    found.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Tells whether an address means something on its own link alone.
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Listens where it was told to, or else where it did before, or on the usual port, or on any.
pub(super) fn listen_on(
    listen: Option<SocketAddr>,
    before: Option<u16>,
    signer: &Arc<dyn Signer>,
    config: link::Config,
) -> Result<Endpoint, LinkError> {
    if let Some(address) = listen {
        return Endpoint::bind_with(address, signer.clone(), config);
    }
    let usual = before.into_iter().chain([PORT]);
    for port in usual {
        let address = SocketAddr::new(ANY.ip(), port);
        if let Ok(endpoint) = Endpoint::bind_with(address, signer.clone(), config) {
            return Ok(endpoint);
        }
    }
    Endpoint::bind_with(ANY, signer.clone(), config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_bound_to_one_address_is_called_there() {
        let bound = "127.0.0.1:7".parse().unwrap();
        assert_eq!(of(bound), [bound]);
    }

    #[test]
    fn a_socket_on_all_addresses_is_called_on_each_and_on_loopback_last() {
        let found = of("0.0.0.0:7".parse().unwrap());
        assert!(!found.is_empty() && found.len() <= ADDRESSES_MAX);
        assert!(found.iter().all(|address| address.port() == 7 && !address.ip().is_unspecified()));
        assert!(found.last().unwrap().ip().is_loopback());
    }
}
