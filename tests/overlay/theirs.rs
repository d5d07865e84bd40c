//! The simulator that the proto comes with, set to what ours is.

use iroh_gossip::proto::sim::{
    BootstrapMode, LatencyConfig, NetworkConfig, Simulator, SimulatorConfig,
};
use x0x::mesh::MeshConfig;

use crate::swarm::{FIRST, LATENCY_MS, SETTLE, WAIT_MAX};
use crate::{ROUNDS, Rounds, Senders};

pub fn rounds(nodes: usize, senders: Senders, seed: u64) -> Rounds {
    let latency = LatencyConfig::random_ms(LATENCY_MS.0, LATENCY_MS.1);
    let network = NetworkConfig { latency, proto: MeshConfig::default().proto() };
    let config = SimulatorConfig { rng_seed: seed, peers: nodes, gossip_round_timeout: WAIT_MAX };
    let mut simulator = Simulator::new(config, network);
    simulator.bootstrap(BootstrapMode::Set { count: FIRST as u64 });
    simulator.network.run_duration(SETTLE);
    for round in 0..ROUNDS {
        let sender = if senders == Senders::One { 0 } else { simulator.random_peer() };
        simulator.gossip_round(vec![(sender, format!("round {round}").into_bytes().into())]);
    }
    let mean = simulator.round_stats_average().mean;
    Rounds {
        redundancy: f64::from(mean.rmr),
        last_ms: mean.duration.as_secs_f64() * 1e3,
        hops: f64::from(mean.ldh),
        missed: f64::from(mean.missed),
    }
}
