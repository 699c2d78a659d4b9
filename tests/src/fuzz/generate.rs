//! Cases from a seed: the conversation of an honest sender on a bad network, as the
//! model of the gateway gets it, and what a dishonest one makes of it.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::Result;
use ftp_helper_common::{
    interface::flags,
    session::{Direction, flags as session_flags},
};
use ftp_helper_model::gateway::{
    Gateway,
    rules::{DENIED, Ports, Rules, SPARE, TAKEN},
};

use super::{
    case::{Case, Step},
    mutate,
};
use crate::packets::{
    flow::Flow,
    segment::{Segment, flags as tcp_flags},
    stream::{
        network::{Middle, Network, Passed, Weather},
        random::Random,
        script::Script,
    },
};

/// Most lines that are said.
const LINES: usize = 20;
/// Most packets of a case.
const PACKETS: usize = 150;
/// So many cases, one after the other, share their settings.
const NEIGHBOURS: u64 = 16;

/// Texts for IPv6, where none is made up line by line.
const LINES_V6: &[&str] = &[
    "EPRT |2|fd00::2|45678|\r\n",
    "EPRT !2!FD00:0:0:0::2!1024!\r\n",
    "EPRT |2|fd00::9|45678|\r\n",
    "EPRT |1|10.0.0.2|45678|\r\n",
    "PORT 10,0,0,2,178,110\r\n",
    "EPSV\r\n",
    "NOOP\r\n",
    "229 Entering Extended Passive Mode (|||45678|)\r\n",
    "229 (|||1|)\r\n227 (10,0,0,2,4,1)\r\n",
    "226-\r\n 229 (|||45678|)\r\n226 done\r\n",
];

/// Writes down what it passes on.
struct Recorder {
    gateway: Gateway,
    steps: Vec<Step>,
}

impl Middle for Recorder {
    fn pass(&mut self, segment: &Segment) -> Result<Passed> {
        self.steps.push(Step {
            direction: segment.direction,
            merged: 0,
            packet: segment.bytes(),
        });
        self.gateway.pass(segment)
    }
}

/// The case of a seed; an error when the model itself fails it.
pub fn case(seed: u64) -> Result<Case> {
    let mut random = Random::new(seed);
    let random = &mut random;
    let mut case = Case {
        flow: flow(random),
        is_known: random.chance(85),
        flags: flags_of_session(random),
        rules: Rules::default(),
        // The device changes its limit slowly, so neighbours share it.
        mtu: [65536, 1500, 1280, 700][usize::try_from(seed / 64 % 4)?],
        steps: Vec::new(),
    };
    // Half of the cases are those of a gateway on which nothing was set.
    if seed / NEIGHBOURS % 2 == 1 {
        case.rules = rules(&mut Random::new(seed / NEIGHBOURS), &case.flow);
    }
    // Only what was encrypted can be clear again.
    if case.rules.flags & flags::CCC != 0 && random.chance(40) {
        case.flags = session_flags::OPAQUE;
    }
    let flow = case.flow;
    let gateway = match case.session() {
        Some(session) => Gateway::new(flow.key(), session),
        None => Gateway::empty(flow.key()),
    };
    let mut recorder = Recorder {
        gateway,
        steps: Vec::new(),
    };
    recorder.gateway.link.mtu = case.mtu;
    recorder.gateway.rules = case.rules;
    if !case.is_known {
        shake_hands(&mut recorder, &flow)?;
    }
    let script = if case.rules != Rules::default() && random.chance(60) {
        let text = settled(random, &flow, &case.rules);
        let role = flow.session().role(Direction::Egress);
        Script::of(text.as_bytes(), role, &flow).unwrap_or_default()
    } else {
        script(random, &flow)
    };
    let mut weather = Weather::random(random);
    if random.chance(30) {
        weather.longest = *random.pick(&[1000, 1400, 3000]);
    }
    let mut network = Network::new(&flow, &script, 0);
    // A session that was taken on from its handshake alone knows no translation, so
    // what arrives is not what the script says. The model is asked again by the judge.
    let outcome = network.run(&mut recorder, random, weather);
    if case.is_known && case.rules == Rules::default() && case.flags == 0 {
        outcome?;
    }
    case.steps = recorder.steps;
    case.steps.truncate(PACKETS);
    if random.chance(85) {
        mutate::case(random, &mut case);
    }
    if case.rules != Rules::default() {
        for _ in 0..random.below(4) {
            mutate::knock_somewhere(random, &mut case);
        }
    }
    Ok(case)
}

