//! What a run is asked to do: read from the environment, which `just stress` fills.

use std::str::FromStr;
use std::time::Duration;

use x0x::pump::{FRAMES_MAX, Policy};

/// How many nodes are not as they should be in an adverse run.
const BAD: usize = 3;

/// What is the matter with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Healthy,
    /// It is far from every other.
    Far,
    /// It has a tenth of a core.
    Slow,
    /// It is stopped for a while.
    Stopped,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Far => "far",
            Self::Slow => "slow",
            Self::Stopped => "stopped",
        }
    }
}

/// How many frames may wait in a queue where nodes are worse off than others: few enough to be filled by a load that
/// a machine of two cores makes.
const ADVERSE_FRAMES: usize = 256;

/// How many messages are given to a node that is well off, for each to one that is not.
const HEALTHY_WEIGHT: usize = 20;

/// A run, or two where policies are compared.
#[derive(Clone, Debug)]
pub struct Settings {
    pub nodes: usize,
    pub messages: usize,
    /// Whether the last three nodes are far, slow and stopped.
    pub is_adverse: bool,
    pub policy: String,
    /// The policy that this one is held against.
    pub compare: Option<String>,
    /// How many bytes of text a message has beside its title.
    pub bytes: usize,
    /// How many frames may wait in a queue of a node.
    pub frames: usize,
    /// How many programs write to each node at once.
    pub clients: usize,
    /// How long it may take after the last message until all have all.
    pub settle_max: Duration,
    pub seed: u64,
}

/// Returns what the environment says; nothing is said by an empty value.
pub fn setting<T: FromStr>(name: &str, otherwise: T) -> T {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => {
            value.parse().unwrap_or_else(|_| panic!("{name}: '{value}' is none"))
        }
        _ => otherwise,
    }
}

fn policy(name: &str, otherwise: &str) -> String {
    let policy = setting(name, otherwise.to_owned());
    let is_known = policy.is_empty() || Policy::named(&policy).is_some();
    assert!(is_known, "{name}: '{policy}' is none of {:?}", Policy::ALL.map(|policy| policy.name));
    policy
}

impl Settings {
    pub fn read() -> Self {
        let is_adverse = setting("X0X_STRESS_ADVERSE", 0) == 1;
        let settings = Self {
            messages: setting("X0X_STRESS_MESSAGES", 300),
            is_adverse,
            policy: policy("X0X_STRESS_POLICY", "fair"),
            compare: Some(policy("X0X_STRESS_COMPARE", "")).filter(|policy| !policy.is_empty()),
            clients: setting("X0X_STRESS_CLIENTS", 2),
            bytes: setting("X0X_STRESS_BYTES", 0),
            frames: setting(
                "X0X_STRESS_FRAMES",
                if is_adverse { ADVERSE_FRAMES } else { FRAMES_MAX },
            ),
            seed: setting("X0X_STRESS_SEED", 7),
            ..Self::of(setting("X0X_STRESS_NODES", 3))
        };
        // What a slow machine of two cores takes in, and a while for whoever was away.
        let scaled = 120 + settings.messages * settings.nodes / 100;
        let settle_secs = setting("X0X_STRESS_SETTLE_SECS", scaled as u64);
        let least = if settings.is_adverse { BAD + 1 } else { 2 };
        assert!(settings.nodes >= least, "at least {least} nodes are needed");
        assert!(settings.messages >= settings.nodes, "at least a message a node is needed");
        Self { settle_max: Duration::from_secs(settle_secs), ..settings }
    }

    /// So many healthy nodes that are sent nothing.
    pub fn of(nodes: usize) -> Self {
        Self {
            nodes,
            messages: 0,
            is_adverse: false,
            policy: "fair".to_owned(),
            compare: None,
            bytes: 0,
            frames: FRAMES_MAX,
            clients: 1,
            settle_max: Duration::from_secs(120),
            seed: 7,
        }
    }

    pub fn role(&self, node: usize) -> Role {
        match self.nodes - node {
            3 if self.is_adverse => Role::Far,
            2 if self.is_adverse => Role::Slow,
            1 if self.is_adverse => Role::Stopped,
            _ => Role::Healthy,
        }
    }

    /// Returns how many of the messages are given to a node: as many as to any other as well off, and few to those
    /// that are worse off, which would hold up all of them. What is left over goes to the first.
    pub fn share(&self, node: usize) -> usize {
        let weight = |node| if self.role(node) == Role::Healthy { HEALTHY_WEIGHT } else { 1 };
        let weights: usize = (0..self.nodes).map(weight).sum();
        let of = |node| self.messages * weight(node) / weights;
        let given: usize = (0..self.nodes).map(of).sum();
        of(node) + if node == 0 { self.messages - given } else { 0 }
    }
}

#[test]
fn every_message_is_given_to_one_node_and_three_of_them_are_bad() {
    let settings = Settings { messages: 5_002, is_adverse: true, ..Settings::of(5) };
    let shares: Vec<_> = (0..5).map(|node| settings.share(node)).collect();
    assert_eq!(shares, [2_328, 2_326, 116, 116, 116]);
    let shares: Vec<_> =
        (0..3).map(|node| Settings { messages: 8, ..Settings::of(3) }.share(node)).collect();
    assert_eq!(shares, [4, 2, 2]);
    let roles = (0..5).map(|node| settings.role(node));
    assert!(roles.eq([Role::Healthy, Role::Healthy, Role::Far, Role::Slow, Role::Stopped]));
    assert!((0..5).all(|node| Settings::of(5).role(node) == Role::Healthy));
}
