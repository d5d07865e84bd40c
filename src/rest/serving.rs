//! Connections of programs: how many there may be, and how long each may take to say or to hear something.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutWriter;

/// What programs may have of a node at once, and how long each may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections there are at most; another waits until one ends.
    pub connections_max: usize,
    /// How many may follow events or messages at once, those inside the program counted; another is refused. Each
    /// has a connection, so that this leaves some for everybody else.
    pub subscribers_max: usize,
    /// How long a connection may be silent before the head of a request, and how long that may take.
    pub head_wait: Duration,
    /// How long the body of a request may take to come; of a file to import, each part of it.
    pub body_wait: Duration,
    /// How long a program may take nothing of an answer that waits for it.
    pub take_wait: Duration,
    /// How long a node that stops goes on with what it was asked for before.
    pub stop_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let wait = Duration::from_secs(30);
        Self {
            connections_max: 4_096,
            subscribers_max: 2_048,
            head_wait: wait,
            body_wait: wait,
            take_wait: wait,
            stop_wait: Duration::from_secs(1),
        }
    }
}

/// How much of an answer waits in the node for a program that takes it slowly, beside the part that was begun, and
/// how long the head of a request may be.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Where a program asks from, as its requests have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub(super) SocketAddr);

/// How long to wait after the system refused a connection, as it does where too many files are open.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Answers connections until it is told to stop, and then what it was asked for before.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut stopped: oneshot::Receiver<()>,
) {
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let (stop, stopping) = watch::channel(());
    let mut going = JoinSet::new();
    loop {
        let accepted = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            (Ok(permit), accepted) = accepted => match accepted {
                Ok((stream, caller)) => {
                    let (router, stopping) = (router.clone(), stopping.clone());
                    let connection = connection(stream, Caller(caller), router, limits, stopping);
                    going.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a program cannot connect");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            },
            Some(_ended) = going.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    drop(stop);
    let answered = async { while going.join_next().await.is_some() {} };
    // Whatever goes on then ends without an answer.
    let _in_time = tokio::time::timeout(limits.stop_wait, answered).await;
}

async fn connection(
    stream: TcpStream,
    caller: Caller,
    router: Router,
    limits: Limits,
    mut stopping: watch::Receiver<()>,
) {
    // Answers are small and wait for no others.
    let _unset = stream.set_nodelay(true);
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(limits.take_wait));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller);
        router.call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_wait)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        _stops = stopping.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of a program ended");
    }
}
