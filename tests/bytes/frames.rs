//! What is read from a link: nothing of it panics, what is read can be written and read again as the
//! same, and a mesh that is told it stays within its bounds.
//!
//! The first byte of an input says what the others are.

use std::time::Duration;

use x0x::dm::wire::{Ack, Frame as DirectFrame, Message, Place, Refusal, SignedAck};
use x0x::dm::{Carried, Form, PAYLOAD_BYTES_MAX};
use x0x::mesh::{Gate, Input, Mesh, MeshConfig, Verdict, payload_of};
use x0x::wire::{
    Answer, Card, Control, FAR_BEATS_MAX, Far, Payload, Piece, Request, SignedCard, Ticket, decode,
    encode,
};
use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::testing::{StandIn, StandInVerifier};

/// Checks it for one input.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 10 {
        0 => same(Control::read, data, |control| check_control(&control)),
        1 => same(Request::read, data, |request| check_request(&request)),
        2 => same(Answer::read, data, |_| {}),
        3 => same(Payload::read, data, |_| {}),
        4 => card(data),
        5 => ticket(data),
        6 => gossip(data),
        7 => same(DirectFrame::read, data, |frame| check_direct(&frame)),
        8 => same(Piece::read, data, |piece| assert!(piece.index < piece.count)),
        _ => same(Far::read, data, |far| check_far(&far)),
    }
}

/// Sees that what is read is the same once it was written.
fn same<T, E>(read: fn(&[u8]) -> Result<T, E>, data: &[u8], check: impl FnOnce(T))
where
    T: PartialEq + std::fmt::Debug + serde::Serialize,
    E: std::fmt::Debug,
{
    let Ok(frame) = read(data) else { return };
    let written = encode(&frame);
    assert!(written.len() <= data.len(), "nothing grows");
    assert_eq!(read(&written).expect("it was read once"), frame);
    check(frame);
}

/// Sees that a message that passes is within its bounds, and that nobody's acknowledgement is believed unproved.
fn check_direct(frame: &DirectFrame) {
    match frame {
        DirectFrame::Message { message, .. } => {
            assert!(message.content_bytes() <= PAYLOAD_BYTES_MAX);
            assert!(message.form == Form::Bytes || str::from_utf8(&message.payload).is_ok());
        }
        DirectFrame::Ack(signed) => {
            let key = StandIn::new(2);
            let ack = signed.verified(key.public_key(), &StandInVerifier);
            assert!(ack.is_none_or(|ack| ack.from == key.agent()));
        }
        DirectFrame::Refused { .. } | DirectFrame::Far { .. } => {}
    }
}

/// Sees that what far members say is within its bounds.
fn check_far(far: &Far) {
    match far {
        Far::Ask { standing, .. } => drop(standing.frontier()),
        Far::Items { beats, .. } => assert!(beats.len() <= FAR_BEATS_MAX),
        Far::Digest { .. } => {}
    }
}

fn check_control(control: &Control) {
    if let Control::Cards { cards, .. } = control {
        cards.iter().for_each(check_card);
    }
}

fn check_request(request: &Request) {
    if let Request::Pull { list, standing } = request {
        assert_eq!(request.list(), *list);
        assert!(standing.frontier().0.len() <= standing.logs.len());
        let _any = standing.digest(*list);
    }
}

fn check_card(signed: &SignedCard) {
    let key = StandIn::new(1);
    if let Ok(Card { addresses, .. }) = signed.peek() {
        assert!(addresses.len() <= x0x::wire::ADDRESSES_MAX);
    }
    let _rarely = signed.is_signed_by(key.public_key(), &StandInVerifier);
}

fn card(data: &[u8]) {
    if let Ok(signed) = decode::<SignedCard>("card", data) {
        check_card(&signed);
    }
}

fn ticket(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(ticket) = text.parse::<Ticket>() {
        assert_eq!(ticket.to_string().parse::<Ticket>(), Ok(ticket));
    }
    // The check at its end keeps nearly all from being decoded: so they are decoded without it.
    if let Ok(ticket) = decode::<Ticket>("ticket", data) {
        let _perhaps_too_long = ticket.to_string().parse::<Ticket>();
    }
}