/// Lines for which it matters what was set: announcements of ports and addresses that
/// there are rules about.
fn settled(random: &mut Random, flow: &Flow, rules: &Rules) -> String {
    let third_parties: [IpAddr; 2] = if flow.peer.is_ipv4() {
        [[198, 51, 100, 9].into(), [198, 51, 100, 20].into()]
    } else {
        [9_u128, 0x20].map(|last| Ipv6Addr::from_bits(0xfd00_u128 << 112 | last).into())
    };
    let own = flow.inside.ip();
    let advertised = IpAddr::from(rules.advertise);
    let mut addresses = vec![own, own, own, flow.outside.ip()];
    addresses.extend(third_parties);
    if advertised.is_ipv4() == own.is_ipv4() {
        addresses.push(advertised);
    }
    let ports = [&TAKEN[..], &DENIED, &[SPARE, 45_000, 1023]].concat();
    let others = if flow.client_inside {
        ["USER x\r\n", "NOOP\r\n", "REIN\r\n"]
    } else {
        ["220 hello\r\n", "230 in\r\n", "200 ok\r\n"]
    };
    let mut text = String::new();
    for _ in 0..random.between(1, LINES) {
        let (address, port) = (*random.pick(&addresses), *random.pick(&ports));
        let (high, low) = (port >> 8, port & 0xff);
        let octets = address.to_string().replace('.', ",");
        let line = match (flow.client_inside, address) {
            _ if random.chance(25) => (*random.pick(&others)).to_owned(),
            (true, IpAddr::V4(_)) if random.chance(70) => {
                format!("PORT {octets},{high},{low}\r\n")
            }
            (true, IpAddr::V4(_)) => format!("EPRT |1|{address}|{port}|\r\n"),
            (true, IpAddr::V6(_)) => format!("EPRT |2|{address}|{port}|\r\n"),
            (false, IpAddr::V4(_)) if random.chance(70) => {
                format!("227 ok ({octets},{high},{low})\r\n")
            }
            (false, _) => format!("229 ok (|||{port}|)\r\n"),
        };
        text.push_str(&line);
    }
    text
}

/// What a session may have come to before the case begins.
fn flags_of_session(random: &mut Random) -> u64 {
    match random.below(20) {
        0 | 1 => session_flags::LOGGED_IN,
        2 => session_flags::OPAQUE,
        3 => session_flags::CANDIDATE,
        4 => session_flags::EPSV_ALL,
        _ => 0,
    }
}

/// What the administrator may have set.
fn rules(random: &mut Random, flow: &Flow) -> Rules {
    let settings = [
        flags::REQUIRE_LOGIN,
        flags::STRICT,
        flags::FXP,
        flags::CCC,
        flags::OUTGOING,
        flags::OUTGOING | flags::INSIDE,
        flags::PER_ENDPOINT,
    ];
    let mut rules = Rules::default();
    for flag in settings {
        let likely = if flag == flags::REQUIRE_LOGIN { 10 } else { 35 };
        if random.chance(likely) {
            rules.flags |= flag;
        }
    }
    let v4: [IpAddr; 2] = [[203, 0, 113, 77].into(), [192, 0, 2, 255].into()];
    let v6: [IpAddr; 2] =
        [0x77_u128, 0x7777].map(|last| Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | last).into());
    // That of the other IP version concerns nobody here.
    let addresses = if flow.peer.is_ipv4() {
        [v4[0], v4[1], v6[0]]
    } else {
        [v6[0], v6[1], v4[0]]
    };
    if random.chance(40) {
        rules.advertise = (*random.pick(&addresses)).into();
    }
    rules.denies = random.chance(30);
    rules.ports = *random.pick(&[Ports::Free, Ports::OneSpare, Ports::NoSpare]);
    rules
}

fn flow(random: &mut Random) -> Flow {
    let start = random.word();
    let mut flow = match random.below(10) {
        0 | 1 => Flow::client_inside_v6(start),
        2 => Flow::server_inside_v6(start),
        number => {
            let flow = if number % 2 == 0 {
                Flow::client_inside(start)
            } else {
                Flow::server_inside(start)
            };
            let (inside, outside) = *random.pick(&[
                ("10.0.0.2", "203.0.113.1"),
                ("192.168.100.200", "192.0.2.1"),
                ("10.10.10.10", "192.0.2.10"),
                ("10.0.0.2", "10.0.0.2"),
            ]);
            flow.addresses(inside, outside)
        }
    };
    flow.ingress_start = random.word();
    if random.chance(30) {
        flow.egress_start = u32::MAX - random.word() % 300;
    }
    flow
}

fn script(random: &mut Random, flow: &Flow) -> Script {
    let is_plain = flow.inside.ip() == flow.outside.ip();
    if flow.peer.is_ipv4() && !is_plain {
        return if flow.client_inside {
            Script::commands(random, flow, LINES)
        } else {
            Script::replies(random, flow, LINES)
        };
    }
    let lines = (0..random.between(1, LINES)).map(|_| *random.pick(LINES_V6));
    let text: String = lines.collect();
    let role = flow.session().role(Direction::Egress);
    Script::of(text.as_bytes(), role, flow).unwrap_or_default()
}

/// The three segments that make a session.
fn shake_hands(recorder: &mut Recorder, flow: &Flow) -> Result<()> {
    let before = u32::MAX;
    let mut from_inside = flow.egress(before, "");
    let mut from_peer = flow.ingress(before, "");
    let (first, second, mut third) = if flow.client_inside {
        from_peer.acknowledgment = flow.egress_start;
        (&mut from_inside, &mut from_peer, flow.egress(0, ""))
    } else {
        from_inside.acknowledgment = flow.ingress_start;
        (&mut from_peer, &mut from_inside, flow.ingress(0, ""))
    };
    first.flags = tcp_flags::SYN;
    first.acknowledgment = 0;
    second.flags = tcp_flags::SYN | tcp_flags::ACK;
    third.flags = tcp_flags::ACK;
    for segment in [&*first, &*second, &third] {
        recorder.pass(segment)?;
    }
    Ok(())
}
