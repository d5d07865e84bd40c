//! The nodes of a run: processes that share a list, some of them worse off than others.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use x0x::time;

use super::caller::Caller;
use super::cgroup::CpuShare;
use super::common::site::Site;
use super::harness::{Conditions, Direction, Network, Path};
use super::program::Program;
use super::settings::{Role, Settings};

/// How long a datagram to or from the far node takes: half of 250 ms.
const FAR: Duration = Duration::from_millis(125);

/// How much of a core the slow node has, in hundredths.
const SLOW_PERCENT: u32 = 10;

/// How long it may take until all are linked and have the first issue.
const GATHER_MAX: Duration = Duration::from_secs(120);

/// How long a node may take to answer a small question.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A node.
pub struct Member {
    pub name: String,
    pub role: Role,
    pub agent: String,
    pub site: Site,
    pub caller: Caller,
}

/// The nodes, and what they are held by; it goes after them.
pub struct Mesh {
    pub members: Vec<Member>,
    /// What could not be made, and why.
    pub skipped: Vec<String>,
    share: Option<CpuShare>,
    paths: Vec<Path>,
    _network: Network,
}

impl Member {
    fn of(number: usize, role: Role, site: Site) -> Self {
        let caller = Caller::of(&site);
        let told = caller.get("/agent", ANSWER_MAX).unwrap();
        let agent = told["agent_id"].as_str().unwrap().to_owned();
        Self { name: format!("node-{number}"), role, agent, site, caller }
    }

    pub fn process(&self) -> u32 {
        self.site.up.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: Signal) {
        let process = Pid::from_child(self.site.up.as_ref().unwrap());
        kill_process(process, signal).unwrap();
    }

    /// Returns how many issues it has.
    pub fn issues(&self, most: Duration) -> Option<u64> {
        let lists = self.caller.get("/task-lists", most).ok()?;
        lists["task_lists"][0]["issues"].as_u64()
    }

    fn links(&self) -> usize {
        let peers = self.caller.get("/peers", ANSWER_MAX).unwrap_or_default();
        peers["peers"].as_array().map_or(0, Vec::len)
    }
}

impl Mesh {
    /// Starts the nodes, with a list that has one issue, and waits until each has it and a link to every other.
    pub fn gather(settings: &Settings, policy: &str, program: &Program) -> Self {
        let network = Network::new(settings.seed);
        let mut sites: Vec<Site> = (0..settings.nodes).map(|_| Site::new()).collect();
        for site in &mut sites {
            site.program = program.path();
            site.environment.push(("X0X_PUMP_POLICY", policy.to_owned()));
            site.environment.push(("X0X_PUMP_FRAMES", settings.frames.to_string()));
            site.up_args = &["--log-level", "info"];
        }
        let roles: Vec<Role> = (0..settings.nodes).map(|node| settings.role(node)).collect();
        let far = roles.iter().position(|role| *role == Role::Far);
        let paths = far.map_or_else(Vec::new, |far| put_far(&network, &mut sites, far));
        sites[0].ok(&["init", "--name", "pump", "--prefix", "PUMP"]);
        sites[0].create("there before the run");
        sites[0].up();
        for at in 1..sites.len() {
            let ticket = sites[0].invite();
            sites[at].join(&ticket);
        }
        let members = (0..).zip(roles).zip(sites);
        let members: Vec<_> =
            members.map(|((number, role), site)| Member::of(number, role, site)).collect();
        let skipped = Vec::new();
        let mut mesh = Self { members, skipped, share: None, paths, _network: network };
        mesh.link();
        mesh.slow_down();
        mesh
    }

    fn link(&self) {
        let begun = time::origin();
        let others = self.members.len() - 1;
        let is_ready =
            |member: &Member| member.issues(ANSWER_MAX) == Some(1) && member.links() == others;
        while !self.members.iter().all(is_ready) {
            if begun.elapsed() >= GATHER_MAX {
                let links: Vec<_> = self.members.iter().map(Member::links).collect();
                panic!("not all are linked within {GATHER_MAX:?}: {links:?} links of {others}");
            }
            time::pause(Duration::from_millis(100));
        }
    }

    fn slow_down(&mut self) {
        let Some(slow) = self.with(Role::Slow) else { return };
        match CpuShare::hold(slow.process(), SLOW_PERCENT) {
            Ok(share) => self.share = Some(share),
            Err(why) => {
                let skipped = format!("holding a node to {SLOW_PERCENT} % of a core: {why}");
                eprintln!("skipped: {skipped}");
                self.skipped.push(skipped);
            }
        }
    }

    pub fn with(&self, role: Role) -> Option<&Member> {
        self.members.iter().find(|member| member.role == role)
    }

    /// Returns in how many periods the slow node had to wait for its share of a core; `None` where it has a whole
    /// one.
    pub fn throttled(&self) -> Option<u64> {
        self.share.as_ref().map(CpuShare::throttled)
    }

    /// Returns how many datagrams to and from the far node had to wait; `None` where no node is far.
    pub fn delayed(&self) -> Option<u64> {
        let far = self.members.iter().position(|member| member.role == Role::Far)?;
        Some(self.paths[far].counters(Direction::Both).delayed)
    }
}

/// Puts a node far from all others. Each is called over a path then: who called it directly, or was called from
/// there, would be near.
fn put_far(network: &Network, sites: &mut [Site], far: usize) -> Vec<Path> {
    let far_host = sites[far].listen.ip();
    let mut paths = Vec::new();
    for (at, site) in sites.iter_mut().enumerate() {
        let path = network.path(site.listen);
        if at == far {
            path.set(Direction::Both, Conditions { delay: FAR, ..Conditions::default() });
        } else {
            path.set_distances([(far_host, FAR)]);
        }
        site.advertise = Some(path.address());
        paths.push(path);
    }
    paths
}