/// Tells a mesh several frames of a neighbour, each with its length before it.
fn gossip(mut data: &[u8]) {
    let (me, peer) = (AgentId([1; 32]), AgentId([2; 32]));
    let config = MeshConfig::default();
    let mut mesh = Mesh::new(me, [7; 32], config.clone());
    let (mut now, mut effects) = (Duration::from_secs(1), Vec::new());
    let gate = &mut Anything;
    let join = [1, 0, 0, 0];
    for input in [Input::Join(Vec::new()), Input::Frame { from: peer, bytes: &join }] {
        mesh.handle(now, input, gate, &mut effects).expect("nothing is broadcast");
    }
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let (bytes, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        let _payload = payload_of(bytes);
        let frame = Input::Frame { from: peer, bytes };
        mesh.handle(now, frame, gate, &mut effects).expect("nothing is broadcast");
        data = rest;
    }
    for _ in 0..8 {
        let Some(deadline) = mesh.deadline() else { break };
        now = now.max(deadline);
        mesh.handle(now, Input::Tick, gate, &mut effects).expect("nothing is broadcast");
    }
    let held = mesh.held();
    assert!(held.offers <= config.offers_max && held.kept <= config.kept_max, "{held:?}");
    assert!(held.peers <= config.peers_max, "{held:?}");
}

/// Lets every payload pass.
struct Anything;

impl Gate for Anything {
    fn judge(&mut self, _from: AgentId, payload: &[u8]) -> Verdict {
        if payload.is_empty() { Verdict::Breach } else { Verdict::Relay }
    }

    fn is_member(&self, agent: AgentId) -> bool {
        agent.0[0] < 128
    }
}

/// Returns what the fuzzer starts from.
pub fn seeds() -> Vec<Vec<u8>> {
    seeds::all(ListId([7; 32]))
}

mod seeds {
    //! One frame of each kind.

    use x0x::wire::{Digest, Hello, JoinRefusal, Standing};
    use x0x_tracker::claim::beat::{Beat, Kind, SignedBeat, Turn};
    use x0x_tracker::id::{CommitHash, LogId, StatementHash};
    use x0x_tracker::journal::charter::{Role, Signed};
    use x0x_tracker::journal::commit::{Commit, Position};
    use x0x_tracker::journal::run::Run;
    use x0x_tracker::journal::stream::Item;

    use super::*;

