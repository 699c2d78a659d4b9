//! Control connections as they are shown.

use ftp_helper_common::{
    address::Address,
    journal::Moment,
    rewrite::{REWRITES as MOST, Rewrite as Text},
};
use serde_json::{Value, json};
use zerocopy::FromZeros as _;

use super::*;
use crate::output::{Format, render, render_object};

fn at(address: [u8; 4], port: u16) -> Endpoint {
    Endpoint::new(Address::from_v4(address), port)
}

fn rewrite(text: &str) -> Text {
    let mut rewrite = Text::default();
    rewrite.text[..text.len()].copy_from_slice(text.as_bytes());
    rewrite.new_len = u16::try_from(text.len()).unwrap();
    rewrite.original_len = 17;
    rewrite.digest_len = 17;
    rewrite
}

fn sample() -> (SessionKey, Session) {
    let key = SessionKey {
        outside: at([203, 0, 113, 1], 40000),
        peer: at([203, 0, 113, 2], 21),
    };
    let mut session = Session::new_zeroed();
    session.inside = at([10, 0, 0, 2], 40000);
    session.seen_peer = key.peer;
    session.flags = flags::CLIENT_INSIDE | flags::LEARNED | flags::GREETED;
    session.ifindex = 0x7fff_0000;
    session.helped = 2;
    session.refused = 1;
    session.last_refusal = Reason::LowPort as u8 + 1;
    session.created = clock::seconds(100);
    session.last_seen = clock::seconds(190);
    for text in ["203,0,113,1,178,110", "203,0,113,1,178,111 \r"] {
        session.rewrites.push(&rewrite(text));
    }
    for kind in [Kind::LOGIN, Kind::PORT, Kind::REPLY] {
        let entry = session.journal.append();
        entry.time = Moment::at(1 << 10);
        entry.kind = kind.0;
    }
    (key, session)
}

fn entry((key, session): &(SessionKey, Session)) -> Entry {
    Entry::new(key, session, &mut Names::default(), clock::seconds(200))
}

#[test]
fn table() {
    assert_eq!(
        render(&[entry(&sample())], Format::Wide).unwrap(),
        "OUTSIDE            PEER            INSIDE          CLIENT  STATE    MODE  INTERFACE     \
         HELPED  REFUSED  LAST REFUSAL  AGE    IDLE  SEEN PEER       FLAGS    LAST REWRITE\n\
         203.0.113.1:40000  203.0.113.2:21  10.0.0.2:40000  inside  greeted  PORT  if2147418112  \
         2       1        low_port      1m40s  10s   203.0.113.2:21  learned  203,0,113,1,178,111\n"
    );
}

fn wanted() -> Value {
    json!({
        "outside": "203.0.113.1:40000",
        "peer": "203.0.113.2:21",
        "inside": "10.0.0.2:40000",
        "seen_peer": "203.0.113.2:21",
        "client": "inside",
        "state": "greeted",
        "flags": ["learned"],
        "mode": "PORT",
        "interface": "if2147418112",
        "helped": 2,
        "refused": 1,
        "last_refusal": "low_port",
        "rewrites": [
            {"text": "203,0,113,1,178,110", "direction": "egress"},
            {"text": "203,0,113,1,178,111", "direction": "egress"},
        ],
        "age_seconds": 100.0,
        "idle_seconds": 10.0,
    })
}

#[test]
fn item() {
    assert_eq!(serde_json::to_value(entry(&sample())).unwrap(), wanted());
}

#[test]
fn what_is_not_known_is_null_or_a_dash() {
    let (key, mut session) = sample();
    session.inside = Endpoint::default();
    session.seen_peer = Endpoint::default();
    session.last_refusal = 0;
    session.flags = 0;
    session.rewrites = Session::new_zeroed().rewrites;
    session.journal = Session::new_zeroed().journal;
    let entry = entry(&(key, session));
    assert_eq!(entry.inside, None);
    assert_eq!(entry.seen_peer, None);
    assert_eq!(entry.last_refusal, None);
    assert_eq!(entry.client, "outside");
    assert_eq!(entry.rewrites, []);
    let cells = entry.cells();
    assert_eq!([&cells[2], &cells[5], &cells[9]], ["-"; 3]);
    assert_eq!(entry.wide_cells(), ["-"; 3]);
}

