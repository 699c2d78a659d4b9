//! A whole conversation through the model of the gateway.

use std::net::IpAddr;

use ftp_helper_common::{grammar::Role, reason::Reason, session::Direction};

use super::reader::{Reader, events};
use crate::{
    flow::Flow,
    gateway::Gateway,
    stream::{
        network::{Network, Weather},
        random::Random,
        script::Script,
    },
};

/// Between the text that is said and the choices of everything else.
pub const SEPARATOR: u8 = 0x1e;

/// Most lines of a generated text.
const LINES: usize = 12;
/// Longest text that is said; a conversation has a bounded number of steps.
const LONGEST: usize = 1200;
/// Commands that the peer's client has sent; more than a text has replies.
const ASKED: u16 = 50_000;

/// Inside and outside addresses, so that texts get longer, shorter, or neither.
const ADDRESSES: [(&str, &str); 6] = [
    ("10.0.0.2", "203.0.113.1"),
    ("192.168.100.200", "192.0.2.1"),
    ("10.10.10.10", "192.0.2.10"),
    ("10.0.0.2", "10.0.0.2"),
    ("fd00::2", "2001:db8:1:2:3:4:5:6"),
    ("2001:db8:100:200:300:400:500:600", "2001:db8::1"),
];

/// The bytes say what an inside host says, and what the network does to it. Without
/// text, one is made up.
pub fn check(data: &[u8]) {
    let end = data.iter().rposition(|byte| *byte == SEPARATOR);
    let (text, choices) = match end {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let mut random = Random::from_bytes(choices);
    in_random_pieces(&mut random, text);
    if let Err(error) = converse(&mut random, text) {
        panic!("{error}");
    }
}

/// A parser that gets arbitrary pieces says what it says of the whole.
fn in_random_pieces(random: &mut Random, text: &[u8]) {
    let role = *random.pick(&[Role::Client, Role::Server]);
    let mut reader = Reader::new(role);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(random.between(1, rest.len()));
        reader.push_quickly(piece, random.between(1, 40));
        reader.store_and_load();
        rest = behind;
    }
    assert_eq!(reader.events, events(role, text));
}

/// One conversation, with everything that is random in it from `random`; an error, or
/// a panic, when it does not come out as it has to. An empty text is made up.
pub fn converse(random: &mut Random, text: &[u8]) -> Result<(), String> {
    let is_made_up = text.is_empty();
    // Only texts for IPv4 are made up.
    let choices = if is_made_up { 3 } else { ADDRESSES.len() };
    let (inside, outside) = ADDRESSES[random.below(choices)];
    let mut flow = flow(random.chance(50), inside, outside);
    flow.egress_start = random.word();
    flow.ingress_start = random.word();
    if random.chance(30) {
        // The numbers wrap around soon.
        let before = u32::try_from(random.below(200)).expect("a small number");
        flow.egress_start = u32::MAX - before;
    }
    let role = flow.session().role(Direction::Egress);
    let script = if is_made_up && flow.client_inside {
        Script::commands(random, &flow, LINES)
    } else if is_made_up {
        Script::replies(random, &flow, LINES)
    } else {
        let text = &text[..text.len().min(LONGEST)];
        match Script::of(text, role, &flow) {
            Some(script) => script,
            None => return Ok(()),
        }
    };
    let mut session = flow.session();
    if !flow.client_inside {
        session.commands = ASKED;
        session.outstanding = ftp_helper_common::grammar::Kind::PASV.0;
        session.outstanding_at = ASKED;
    }
    let mut gateway = Gateway::new(flow.key(), session);
    let weather = Weather::random(random);
    let mut network = Network::new(&flow, &script, 0);
    network
        .run(&mut gateway, random, weather)
        .and_then(|()| verify(&gateway, &script))
        .map_err(|error| {
            format!(
                "{error:#}\n{weather:?}, {flow:?}\n{}said \"{}\"",
                network.history(),
                script.sent.escape_ascii()
            )
        })
}

fn verify(gateway: &Gateway, script: &Script) -> anyhow::Result<()> {
    let session = gateway.known()?;
    anyhow::ensure!(session.rewrites.hold_len == 0, "bytes are still held");
    let count = |reason: Reason| gateway.counts.get(reason.word()).copied().unwrap_or(0);
    let replaced = usize::try_from(count(Reason::AnnouncementRewritten))?;
    anyhow::ensure!(
        replaced == script.helped(),
        "{replaced} announcements were replaced, and not {}",
        script.helped()
    );
    for reason in [
        Reason::LineTooLong,
        Reason::OverlapMismatch,
        Reason::RewriteFailed,
    ] {
        anyhow::ensure!(count(reason) == 0, "{} was counted", reason.word());
    }
    Ok(())
}

fn flow(client_inside: bool, inside: &str, outside: &str) -> Flow {
    let is_v6 = inside.parse::<IpAddr>().is_ok_and(|it| it.is_ipv6());
    let flow = match (client_inside, is_v6) {
        (true, false) => Flow::client_inside(0),
        (true, true) => Flow::client_inside_v6(0),
        (false, false) => Flow::server_inside(0),
        (false, true) => Flow::server_inside_v6(0),
    };
    flow.addresses(inside, outside)
}
