//! The lying member: an endpoint, a key and a grant, with every stream and frame in its own hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, TransportConfig, WriteError};
use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use x0x::home::Home;
use x0x::identity::Identity;
use x0x::link::{Expected, Farewell, LinkError, tls};
use x0x::wire::{self, Answer, Control, Digest, Hello, Lane, Request, Ticket, shared_tag};
use x0x_tracker::LocalTracker;
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::signature::Signer;

use crate::{LOCK_WAIT, PATIENCE, Place};

/// The lying member.
pub struct Liar {
    _dir: TempDir,
    pub identity: Arc<Identity>,
    pub agent: AgentId,
    pub list: ListId,
    /// Its own copy of the list, by which it can write what is good, too.
    pub tracker: LocalTracker,
    endpoint: quinn::Endpoint,
}

/// One link of its, with both lanes open and nothing on them that it did not write.
pub struct Wire {
    pub connection: Connection,
    pub control: SendStream,
    pub gossip: SendStream,
    list: ListId,
    heard: mpsc::UnboundedReceiver<Control>,
    asked: mpsc::UnboundedReceiver<Asked>,
    tasks: JoinSet<()>,
}

/// A request of the other side, and where the answer goes.
pub struct Asked {
    pub request: Request,
    pub answer: SendStream,
}

/// Returns bytes as a frame.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

/// Returns bytes without a pattern, the same in every run.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let key = *blake3::hash(&seed.to_le_bytes()).as_bytes();
    blake3::Hasher::new_keyed(&key).finalize_xof().fill(&mut bytes);
    bytes
}

/// Returns a message of the gossip: its version, and numbers and fields in postcard.
pub fn gossip(message: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(message, vec![1]).unwrap()
}

/// Returns a broadcast as its author sends it.
pub fn broadcast(payload: &[u8]) -> Vec<u8> {
    let content = [&x0x_nonce()[..], payload].concat();
    let id = *blake3::hash(&content).as_bytes();
    gossip(&(1_u8, 0_u8, id, content, 0_u8, 0_u16))
}

fn x0x_nonce() -> [u8; 8] {
    let mut nonce = [0; 8];
    x0x::entropy::fill(&mut nonce);
    nonce
}

