//! Connections of programs: how many there may be, and how long each may take to say or to hear something.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutWriter;

/// How many connections there are at most; another waits until one ends.
const CONNECTIONS_MAX: usize = 4_096;

/// How long a connection may be silent before the head of a request, and how long that may take.
const HEAD_WAIT: Duration = Duration::from_secs(30);

/// How long a program may take nothing of an answer that waits for it.
const TAKE_WAIT: Duration = Duration::from_secs(30);

/// How long to wait after the system refused a connection, as it does where too many files are open.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Answers connections until it is told to stop.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    mut stopped: oneshot::Receiver<()>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut going = JoinSet::new();
    loop {
        let accepted = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            (Ok(permit), accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let router = router.clone();
                    going.spawn(async move { connection(stream, router, permit).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a program cannot connect");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            },
            Some(_ended) = going.join_next() => {}
            _ = &mut stopped => return,
        }
    }
}

async fn connection(stream: TcpStream, router: Router, _permit: OwnedSemaphorePermit) {
    // Answers are small and wait for no others.
    let _unset = stream.set_nodelay(true);
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(TAKE_WAIT));
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of a program ended");
    }
}
