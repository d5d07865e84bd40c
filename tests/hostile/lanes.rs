//! Garbage on every stream that a member may open.

use x0x::wire::{
    self, Answer, CONTROL_BYTES_MAX, Control, Lane, PUBSUB_BYTES_MAX, Request, Standing,
};
use x0x_tracker::id::{AgentId, CommitHash, ListId, LogId};
use x0x_tracker::journal::commit::Position;

use crate::Scene;
use crate::liar::{framed, gossip, next, noise};

/// What is done with a stream after the bytes.
#[derive(Clone, Copy)]
enum Then {
    Keep,
    Finish,
    Reset,
}

/// Some bytes, and whether the link is ended for them.
struct Garbage {
    what: &'static str,
    bytes: Vec<u8>,
    then: Then,
    is_breach: bool,
}

fn breach(what: &'static str, bytes: Vec<u8>) -> Garbage {
    Garbage { what, bytes, then: Then::Keep, is_breach: true }
}

fn harmless(what: &'static str, bytes: Vec<u8>, then: Then) -> Garbage {
    Garbage { what, bytes, then, is_breach: false }
}

/// Returns a lane's stream with one frame.
fn on(lane: Lane, frame: &[u8]) -> Vec<u8> {
    [&[lane as u8][..], &framed(frame)].concat()
}

fn long(lane: Lane, bytes: usize) -> Vec<u8> {
    [&[lane as u8][..], &(bytes as u32).to_le_bytes(), &[1; 64]].concat()
}

fn of_lanes(list: ListId) -> Vec<Garbage> {
    let join = wire::encode(&Control::Join { list, secret: [7; 32] });
    let said = |message: &[u8]| on(Lane::Pubsub, &[&list.0[..], message].concat());
    let mut later = join.clone();
    later[0] = 2;
    let offers = vec![([7_u8; 32], 0_u16); 129];
    let nodes = vec![([7_u8; 32], None::<u8>); 17];
    vec![
        breach("a lane that does not exist", vec![2, 0, 0, 0, 0]),
        breach("the sync lane, which no stream names", on(Lane::Sync, &join)),
        breach("a lane of 255", vec![255]),
        breach("an empty frame", on(Lane::Control, &[])),
        breach("noise as control", on(Lane::Control, &noise(1, 300))),
        breach("another version of control", on(Lane::Control, &later)),
        breach("bytes left over", on(Lane::Control, &[&join[..], &[0]].concat())),
        breach("a control frame over its bound", long(Lane::Control, CONTROL_BYTES_MAX + 1)),
        breach("the longest control frame", long(Lane::Control, u32::MAX as usize)),
        breach("a frame that does not exist", on(Lane::Control, &[1, 99])),
        breach(
            "a list of 2^60 statements",
            on(Lane::Control, &[&[1, 5][..], &[0xff; 16]].concat()),
        ),
        breach("gossip without a list", on(Lane::Pubsub, &[1; 31])),
        breach("gossip of another version", said(&[2, 1, 1])),
        breach("noise as gossip", said(&[&[1, 9][..], &noise(2, 100)].concat())),
        breach("gossip over its bound", long(Lane::Pubsub, PUBSUB_BYTES_MAX + 1)),
        breach("too many offers", said(&gossip(&(1_u8, 3_u8, offers)))),
        breach("a shuffle of too many", said(&gossip(&(0_u8, 3_u8, nodes)))),
        breach("a walk without end", said(&gossip(&(0_u8, 1_u8, [7_u8; 32], None::<u8>, 7_u16)))),
        breach("data of agents", said(&gossip(&(0_u8, 0_u8, Some(vec![1_u8]))))),
        harmless("a stream that is never written", Vec::new(), Then::Keep),
        harmless("a stream that ends at once", Vec::new(), Then::Finish),
        harmless("half a length", vec![0, 9, 0], Then::Finish),
        harmless("half a frame", [&[0, 200, 0, 0, 0][..], &join[..20]].concat(), Then::Finish),
        harmless(
            "half a frame and a reset",
            [&[1, 200, 0, 0, 0][..], &[1; 20]].concat(),
            Then::Reset,
        ),
        harmless("gossip of a list that is not here", on(Lane::Pubsub, &[9; 40]), Then::Keep),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_a_lane_ends_the_link_at_most() {
    let mut scene = Scene::new().await;
    for Garbage { what, bytes, then, is_breach } in of_lanes(scene.list) {
        let mut wire = scene.liar.link(&scene.a).await;
        let mut stream = wire.connection.open_uni().await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        match then {
            Then::Keep => {}
            Then::Finish => stream.finish().unwrap(),
            Then::Reset => stream.reset(7_u32.into()).unwrap(),
        }
        match is_breach {
            true => wire.is_breached(what).await,
            false => wire.is_alive().await,
        }
    }
    scene.is_sound("after garbage").await;
    // Whoever broke the protocol may call again: it is a member still.
    scene.liar.link(&scene.a).await.is_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_before_the_greeting_ends_the_link() {
    let mut scene = Scene::new().await;
    let mut wire = scene.liar.call(&scene.a).await;
    wire.say(&Control::Join { list: scene.list, secret: [7; 32] }).await;
    wire.is_breached("a ticket before the greeting").await;
    scene.is_sound("after it").await;
}

fn of_requests(list: ListId) -> Vec<Garbage> {
    let log = LogId { agent: AgentId([9; 32]), nonce: [9; 8] };
    let position = Position { number: 1, hash: CommitHash([9; 32]) };
    let pull = |logs| {
        let standing = Standing { logs: vec![(log, position); logs], ..Standing::default() };
        framed(&wire::encode(&Request::Pull { list, standing }))
    };
    let fine = wire::encode(&Request::Headers { list, log, from: u64::MAX });
    let mut later = fine.clone();
    later[0] = 0;
    vec![
        breach("noise as a request", framed(&noise(4, 500))),
        breach("an empty request", framed(&[])),
        breach("another version", framed(&later)),
        breach("bytes left over", framed(&[&fine[..], &[1]].concat())),
        breach("too many logs", pull(65_537)),
        harmless("as many logs as may be, unsorted", pull(65_536), Then::Finish),
        harmless("a request over its bound", vec![0xff, 0xff, 0xff, 0xff, 1], Then::Keep),
        harmless("a request that is never written", Vec::new(), Then::Keep),
        harmless("half a request", framed(&fine)[..9].to_vec(), Then::Finish),
        harmless("half a request and a reset", framed(&fine)[..9].to_vec(), Then::Reset),
        harmless("headers that do not exist", framed(&fine), Then::Finish),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_none_ends_the_link_at_most() {
    let mut scene = Scene::new().await;
    for Garbage { what, bytes, then, is_breach } in of_requests(scene.list) {
        let mut wire = scene.liar.link(&scene.a).await;
        let (mut send, _receive) = wire.connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        match then {
            Then::Keep => {}
            Then::Finish => send.finish().unwrap(),
            Then::Reset => send.reset(7_u32.into()).unwrap(),
        }
        match is_breach {
            true => wire.is_breached(what).await,
            false => wire.is_alive().await,
        }
    }
    scene.is_sound("after requests").await;
    let wire = scene.liar.link(&scene.a).await;
    let list = ListId([9; 32]);
    let mut answers = wire.request(&Request::Lost { list }).await;
    let answer = Answer::read(&next(&mut answers).await.unwrap()).unwrap();
    assert_eq!(answer, Answer::NotServed, "of a list that is not here nothing is told");
}
