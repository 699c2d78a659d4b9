//! Data connections that the inside host opens itself: awaited where inside
//! interfaces are watched, and leaving from the control connection's address.

use std::net::SocketAddr;

use anyhow::Result;
use ftp_helper_common::{
    grammar::Kind, interface::flags as interface_flags, reason::Reason, session::Session,
};
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::{Flow, address, endpoint},
    segment::{Segment, flags},
};

const ANSWER: &str = "227 Entering Passive Mode (198,51,100,7,195,149)\r\n";

/// Which end of the gateway the interface of the bench is.
fn stands(bench: &mut Bench, side: u16) -> Result<()> {
    bench.configure(|interface| interface.flags = side)
}

/// The client asked for passive mode.
fn asked(bench: &mut Bench, flow: &Flow) -> Result<()> {
    let mut session: Session = flow.session();
    session.outstanding = Kind::PASV.0;
    session.commands = 1;
    session.outstanding_at = 1;
    bench.set_session(flow, &session)
}

/// The first segment of a data connection from `source` to `destination`, as it
/// comes in on the interface.
fn syn(flow: &Flow, source: &str, destination: &str) -> Segment {
    let mut syn = flow.ingress(12_345, "").flags(flags::SYN).acknowledgment(0);
    syn.source = address(source);
    syn.destination = address(destination);
    syn
}

/// The one entry of conntrack for connections to `destination`, field by field.
fn tracked(bench: &Bench, destination: &str) -> Result<Vec<String>> {
    let to: SocketAddr = address(destination);
    let list = bench.shell(&format!(
        "conntrack -L -p tcp --orig-dst {} --orig-port-dst {} 2>/dev/null",
        to.ip(),
        to.port()
    ))?;
    assert!(list.lines().count() <= 1, "{list}");
    Ok(list.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn a_passive_client_behind_masquerade() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        stands(bench, interface_flags::OUTGOING)?;
        asked(bench, flow)?;
        bench.unchanged(&flow.ingress(0, ANSWER));
        bench.counted(&[
            (Reason::AnnouncementAccepted, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        let awaited = bench.expectations()?;
        assert_eq!(awaited.len(), 1);
        let (key, expectation) = awaited[0];
        assert_eq!(key.source, endpoint(flow.inside).address);
        assert_eq!(key.destination, endpoint(address("198.51.100.7:50069")));
        assert_eq!(expectation.new_source, endpoint(flow.outside).address);
        assert_eq!(expectation.outgoing, 1);

        bench.configure(|interface| {
            interface.flags = interface_flags::INSIDE;
            interface.ct_mark = 0x15;
        })?;
        // Neither another port nor another host.
        bench.unchanged(&syn(flow, "10.0.0.2:41000", "198.51.100.7:50070"));
        bench.unchanged(&syn(flow, "10.0.0.3:41000", "198.51.100.7:50069"));
        bench.counted(&[]);
        bench.unchanged(&syn(flow, "10.0.0.2:41000", "198.51.100.7:50069"));
        bench.counted(&[(Reason::ExpectationMatched, 1)]);
        let entry = tracked(bench, "198.51.100.7:50069")?;
        let has = |field: &str| assert!(entry.iter().any(|is| is == field), "{field}: {entry:?}");
        // The reply comes to the outside address: the source is translated.
        has("src=10.0.0.2");
        has("dst=203.0.113.1");
        has("mark=21");
        assert!(!entry.iter().any(|is| is == "[UNREPLIED]"), "{entry:?}");
        // One-shot.
        bench.unchanged(&syn(flow, "10.0.0.2:41001", "198.51.100.7:50069"));
        bench.counted(&[]);
        Ok(())
    });
}

#[test]
fn without_inside_interfaces_nothing_is_awaited() {
    bench_with(Flow::client_inside, |bench, flow| {
        asked(bench, flow)?;
        bench.unchanged(&flow.ingress(0, ANSWER));
        bench.counted(&[(Reason::AnnouncementAccepted, 1)]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}

#[test]
fn each_side_only_opens_its_own() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        // What the inside host opens, from the outside with a forged source.
        stands(bench, interface_flags::OUTGOING)?;
        asked(bench, flow)?;
        bench.unchanged(&flow.ingress(0, ANSWER));
        bench.forget();
        bench.unchanged(&syn(flow, "10.0.0.2:41000", "198.51.100.7:50069"));
        bench.counted(&[]);
        assert!(tracked(bench, "198.51.100.7:50069")?.is_empty());

        // What the peer opens, from the inside with a forged source.
        bench.open(flow)?;
        bench.becomes(
            &flow.egress(0, "PORT 10,0,0,2,195,149\r\n"),
            &flow.egress(0, "PORT 203,0,113,1,195,149\r\n"),
        );
        bench.forget();
        stands(bench, interface_flags::INSIDE)?;
        bench.unchanged(&syn(flow, "198.51.100.7:20", "203.0.113.1:50069"));
        bench.counted(&[]);
        assert!(tracked(bench, "203.0.113.1:50069")?.is_empty());
        stands(bench, 0)
    });
}

#[test]
fn an_active_server_behind_a_port_forwarding() {
    bench_with(Flow::server_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        stands(bench, interface_flags::OUTGOING)?;
        bench.unchanged(&flow.ingress(0, "PORT 198,51,100,7,195,149\r\n"));
        bench.forget();
        stands(bench, interface_flags::INSIDE)?;
        let source = format!("{}:20", flow.inside.ip());
        bench.unchanged(&syn(flow, &source, "198.51.100.7:50069"));
        bench.counted(&[(Reason::ExpectationMatched, 1)]);
        let entry = tracked(bench, "198.51.100.7:50069")?;
        let translated = format!("dst={}", flow.outside.ip());
        assert!(entry.contains(&translated), "{entry:?}");
        // Its well-known port stays.
        assert!(entry.iter().any(|is| is == "dport=20"), "{entry:?}");
        stands(bench, 0)
    });
}

#[test]
fn the_next_announcement_takes_the_place() {
    bench_with(Flow::client_inside, |bench, flow| {
        stands(bench, interface_flags::OUTGOING)?;
        asked(bench, flow)?;
        bench.unchanged(&flow.ingress(0, ANSWER));
        assert_eq!(bench.expectations()?.len(), 1);
        bench.forget();
        let end = u32::try_from(ANSWER.len())?;
        let mut session = bench.session(flow)?;
        session.outstanding = Kind::EPSV.0;
        bench.set_session(flow, &session)?;
        bench.unchanged(&flow.ingress(end, "229 Extended (|||50070|)\r\n"));
        bench.counted(&[
            (Reason::AnnouncementAccepted, 1),
            (Reason::ExpectationCreated, 1),
            (Reason::ExpectationReplaced, 1),
        ]);
        let awaited = bench.expectations()?;
        assert_eq!(awaited.len(), 1);
        assert_eq!(
            awaited[0].0.destination,
            endpoint(address("198.51.100.7:50070"))
        );
        stands(bench, 0)
    });
}