    pub fn all(list: ListId) -> Vec<Vec<u8>> {
        let key = StandIn::new(1);
        let log = LogId { agent: key.agent(), nonce: [5; 8] };
        let position = Position { number: 3, hash: CommitHash([6; 32]) };
        let addresses = vec![
            std::net::SocketAddr::from(([127, 0, 0, 1], 12_700)),
            std::net::SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 9)),
        ];
        let card = Card {
            agent: key.agent(),
            at_ms: 7,
            addresses: addresses.clone(),
            load_pct: Some(7),
            seal_key: vec![7; 1_184],
        };
        let card = SignedCard::new(&card, &key).expect("a stand-in signs all");
        let signed = Signed { statement: vec![1, 2, 3], signature: vec![4; 9] };
        let standing = Standing {
            logs: vec![(log, position)],
            charter: vec![StatementHash([8; 32])],
            voids: vec![(log, 3, CommitHash([9; 32]))],
        };
        let lists = vec![[3; 32]];
        let program = "0.1.0".to_owned();
        let statements = vec![signed.clone()];
        let of = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
        let mut all: Vec<Vec<u8>> = [
            Control::Hello(Hello { program, rules: 1, lists, card: Some(card.clone()) }),
            Control::Digest(Digest { list, hash: [2; 32], wants_answer: true }),
            Control::News { list, places: vec![(log, position)] },
            Control::Cards { list, cards: vec![card.clone()] },
            Control::Join { list, secret: [4; 32] },
            Control::Joined { list, role: Role::Worker, statements, more: true },
            Control::CardsHeld { list, held: vec![(key.agent(), Some(7)), (key.agent(), None)] },
            Control::Lost { list, places: vec![(log, position)] },
            Control::NotJoined { list, why: JoinRefusal::Used },
            Control::Stated { list, statements: vec![] },
        ]
        .iter()
        .map(|frame| of(0, encode(frame)))
        .collect();
        let requests = [
            Request::Pull { list, standing: standing.clone() },
            Request::Headers { list, log, from: 7 },
            Request::Lost { list },
        ];
        all.extend(requests.iter().map(|frame| of(1, encode(frame))));
        let run = Run { headers: vec![vec![1, 2], vec![3]], signature: vec![5; 9] };
        let moved = Payload::Moved(Run { headers: vec![vec![1]], signature: vec![5; 9] });
        let items = vec![
            Item::Statement(signed.clone()),
            Item::Run(run.clone()),
            Item::Body { log, number: 1, body: vec![6; 9] },
        ];
        let (frames, beat) = beats(list, log);
        all.extend(frames.iter().map(|frame| of(0, encode(frame))));
        let held = vec![((log, Kind::Worked), Turn { start: 1, counter: 2 })];
        let far = [
            Far::Digest { list, hash: [2; 32], beats: [3; 32] },
            Far::Ask { list, number: 7, standing: standing.clone(), rules: 1, skip: 5, held },
            Far::Items { list, number: 7, items: items.clone(), beats: vec![beat] },
        ];
        all.extend(far.iter().map(|far| of(9, encode(far))));
        let piece = Piece { message: 3, index: 1, count: 2, bytes: vec![4; 9] };
        all.push(of(8, encode(&piece)));
        let answers = [
            Answer::Items(items),
            Answer::End(standing),
            Answer::Headers(Some(run)),
            Answer::NotServed,
        ];
        all.extend(answers.iter().map(|frame| of(2, encode(frame))));
        let commit = Commit { header: vec![1], body: vec![2], signature: Some(vec![3]) };
        let sealed = Payload::Sealed { to: key.agent(), sealed: vec![8; 40] };
        let payloads = [Payload::Commit(commit), moved, Payload::Statement(signed), sealed];
        all.extend(payloads.iter().map(|frame| of(3, encode(frame))));
        all.push(of(4, encode(&card)));
        let ticket = Ticket {
            list,
            name: "pump".to_owned(),
            prefix: "PUMP".to_owned(),
            issuer: key.agent(),
            addresses,
            secret: [3; 32],
            role: Role::Worker,
            expires_at_ms: 1_767_225_600_000,
        };
        all.push(of(5, ticket.to_string().into_bytes()));
        all.push(of(5, encode(&ticket)));
        all.push(of(6, messages().concat()));
        all.extend(messages().into_iter().map(|message| of(6, message)));
        all.extend(direct(list).iter().map(|frame| of(7, frame.write())));
        all
    }

    /// Each frame about beats.
    fn beats(list: ListId, log: LogId) -> ([Control; 3], SignedBeat) {
        let (turn, kind) = (Turn { start: 1, counter: 2 }, Kind::Worked);
        let beat = Beat { list, log, turn, kind, claims: vec![[7; 8]] };
        let beat = SignedBeat::new(&beat, &StandIn::new(1)).expect("a stand-in signs all");
        let frames = [
            Control::Beat { list, beat: beat.clone(), is_late: true },
            Control::BeatDigest { list, hash: [5; 32] },
            Control::BeatsHeld { list, held: vec![((log, kind), turn)], wants_answer: true },
        ];
        (frames, beat)
    }

    /// Each frame of the direct lane.
    fn direct(list: ListId) -> [DirectFrame; 4] {
        let key = StandIn::new(2);
        let (from, to) = (key.agent(), AgentId([4; 32]));
        let place = Place { log: 9, number: 2 };
        let issue = x0x_tracker::tasklist::IssueAt {
            key: x0x_tracker::id::DocumentKey([5; 32]),
            id: "T-1".to_owned(),
            heads: vec![[6; 32]],
        };
        let message = Message {
            from,
            to,
            place,
            message_id: "m".to_owned(),
            sent_at_ms: 7,
            form: Form::Text,
            payload: b"hello".to_vec(),
            issues: vec![Carried { list, issue }],
        };
        let ack = SignedAck::new(&Ack { from, to, up_to: place }, &key);
        [
            DirectFrame::Message { message, after: Some(Place { log: 9, number: 1 }) },
            DirectFrame::Ack(ack.expect("a stand-in signs all")),
            DirectFrame::Refused { place, why: Refusal::Gap },
            DirectFrame::Far { run: 4, bytes: vec![1, 3, 0, 1, 1, 7] },
        ]
    }

    /// Each message of the gossip.
    fn messages() -> Vec<Vec<u8>> {
        let content = [9; 20];
        let id = *blake3::hash(&content).as_bytes();
        let known = ([3_u8; 32], None::<u8>);
        let messages = [
            encode(&(0_u8, 0_u8, None::<u8>)),
            encode(&(0_u8, 1_u8, known, 6_u16)),
            encode(&(0_u8, 2_u8, [2_u8; 32], vec![known], 6_u16)),
            encode(&(0_u8, 3_u8, vec![known])),
            encode(&(0_u8, 4_u8, 0_u8, None::<u8>)),
            encode(&(0_u8, 5_u8, true, false)),
            encode(&(1_u8, 0_u8, id, content.to_vec(), 0_u8, 1_u16)),
            encode(&(1_u8, 1_u8)),
            encode(&(1_u8, 2_u8, Some(id), 0_u16)),
            encode(&(1_u8, 3_u8, vec![(id, 1_u16)])),
        ];
        let framed = |message: Vec<u8>| {
            let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
            [&length.to_le_bytes()[..], &message].concat()
        };
        messages.into_iter().map(framed).collect()
    }
}