impl Liar {
    /// Joins with a ticket, as an honest newcomer does.
    pub async fn join(to: &Place, ticket: &Ticket) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().to_owned());
        let list = ticket.list;
        home.attach(list, &ticket.name, &ticket.prefix, LOCK_WAIT).unwrap();
        let identity = Arc::new(home.identity().unwrap());
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let endpoint = quinn::Endpoint::client(any).unwrap();
        let tracker = home.write(list, LOCK_WAIT).unwrap();
        let agent = identity.agent();
        let mut liar = Self { _dir: dir, identity, agent, list, tracker, endpoint };
        let mut wire = liar.call(to).await;
        wire.greet(&[]).await;
        wire.say(&Control::Join { list, secret: ticket.secret }).await;
        loop {
            let joined = |frame: Control| match frame {
                Control::Joined { statements, more, .. } => Some((statements, more)),
                _ => None,
            };
            let (statements, more) = wire.hear(joined).await;
            for statement in &statements {
                liar.tracker.admit_statement(statement).unwrap();
            }
            if !more {
                break;
            }
        }
        wire.hang_up();
        liar
    }

    /// Calls a node, and says nothing.
    pub async fn call(&self, to: &Place) -> Wire {
        self.call_granting(to, 32).await
    }

    /// Calls a node that may have so many requests open, and says nothing.
    pub async fn call_granting(&self, to: &Place, requests: u32) -> Wire {
        let connection = self.connect(to, requests).await;
        self.speak_on(connection).await.unwrap()
    }

    /// Calls a node that may end the link as soon as it is up: of several links between two it keeps one.
    pub async fn call_once_more(&self, to: &Place) -> Option<Wire> {
        let connection = self.connect(to, 32).await;
        match self.speak_on(connection).await {
            Ok(wire) => Some(wire),
            Err(ConnectionError::ApplicationClosed(close)) => {
                assert_eq!(close.error_code, Farewell::Superfluous.code());
                None
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn connect(&self, to: &Place, requests: u32) -> Connection {
        let client = tls::client(self.identity.clone(), Expected::agent(to.node.agent())).unwrap();
        let client = QuicClientConfig::try_from(client).unwrap();
        let mut client = quinn::ClientConfig::new(Arc::new(client));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(requests.into());
        client.transport_config(Arc::new(transport));
        let calling = self.endpoint.connect_with(client, to.node.listen(), tls::SERVER_NAME);
        calling.unwrap().await.unwrap()
    }

    async fn speak_on(&self, connection: Connection) -> Result<Wire, ConnectionError> {
        let open = async |lane: Lane| {
            let mut stream = connection.open_uni().await?;
            match stream.write_all(&[lane as u8]).await {
                Ok(()) => Ok(stream),
                Err(WriteError::ConnectionLost(why)) => Err(why),
                Err(other) => panic!("{other}"),
            }
        };
        let (control, gossip) = (open(Lane::Control).await?, open(Lane::Pubsub).await?);
        let ((tell, heard), (ask, asked)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(connection.clone(), tell));
        tasks.spawn(take_requests(connection.clone(), ask));
        Ok(Wire { connection, control, gossip, list: self.list, heard, asked, tasks })
    }

    /// Calls a node, greets it as a member does, and is a neighbour in its gossip.
    pub async fn link(&self, to: &Place) -> Wire {
        let mut wire = self.call(to).await;
        self.introduce(&mut wire).await;
        wire
    }

    /// Greets a node as a member does, and becomes a neighbour in its gossip.
    pub async fn introduce(&self, wire: &mut Wire) {
        wire.greet(&[self.tag(wire)]).await;
        // A list that is shared begins with a digest.
        wire.hear(|frame| matches!(frame, Control::Digest(_)).then_some(())).await;
        wire.gossip(&gossip(&(0_u8, 0_u8, None::<u8>))).await;
    }

    /// Returns how it names the list on a link.
    pub fn tag(&self, wire: &Wire) -> [u8; 32] {
        let mut binding = [0; 32];
        let label = b"EXPORTER-x0x-binding-v1";
        wire.connection.export_keying_material(&mut binding, label, &[]).unwrap();
        shared_tag(&binding, self.agent, self.list)
    }

    /// Asks a node for all that its own copy lacks, as an honest node does.
    pub async fn catch_up(&mut self, wire: &Wire) {
        let standing = wire::Standing {
            logs: self.tracker.frontier().unwrap().0.into_iter().collect(),
            charter: self.tracker.charter().unwrap().heads(),
            voids: Vec::new(),
        };
        let mut answers = wire.request(&Request::Pull { list: self.list, standing }).await;
        let mut incoming = x0x_tracker::journal::stream::Incoming::default();
        while let Some(bytes) = next(&mut answers).await {
            match Answer::read(&bytes).unwrap() {
                Answer::Items(items) => {
                    let received = self.tracker.receive(&mut incoming, items).unwrap();
                    assert!(received.stopped_by.is_none(), "{:?}", received.stopped_by);
                }
                Answer::End(_) => return,
                other => panic!("{other:?}"),
            }
        }
        panic!("the answer broke off");
    }
}

impl Wire {
    /// Says which lists it has.
    pub async fn greet(&mut self, lists: &[[u8; 32]]) {
        let (program, lists) = ("liar".to_owned(), lists.to_vec());
        self.say(&Control::Hello(Hello { program, rules: 1, lists, card: None })).await;
    }

    /// Says something on the control lane.
    pub async fn say(&mut self, frame: &Control) {
        self.control.write_all(&framed(&wire::encode(frame))).await.unwrap();
    }

    /// Sends a message of the list's gossip.
    pub async fn gossip(&mut self, message: &[u8]) {
        let frame = [&self.list.0[..], message].concat();
        self.gossip.write_all(&framed(&frame)).await.unwrap();
    }

    /// Waits for a frame on the control lane.
    pub async fn hear<T>(&mut self, is_it: impl Fn(Control) -> Option<T>) -> T {
        let heard = async {
            loop {
                let frame = self.heard.recv().await.expect("the link ended");
                if let Some(found) = is_it(frame) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, heard).await.expect("nothing like it was heard")
    }

    /// Says that it is somewhere else, so that the other side asks.
    pub async fn tempt(&mut self) {
        let mut hash = [0; 32];
        x0x::entropy::fill(&mut hash);
        self.say(&Control::Digest(Digest { list: self.list, hash, wants_answer: false })).await;
    }

    /// Waits until the other side asks for something.
    pub async fn is_asked(&mut self) -> Asked {
        timeout(PATIENCE, self.asked.recv()).await.expect("nothing is asked").unwrap()
    }

    /// Has the other side ask for what it lacks.
    pub async fn is_pulled_from(&mut self) -> SendStream {
        self.tempt().await;
        loop {
            let Asked { request, answer } = self.is_asked().await;
            if matches!(request, Request::Pull { .. }) {
                return answer;
            }
        }
    }

    /// Opens a sync stream with a request.
    pub async fn request(&self, request: &Request) -> RecvStream {
        let (mut send, receive) = self.connection.open_bi().await.unwrap();
        send.write_all(&framed(&wire::encode(request))).await.unwrap();
        send.finish().unwrap();
        receive
    }

    /// Takes nothing more off the lanes of the other side.
    pub fn deaf(&mut self) {
        self.tasks.abort_all();
    }

    /// Ends the link without a reason to blame it.
    pub fn hang_up(&self) {
        self.connection.close(Farewell::Stopping.code(), &[]);
    }

    /// Sees the other side answer on the control lane: whatever came before was read, and the link stands.
    pub async fn is_alive(&mut self) {
        while self.heard.try_recv().is_ok() {}
        let list = self.list;
        self.say(&Control::Digest(Digest { list, hash: [0; 32], wants_answer: true })).await;
        self.hear(|frame| matches!(frame, Control::Digest(_)).then_some(())).await;
    }

    /// Sees the other side end the link since it broke the protocol.
    pub async fn is_breached(&self, what: &str) {
        let ended = timeout(PATIENCE, self.connection.closed()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{what}: the link stands"));
        let ended = LinkError::of(self.connection.remote_address(), ended);
        let is_breach = matches!(ended, LinkError::Ended { why: Farewell::Breach, .. });
        assert!(is_breach, "{what}: {ended}");
    }
}

/// Returns the next frame of a stream; `None` where it ended or broke.
pub async fn next(stream: &mut RecvStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

/// Reads the lanes of the other side, and tells what is said on the control lane.
async fn listen(connection: Connection, tell: mpsc::UnboundedSender<Control>) {
    let mut lanes = JoinSet::new();
    while let Ok(mut stream) = connection.accept_uni().await {
        let tell = tell.clone();
        lanes.spawn(async move {
            let mut lane = [0];
            if stream.read_exact(&mut lane).await.is_err() {
                return;
            }
            while let Some(frame) = next(&mut stream).await {
                if lane[0] == Lane::Control as u8 {
                    drop(tell.send(Control::read(&frame).unwrap()));
                }
            }
        });
    }
}

/// Takes the requests of the other side; who answers, and what, is another's matter.
async fn take_requests(connection: Connection, ask: mpsc::UnboundedSender<Asked>) {
    while let Ok((answer, mut stream)) = connection.accept_bi().await {
        if let Some(frame) = next(&mut stream).await {
            drop(ask.send(Asked { request: Request::read(&frame).unwrap(), answer }));
        }
    }
}
