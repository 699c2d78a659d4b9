//! A small report for tests.

use super::{
    EMPTY, NET, OURS,
    machine::Machine,
    peer::Peer,
    report::{Better, Report, SCHEMA, Section, Verified},
    samples::{Head, Samples},
    scale, sections, tax,
};

pub(super) fn report() -> Report {
    let section = |name: &str, tables| Section {
        name: name.to_owned(),
        title: format!("About {name}"),
        method: vec![format!("How {name} was measured.")],
        tables,
        remarks: vec![format!("A remark on {name}.")],
        seconds: 1.5,
    };
    let mut packets = Samples::default();
    let mut requests = Samples::default();
    let (mut sessions, mut files) = (Samples::default(), Samples::default());
    let mut scale_packets = Samples::default();
    for round in 0..6 {
        let what = "IPv4, other TCP, way out";
        packets.add(round, what, EMPTY, 35.0);
        packets.add(round, what, OURS, 55.0);
        packets.add(round, what, NET, 20.0);
        let noise = [0.97, 1.01, 1.0, 0.98, 0.99, 1.0][round];
        requests.add(round, "1 at a time", Peer::Masquerade.name(), 1000.0);
        requests.add(round, "1 at a time", OURS, 1000.0 * noise);
        let what = "active, client inside, 1 client";
        sessions.add(round, what, Peer::Kernel.name(), 2000.0);
        sessions.add(round, what, OURS, 2500.0);
        sessions.refuse(what, Peer::Masquerade.name(), "nobody helps");
        sessions.refuse(what, Peer::Conntrackd.name(), "no such kernel");
        files.add(round, what, Peer::Kernel.name(), 12_000.0);
        files.add(round, what, OURS, 6000.0);
        sessions.add(round, "passive", Peer::Kernel.name(), 2000.0);
        sessions.add(round, "passive", OURS, 2000.0);
        sessions.add(round, "passive", Peer::Masquerade.name(), 2100.0);
        scale_packets.add(round, "the same session", "10", 100.0);
        scale_packets.add(round, "the same session", "100", 101.0);
    }
    let head = |name, unit, better, anchor| Head {
        name,
        title: "A table",
        unit,
        digits: 0,
        better,
        anchor,
    };
    let kernel = Peer::Kernel.name();
    let rate = |name| head(name, "1/s", Better::Higher, kernel);
    Report {
        schema_version: SCHEMA,
        amount: "tiny".to_owned(),
        machine: Machine {
            kernel: "6.1".to_owned(),
            architecture: "x86_64".to_owned(),
            processor: "A Processor".to_owned(),
            processors: 2,
            memory: 24,
            is_virtual: true,
            has_jit: true,
            load: 0.25,
        },
        seconds: 12.5,
        verified_instructions: vec![Verified {
            program: "egress".to_owned(),
            instructions: 400_000,
        }],
        sections: vec![
            section(
                tax::NAME,
                vec![packets.table(head(tax::PACKETS, "ns", Better::Lower, EMPTY))],
            ),
            section(
                tax::TRAFFIC,
                vec![requests.table(head(
                    tax::REQUESTS,
                    "1/s",
                    Better::Higher,
                    Peer::Masquerade.name(),
                ))],
            ),
            section(
                sections::SESSIONS,
                vec![
                    sessions.table(rate(sections::SESSIONS)),
                    files.table(rate(sections::FILES)),
                ],
            ),
            section(
                scale::NAME,
                vec![scale_packets.table(head(scale::PACKETS, "ns", Better::Lower, "10"))],
            ),
        ],
    }
}
