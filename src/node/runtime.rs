//! A node in the foreground of a program: the threads that it runs on, and the signals that end it.

use std::future::Future;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::{Config, Node, NodeError};

/// How many threads carry frames; deciding is one thread's work, and the stores have their own.
const WORKERS: usize = 2;

/// Starts a node, gives it to `act`, and stops it when that is done, or on SIGINT or SIGTERM. Returns
/// what `act` returned; `None` where a signal came first.
///
/// # Errors
/// Where the node cannot start, or a part of it failed.
pub fn block_on<F: Future>(
    config: Config,
    act: impl FnOnce(Node) -> F,
) -> Result<Option<F::Output>, NodeError> {
    let failed = |source| NodeError::Io { what: "start", path: PathBuf::from("threads"), source };
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("node")
        .enable_all()
        .build()
        .map_err(failed)?;
    let done = runtime.block_on(async {
        // Until it is started, a signal ends the program as it ends any: stores are whole at every moment.
        let node = Node::start(config).await?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
        let done = tokio::select! {
            done = act(node.clone()) => Some(done),
            _ = interrupted.recv() => None,
            _ = terminated.recv() => None,
        };
        node.stop().await;
        if node.has_failed() { Err(NodeError::Broken) } else { Ok(done) }
    });
    // What still runs has nothing more to say.
    runtime.shutdown_background();
    done
}

/// Has as many files and connections allowed as may be: many programs only listen.
fn allow_many_files() {
    let all = getrlimit(Resource::Nofile);
    // Where it is refused, fewer can connect, and are told so.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: all.maximum, ..all });
}
