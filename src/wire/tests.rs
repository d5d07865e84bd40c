use x0x_tracker::id::{AgentId, ListId};
use x0x_tracker::journal::charter::{Role, Signed};
use x0x_tracker::journal::run::{RUN_HEADERS_MAX, Run};
use x0x_tracker::journal::signature::Signer;
use x0x_tracker::journal::stream::Item;
use x0x_tracker::testing::{StandIn, StandInVerifier};

use super::*;

fn ticket() -> Ticket {
    Ticket {
        list: ListId([1; 32]),
        name: "pump".to_owned(),
        prefix: "PUMP".to_owned(),
        issuer: AgentId([2; 32]),
        addresses: vec!["127.0.0.1:12700".parse().unwrap(), "[::1]:9".parse().unwrap()],
        secret: [3; 32],
        role: Role::Worker,
        expires_at_ms: 1_767_225_600_000,
    }
}

#[test]
fn a_ticket_is_one_word_and_comes_back() {
    let text = ticket().to_string();
    assert!(text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{text}");
    assert_eq!(format!(" {text}\n").parse(), Ok(ticket()));
    assert_eq!(text.to_ascii_lowercase().parse(), Ok(ticket()));
}

#[test]
fn a_ticket_with_any_letter_changed_or_missing_is_refused() {
    let text = ticket().to_string();
    for at in 4..text.len() {
        let other = if text.as_bytes()[at] == b'a' { "b" } else { "a" };
        let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        assert_eq!(changed.parse::<Ticket>(), Err(TicketError::Damaged), "{at}");
        assert_eq!(text[..at].parse::<Ticket>(), Err(TicketError::Damaged), "{at}");
    }
    assert_eq!("https://example.org".parse::<Ticket>(), Err(TicketError::OtherWord));
    assert_eq!("".parse::<Ticket>(), Err(TicketError::OtherWord));
}

#[test]
fn a_list_is_named_differently_on_every_link_and_by_every_side() {
    let (list, a, b) = (ListId([1; 32]), AgentId([2; 32]), AgentId([3; 32]));
    let tag = shared_tag(&[0; 32], a, list);
    assert_ne!(tag, shared_tag(&[1; 32], a, list));
    assert_ne!(tag, shared_tag(&[0; 32], b, list));
    assert_ne!(tag, shared_tag(&[0; 32], a, ListId([9; 32])));
}

#[test]
fn a_card_is_its_agent_s_alone() {
    let (a, b) = (StandIn::new(1), StandIn::new(2));
    let card = Card {
        agent: a.agent(),
        at_ms: 7,
        addresses: vec!["127.0.0.1:1".parse().unwrap()],
        load_pct: None,
        seal_key: vec![5; 1_184],
    };
    let signed = SignedCard::new(&card, &a).unwrap();
    assert_eq!(signed.peek().unwrap(), card);
    assert!(signed.is_signed_by(a.public_key(), &StandInVerifier));
    assert!(!signed.is_signed_by(b.public_key(), &StandInVerifier));
    let crowded = Card { addresses: card.addresses.repeat(9), ..card };
    assert!(SignedCard::new(&crowded, &a).unwrap().peek().is_err());
}

#[test]
fn what_is_too_much_is_refused_as_such() {
    let list = ListId([1; 32]);
    let lists = vec![[0; 32]; LISTS_MAX + 1];
    let hello = Hello { program: String::new(), rules: 1, lists, card: None };
    let log = x0x_tracker::id::LogId { agent: AgentId([1; 32]), nonce: [0; 8] };
    let position = x0x_tracker::journal::commit::Position {
        number: 1,
        hash: x0x_tracker::id::CommitHash([1; 32]),
    };
    let news = Control::News { list, places: vec![(log, position); NEWS_MAX + 1] };
    let held = vec![(AgentId([1; 32]), None); CARDS_HELD_MAX + 1];
    for frame in [Control::Hello(hello), news, Control::CardsHeld { list, held }] {
        let error = Control::read(&encode(&frame)).unwrap_err();
        assert!(matches!(error, WireError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn frames_of_another_version_and_with_bytes_left_over_are_told_apart() {
    let frame = Control::Join { list: ListId([1; 32]), secret: [7; 32] };
    let good = encode(&frame);
    assert_eq!(Control::read(&good), Ok(frame));
    let mut later = good.clone();
    later[0] = VERSION + 1;
    assert_eq!(Control::read(&later), Err(WireError::Version { found: VERSION + 1 }));
    let mut long = good.clone();
    long.push(0);
    assert!(matches!(Control::read(&long), Err(WireError::Malformed { .. })));
    assert!(matches!(Control::read(&[]), Err(WireError::Malformed { .. })));
    for end in 0..good.len() {
        assert!(Control::read(&good[..end]).is_err());
    }
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    // A list of 2^60 statements in a frame of 20 bytes.
    let mut bytes = vec![VERSION, 7];
    bytes.extend([0xff; 8]);
    bytes.extend([0x0f; 10]);
    assert!(Control::read(&bytes).is_err());
    let mut bytes = vec![VERSION, 0];
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert!(Answer::read(&bytes).is_err());
}

#[test]
fn an_answer_holds_no_more_pieces_than_it_may() {
    let item = || Item::Statement(Signed { statement: Vec::new(), signature: Vec::new() });
    let of = |count: usize| {
        let items = std::iter::repeat_with(item).take(count).collect();
        Answer::read(&encode(&Answer::Items(items)))
    };
    assert!(of(sync::ITEMS_MAX).is_ok());
    assert!(matches!(of(sync::ITEMS_MAX + 1), Err(WireError::Malformed { .. })));
    let run = |count| Run { headers: vec![Vec::new(); count], signature: Vec::new() };
    let of = |count| Answer::read(&encode(&Answer::Headers(Some(run(count)))));
    assert!(of(RUN_HEADERS_MAX).is_ok() && of(RUN_HEADERS_MAX + 1).is_err());
}

#[test]
fn control_that_is_said_again_or_compared_is_told_by_its_first_bytes() {
    let list = ListId([1; 32]);
    let repeated = [
        Control::Digest(Digest { list, hash: [0; 32], wants_answer: true }),
        Control::News { list, places: vec![] },
        Control::Cards { list, cards: vec![] },
        Control::CardsHeld { list, held: vec![] },
        Control::Lost { list, places: vec![] },
        Control::BeatDigest { list, hash: [0; 32] },
        Control::BeatsHeld { list, held: vec![], wants_answer: true },
    ];
    assert!(repeated.iter().all(|frame| Control::is_repeated(&encode(frame))));
    let others = [
        Control::Hello(Hello { program: String::new(), rules: 1, lists: vec![], card: None }),
        Control::Join { list, secret: [0; 32] },
        Control::Joined { list, role: Role::Worker, statements: vec![], more: false },
        Control::NotJoined { list, why: JoinRefusal::Used },
        Control::Stated { list, statements: vec![] },
    ];
    assert!(!others.iter().any(|frame| Control::is_repeated(&encode(frame))));
    // A frame with beats comes after the one, and before the other.
    let place = |frame: &Control| encode(frame)[1];
    assert_eq!((place(&others[4]), place(&repeated[5])), (9, 11));
}
