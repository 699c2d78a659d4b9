//! Cases from a seed: the conversation of an honest sender on a bad network, as the
//! model of the gateway gets it, and what a dishonest one makes of it.

use anyhow::Result;
use ftp_helper_common::session::Direction;
use ftp_helper_model::gateway::Gateway;

use super::{
    case::{Case, Step},
    mutate,
};
use crate::packets::{
    flow::Flow,
    segment::{Segment, flags},
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
        // The device changes its limit slowly, so neighbours share it.
        mtu: [65536, 1500, 1280, 700][usize::try_from(seed / 64 % 4)?],
        steps: Vec::new(),
    };
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
    if !case.is_known {
        shake_hands(&mut recorder, &flow)?;
    }
    let script = script(random, &flow);
    let mut weather = Weather::random(random);
    if random.chance(30) {
        weather.longest = *random.pick(&[1000, 1400, 3000]);
    }
    let mut network = Network::new(&flow, &script, 0);
    // A session that was taken on from its handshake alone knows no translation, so
    // what arrives is not what the script says. The model is asked again by the judge.
    let outcome = network.run(&mut recorder, random, weather);
    if case.is_known {
        outcome?;
    }
    case.steps = recorder.steps;
    case.steps.truncate(PACKETS);
    if random.chance(85) {
        mutate::case(random, &mut case);
    }
    Ok(case)
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
    first.flags = flags::SYN;
    first.acknowledgment = 0;
    second.flags = flags::SYN | flags::ACK;
    third.flags = flags::ACK;
    for segment in [&*first, &*second, &third] {
        recorder.pass(segment)?;
    }
    Ok(())
}
