//! What an administrator may choose: ports that nobody may announce, third
//! parties, and the way back out of encryption.

use anyhow::Result;
use ftp_helper_common::{
    interface::flags as interface_flags, reason::Reason, session::flags as session_flags,
};
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::{Flow, address},
    segment::{Segment, flags},
};

const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";
const REWRITTEN: [(Reason, u64); 2] = [
    (Reason::AnnouncementRewritten, 1),
    (Reason::ExpectationCreated, 1),
];

/// The first packet of a data connection.
fn syn(flow: &Flow, from: &str, to: &str) -> Segment {
    let mut segment = flow.ingress(0, "").flags(flags::SYN);
    segment.source = address(from);
    segment.destination = address(to);
    segment.acknowledgment = 0;
    segment
}

#[test]
fn a_port_of_the_deny_list() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.deny([50_068])?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.counted(&REWRITTEN);
        bench.open(flow)?;
        bench.deny([50_069])?;
        bench.unchanged(&flow.egress(0, SENT));
        bench.counted(&[(Reason::DeniedPort, 1)]);
        assert!(bench.expectations()?.is_empty());
        bench.deny([])
    });
}

/// A client tells one server to connect to another one: nothing comes here.
#[test]
fn a_third_party_of_the_list_is_named() {
    let line = "PORT 192,0,2,7,195,149\r\n";
    bench_with(Flow::client_inside, |bench, flow| {
        let refused = |bench: &mut Bench| {
            bench.unchanged(&flow.egress(0, line));
            bench.counted(&[(Reason::ThirdParty, 1)]);
            bench.open(flow)
        };
        bench.allow_fxp(&["192.0.2.0/24"])?;
        refused(bench)?;
        bench.configure(|interface| interface.flags = interface_flags::FXP)?;
        bench.allow_fxp(&["192.0.3.0/24", "2001:db8::/32"])?;
        refused(bench)?;
        bench.allow_fxp(&["192.0.3.0/24", "192.0.2.0/29"])?;
        bench.unchanged(&flow.egress(0, line));
        bench.counted(&[(Reason::FxpAccepted, 1)]);
        assert!(bench.expectations()?.is_empty());
        bench.allow_fxp(&[])?;
        bench.configure(|_| {})
    });
}

/// A client hands the endpoint of a server inside on to another server.
#[test]
fn a_third_party_of_the_list_connects() {
    bench_with(Flow::server_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.configure(|interface| interface.flags = interface_flags::FXP)?;
        bench.allow_fxp(&["192.0.2.0/24"])?;
        for (from, is_let_in) in [
            ("192.0.3.7:20", false),
            ("192.0.2.7:20", true),
            ("198.51.100.7:40001", true),
        ] {
            bench.open(flow)?;
            let before = bench.count(Reason::ExpectationMatched)?;
            bench.unchanged(&flow.ingress(0, "PASV\r\n"));
            bench.becomes(
                &flow.egress(0, "227 ok (10,0,0,3,195,149)\r\n"),
                &flow.egress(0, "227 ok (203,0,113,1,195,149)\r\n"),
            );
            bench.unchanged(&syn(flow, from, "203.0.113.1:50069"));
            let matched = bench.count(Reason::ExpectationMatched)? - before;
            assert_eq!(matched, u64::from(is_let_in), "{from}");
        }
        bench.allow_fxp(&[])?;
        bench.configure(|_| {})
    });
}

/// `CCC` and its answer can not be read; the plain command behind them can.
#[test]
fn back_out_of_encryption() {
    bench_with(Flow::client_inside, |bench, flow| {
        encrypt(bench, flow)?;
        let (hello, ccc) = ("\x16\x03\x01 secret", "\x17\x03\x03 secret");
        bench.unchanged(&flow.egress(10, hello));
        // Not asked for: it stays opaque, whatever it looks like.
        bench.unchanged(&flow.egress(20, SENT));
        bench.counted(&[]);

        bench.configure(|interface| interface.flags = interface_flags::CCC)?;
        bench.open(flow)?;
        encrypt(bench, flow)?;
        bench.unchanged(&flow.egress(10, hello));
        bench.unchanged(&flow.egress(20, ccc));
        // Ahead of what is missing, or not a line: still opaque.
        bench.unchanged(&flow.egress(100, SENT));
        assert_ne!(bench.session(flow)?.flags & session_flags::OPAQUE, 0);
        bench.counted(&[]);

        bench.open(flow)?;
        encrypt(bench, flow)?;
        bench.unchanged(&flow.egress(10, ccc));
        bench.becomes(&flow.egress(20, SENT), &flow.egress(20, WIRE));
        bench.counted(&[
            (Reason::Cleared, 1),
            (Reason::AnnouncementRewritten, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        assert_eq!(bench.session(flow)?.flags & session_flags::OPAQUE, 0);
        bench.configure(|_| {})
    });
}

/// The first reply behind `CCC` is read as well.
#[test]
fn back_out_of_encryption_with_a_server_inside() {
    bench_with(Flow::server_inside, |bench, flow| {
        bench.configure(|interface| interface.flags = interface_flags::CCC)?;
        bench.unchanged(&flow.ingress(0, "AUTH TLS\r\n"));
        bench.unchanged(&flow.egress(0, "234 go on\r\n"));
        bench.unchanged(&flow.ingress(10, "\x17\x03\x03 ccc"));
        bench.unchanged(&flow.egress(11, "\x17\x03\x03 yes"));
        bench.forget();
        bench.unchanged(&flow.ingress(17, "PASV\r\n"));
        bench.counted(&[(Reason::Cleared, 1)]);
        bench.becomes(
            &flow.egress(18, "227 ok (10,0,0,3,195,149)\r\n"),
            &flow.egress(18, "227 ok (203,0,113,1,195,149)\r\n"),
        );
        bench.counted(&REWRITTEN);
        bench.configure(|_| {})
    });
}

fn encrypt(bench: &mut Bench, flow: &Flow) -> Result<()> {
    bench.unchanged(&flow.egress(0, "AUTH TLS\r\n"));
    bench.unchanged(&flow.ingress(0, "234 go on\r\n"));
    bench.counted(&[(Reason::Opaque, 1)]);
    assert_ne!(bench.session(flow)?.flags & session_flags::OPAQUE, 0);
    Ok(())
}