#[test]
fn a_text_longer_than_its_room_does_no_harm() {
    let (key, mut session) = sample();
    let rewrite = Text {
        new_len: u16::MAX,
        ..rewrite("")
    };
    session.rewrites.push(&rewrite);
    assert_eq!(entry(&(key, session)).rewrites.len(), 3);
}

/// What was held and let go is part of a line that is none of ours.
#[test]
fn lines_that_were_let_go_are_not_shown() {
    let (key, mut session) = sample();
    let released = Text {
        digest_len: 0,
        ..rewrite("secret")
    };
    session.rewrites.push(&released);
    let shown = serde_json::to_string(&entry(&(key, session))).unwrap();
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn only_numbers_are_shown_of_a_line() {
    assert_eq!(text(&rewrite("1,2,3,4,5,6 secret\r")), "1,2,3,4,5,6");
    assert_eq!(text(&rewrite("|1|10.0.0.2|5000|\r")), "|1|10.0.0.2|5000|");
}

#[test]
fn the_newest_rewrites_are_shown() {
    let (key, mut session) = sample();
    for number in 0..MOST + 2 {
        let text = format!("203,0,113,1,200,{number}");
        session.rewrites.push(&rewrite(&text));
    }
    let entry = entry(&(key, session));
    assert_eq!(entry.rewrites.len(), MOST);
    assert_eq!(entry.rewrites[0].text, "203,0,113,1,200,2");
}

#[test]
fn states_say_how_far_a_session_is() {
    let state = |bits| {
        let mut session = Session::new_zeroed();
        session.flags = bits;
        State::of(&session)
    };
    let logged_in = flags::GREETED | flags::LOGGED_IN;
    for (bits, wanted) in [
        (0, State::New),
        (flags::GREETED, State::Greeted),
        (logged_in, State::LoggedIn),
        (logged_in | flags::OPAQUE, State::Encrypted),
        (flags::CANDIDATE, State::Candidate),
        (flags::REJECTED | flags::CANDIDATE, State::Rejected),
        (logged_in | flags::OPAQUE | flags::CLOSED, State::Closed),
    ] {
        assert_eq!(state(bits), wanted);
    }
    for state in State::value_variants() {
        assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        assert_eq!(State::from_str(state.word(), false), Ok(*state));
    }
}

#[test]
fn the_client_is_the_source() {
    let (key, mut session) = sample();
    let client = at([10, 0, 0, 2], 40000);
    assert!(subject(&key, &session, "wan0").source.contains(&client));
    session.flags &= !flags::CLIENT_INSIDE;
    assert!(
        subject(&key, &session, "wan0")
            .destination
            .contains(&client)
    );
}

#[test]
fn a_session_goes_by_each_of_its_ends() {
    let (key, session) = sample();
    assert!(has_end(&key, &session, &at([10, 0, 0, 2], 40000)));
    assert!(has_end(&key, &session, &at([203, 0, 113, 1], 40000)));
    assert!(!has_end(&key, &session, &at([10, 0, 0, 2], 40001)));
}

#[test]
fn details() {
    let (key, mut session) = sample();
    session.outstanding = Kind::PASV.0;
    let details = Details::new(
        &key,
        &session,
        None,
        &mut Names::default(),
        clock::seconds(200),
    );
    let mut all = wanted();
    let more = json!({
        "outstanding": "PASV",
        "directions": [
            {
                "direction": "egress",
                "sender": "client",
                "sequence_delta": 6,
                "held_bytes": 0,
                "rewrites": [
                    {
                        "text": "203,0,113,1,178,110",
                        "original_length": 17,
                        "length": 19,
                        "sequence_delta": 2,
                    },
                    {
                        "text": "203,0,113,1,178,111",
                        "original_length": 17,
                        "length": 21,
                        "sequence_delta": 6,
                    },
                ],
            },
            {
                "direction": "ingress",
                "sender": "server",
                "sequence_delta": 0,
                "held_bytes": 0,
                "rewrites": [],
            },
        ],
        "expectation": null,
    });
    all.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    assert_eq!(serde_json::to_value(&details).unwrap(), all);
    let shown = render_object(&details, Format::Table).unwrap();
    insta::assert_snapshot!(shown);
}
