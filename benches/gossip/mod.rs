//! Members that speak the protocol by hand, and only send.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use serde::Serialize;
use tokio::sync::mpsc;
use x0x::identity::{Identity, MlDsa};
use x0x::link::{Endpoint, Farewell, Link};
use x0x::wire::{self, Answer, Control, Digest, Hello, Lane, Payload, Ticket, shared_tag};
use x0x_tracker::id::{ListId, LogId, StatementHash};
use x0x_tracker::journal::charter::Charter;
use x0x_tracker::journal::commit::{Commit, Header, body_hash};
use x0x_tracker::journal::signature::Signer;

use super::{Place, is_probing};

/// How often each sender says something on its control lane where it does.
const PROBE_EVERY: Duration = Duration::from_millis(8);

/// A member that only sends, with a link to each receiver.
pub struct Sender {
    pub identity: Arc<Identity>,
    charter: Vec<StatementHash>,
    list: ListId,
    log: LogId,
    last: Option<Commit>,
    number: u64,
    pub gossip: SendStream,
    pub raw: SendStream,
    _links: [Link; 2],
    _tasks: tokio::task::JoinSet<()>,
}

impl Sender {
    pub async fn join(node: &Place, ticket: &Ticket, raw: &Place) -> Self {
        let identity = Arc::new(Identity::passing().unwrap());
        let (agent, list) = (identity.agent(), ticket.list);
        let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), identity.clone()).unwrap();
        let link = endpoint.call(node.listen, Some(node.agent)).await.unwrap();
        let charter = redeem(&link, ticket).await;
        link.end(Farewell::Stopping);
        let link = endpoint.call(node.listen, Some(node.agent)).await.unwrap();
        let (mut heard, mut tasks) = listen(&link);
        let mut control = open(&link, Lane::Control).await;
        greet(&mut control, vec![shared_tag(&link.binding(), agent, list)]).await;
        // A list that is shared begins with a digest.
        while !matches!(heard.recv().await.unwrap(), Control::Digest(_)) {}
        let mut gossip = open(&link, Lane::Pubsub).await;
        // It becomes a neighbour (HyParView's join), and wants nothing that others broadcast (Plumtree's prune).
        for message in [said(&(0_u8, 0_u8, None::<u8>)), said(&(1_u8, 1_u8))] {
            gossip.write_all(&framed(&[&list.0[..], &message].concat())).await.unwrap();
        }
        let digest = Control::Digest(Digest { list, hash: [0; 32], wants_answer: true });
        tasks.spawn(async move {
            while is_probing() {
                tokio::time::sleep(PROBE_EVERY).await;
                control.write_all(&framed(&wire::encode(&digest))).await.unwrap();
            }
            // The lane stays.
            std::future::pending::<()>().await;
        });
        let other = endpoint.call(raw.listen, Some(raw.agent)).await.unwrap();
        let raw = open(&other, Lane::Pubsub).await;
        let mut nonce = [0; 8];
        x0x::entropy::fill(&mut nonce);
        Self {
            identity,
            charter,
            list,
            log: LogId { agent, nonce },
            last: None,
            number: 0,
            gossip,
            raw,
            _links: [link, other],
            _tasks: tasks,
        }
    }

    /// Returns its next frames as they go over the pubsub lane.
    pub fn frames(&mut self, count: usize) -> Vec<u8> {
        let mut frames = Vec::new();
        for _ in 0..count {
            self.number += 1;
            let header = Header {
                list: self.list,
                log: self.log,
                number: self.number,
                previous: self.last.as_ref().map(Commit::hash),
                body: body_hash(&[]),
                after: Vec::new(),
                charter: self.charter.clone(),
                rules: 1,
            };
            let commit = Commit::sign(&header, Vec::new(), self.identity.as_ref()).unwrap();
            self.last = Some(commit.clone());
            let payload = wire::encode(&Payload::announcing(commit, false).unwrap());
            let content = [&self.number.to_le_bytes()[..], &payload].concat();
            let id = *blake3::hash(&content).as_bytes();
            // A broadcast, as its author sends it: 0 hops through the swarm.
            let message = said(&(1_u8, 0_u8, id, content, 0_u8, 0_u16));
            frames.extend(framed(&[&self.list.0[..], &message].concat()));
        }
        frames
    }
}

/// Becomes a member, and returns the newest statements about who is one.
async fn redeem(link: &Link, ticket: &Ticket) -> Vec<StatementHash> {
    let (mut heard, _tasks) = listen(link);
    let mut control = open(link, Lane::Control).await;
    greet(&mut control, Vec::new()).await;
    let join = Control::Join { list: ticket.list, secret: ticket.secret };
    control.write_all(&framed(&wire::encode(&join))).await.unwrap();
    let mut all = Vec::new();
    loop {
        let Control::Joined { statements, more, .. } = heard.recv().await.unwrap() else {
            continue;
        };
        all.extend(statements);
        if !more {
            return Charter::from_statements(&all, &MlDsa).unwrap().heads();
        }
    }
}

async fn open(link: &Link, lane: Lane) -> SendStream {
    let mut stream = link.connection().open_uni().await.unwrap();
    stream.write_all(&[lane as u8]).await.unwrap();
    stream
}

async fn greet(control: &mut SendStream, lists: Vec<[u8; 32]>) {
    let hello = Hello { program: "bench".to_owned(), rules: 1, lists, card: None };
    control.write_all(&framed(&wire::encode(&Control::Hello(hello)))).await.unwrap();
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

/// Returns a message of the gossip: its version, and numbers and fields in postcard.
fn said(message: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(message, vec![1]).unwrap()
}

/// Reads all that the other side says, and tells what is said on the control lane; serves nothing.
fn listen(link: &Link) -> (mpsc::UnboundedReceiver<Control>, tokio::task::JoinSet<()>) {
    let (tell, heard) = mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    let connection = link.connection().clone();
    tasks.spawn(async move {
        let mut lanes = tokio::task::JoinSet::new();
        while let Ok(stream) = connection.accept_uni().await {
            lanes.spawn(hear(stream, tell.clone()));
        }
    });
    tasks.spawn(refuse(link.connection().clone()));
    (heard, tasks)
}

async fn hear(mut stream: RecvStream, tell: mpsc::UnboundedSender<Control>) {
    let mut lane = [0];
    if stream.read_exact(&mut lane).await.is_err() {
        return;
    }
    while let Some(frame) = next(&mut stream).await {
        if lane[0] == Lane::Control as u8 {
            let _nobody_listens = tell.send(Control::read(&frame).unwrap());
        }
    }
}

async fn refuse(connection: Connection) {
    while let Ok((mut answer, mut request)) = connection.accept_bi().await {
        if next(&mut request).await.is_some() {
            let refusal = framed(&wire::encode(&Answer::NotServed));
            let _gone = answer.write_all(&refusal).await;
        }
    }
}

async fn next(stream: &mut RecvStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame)
}
