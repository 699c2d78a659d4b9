//! What attacks have found, in as few packets as it takes; `attacks.rs` makes the attacks
//! whole.

use anyhow::Result;
use ftp_helper_common::{
    interface::flags as interface_flags, reason::Reason, session::flags as session_flags,
    stash::Stash,
};
use ftp_helper_tests::packets::{
    beginning::Beginning,
    bench::{Bench, bench, bench_tracked, bench_with},
    flow::Flow,
    segment::{Segment, flags},
};

const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";

/// The client says `first`, then an announcement in a segment of its own: that opens
/// nothing, and both go on as they are.
#[track_caller]
fn is_foreign(bench: &mut Bench, flow: &Flow, first: &[u8]) -> Result<()> {
    bench.unchanged(&flow.egress(0, first));
    bench.counted(&[(Reason::NotFtp, 1)]);
    let behind = u32::try_from(first.len())?;
    bench.unchanged(&flow.egress(behind, SENT));
    assert!(bench.expectations()?.is_empty(), "it opens something");
    let session = bench.session(flow)?;
    let both = session_flags::OPAQUE | session_flags::FOREIGN;
    assert_eq!(session.flags & both, both);
    Ok(())
}

/// A page may call the method of a request as it likes, also like a command.
#[test]
fn a_request_with_the_method_user_is_not_helped() {
    bench_with(Flow::client_inside, |bench, flow| {
        let request = b"USER / HTTP/1.1\r\nHost: ftp.example.net\r\n\r\n";
        is_foreign(bench, flow, request)
    });
}

/// The text of a session ticket is the server's choice, and the client sends it back in
/// the clear.
#[test]
fn a_hello_of_tls_is_not_helped() {
    bench_with(Flow::client_inside, |bench, flow| {
        is_foreign(
            bench,
            flow,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc ticket\r\n",
        )
    });
}

/// The user name of a request is the page's choice.
#[test]
fn a_request_to_a_turn_server_is_not_helped() {
    bench_with(Flow::client_inside, |bench, flow| {
        is_foreign(bench, flow, b"\x00\x03\x02\x00\x21\x12\xa4\x42 name\r\n")
    });
}

/// Where connections that leave encryption are read again, one that was never FTP is not.
#[test]
fn what_was_not_ftp_is_not_read_again() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.configure(|interface| interface.flags |= interface_flags::CCC)?;
        is_foreign(
            bench,
            flow,
            b"POST / HTTP/1.1\r\nHost: ftp.example.net\r\n\r\n",
        )
    });
}

/// A user of the gateway announces the outside port of an inside client, whose data
/// connection stays the client's.
#[test]
fn the_gateway_does_not_take_what_an_inside_host_awaits() {
    bench(|bench| {
        let client = Flow::client_inside(1000);
        bench.open(&client)?;
        bench.becomes(&client.egress(0, SENT), &client.egress(0, WIRE));
        let mut own = Flow::client_inside(5000).addresses("203.0.113.1", "203.0.113.1");
        own.inside.set_port(40_001);
        own.outside.set_port(40_001);
        bench.set_session(&own, &own.session())?;
        bench.unchanged(&own.egress(0, WIRE));
        assert_eq!(bench.count(Reason::NoFreePort)?, 1);
        let awaited = bench.expectations()?;
        assert_eq!(awaited.len(), 1, "{awaited:?}");
        assert_eq!(awaited[0].1.master, client.key());
        Ok(())
    });
}

/// A segment that comes too early is kept for a while. It may have a password in it, and
/// the table may be readable for a group.
#[test]
fn what_came_too_early_is_forgotten() {
    const FIRST: &str = "USER gwendolyn\r\n";
    const SECOND: &str = "PASS Tr0ub4dor\r\n";
    bench_with(Flow::client_inside, |bench, flow| {
        let behind = u32::try_from(FIRST.len())?;
        let holds = |bench: &Bench| -> Result<bool> {
            let kept = bench.datapath.maps.stashes.used()?;
            let is_second = |stash: &Stash| stash.bytes.starts_with(SECOND.as_bytes());
            Ok(kept.iter().any(is_second))
        };
        bench.dropped(&flow.egress(behind, SECOND));
        assert!(holds(bench)?, "it is not kept");
        let whole = format!("{FIRST}{SECOND}");
        bench.becomes(&flow.egress(0, FIRST), &flow.egress(0, whole));
        assert_eq!(bench.datapath.maps.stashes.used()?, [], "it stays");
        Ok(())
    });
}

/// The gateway saw `flow` begin, and not as it should: nobody is greeted, so it must not
/// be taken for one that is older than the agent.
fn is_not_picked_up(
    flow: impl Fn(u32) -> Flow + Sync,
    begin: impl Fn(&mut Bench, &Flow) -> Result<()> + Sync,
) {
    bench_tracked(flow, |bench, flow| {
        begin(bench, flow)?;
        bench.unchanged(&flow.egress(0, format!("x\r\n{SENT}")));
        bench.unchanged(&flow.ingress(0, "20 ok\r\n"));
        bench.unchanged(&flow.egress(26, SENT));
        bench.unchanged(&flow.inside_acknowledges(49, 7));
        let sessions = bench.datapath.maps.sessions.entries()?;
        assert!(sessions.is_empty(), "{sessions:?}");
        assert!(bench.expectations()?.is_empty(), "it opens something");
        Ok(())
    });
}

/// What the peer says last before the client's acknowledgment does not fit it.
#[test]
fn a_second_answer_does_not_make_a_connection_old() {
    is_not_picked_up(Flow::client_inside, |bench, flow| {
        let Beginning { syn, answer, third } = Beginning::of(flow);
        bench.unchanged(&syn);
        bench.unchanged(&answer);
        bench.unchanged(&Segment {
            sequence: answer.sequence.wrapping_add(1000),
            ..answer
        });
        bench.unchanged(&third);
        Ok(())
    });
}

/// The table of handshakes is turned over by as many others.
#[test]
fn a_flood_of_handshakes_does_not_make_a_connection_old() {
    is_not_picked_up(Flow::client_inside, |bench, flow| {
        let Beginning { syn, answer, third } = Beginning::of(flow);
        bench.unchanged(&syn);
        let is_noted = |bench: &Bench| -> Result<bool> {
            Ok(bench.datapath.maps.handshakes.get(&flow.key())?.is_some())
        };
        assert!(is_noted(bench)?);
        let mut forged = Flow::server_inside(1);
        for number in 0..40_000_u32 {
            forged
                .peer
                .set_ip((0xc633_6400 | number >> 15).to_be_bytes().into());
            forged.peer.set_port(1 + u16::try_from(number & 0x7fff)?);
            bench.unchanged(&Beginning::of(&forged).syn);
            if number % 1024 == 0 && !is_noted(bench)? {
                break;
            }
        }
        assert!(!is_noted(bench)?, "the table is larger than that");
        bench.unchanged(&answer);
        bench.unchanged(&third);
        Ok(())
    });
}

/// A peer connects from the port of a server: whoever begins a connection is its client.
#[test]
fn a_connection_from_a_control_port_is_not_picked_up() {
    let bench_begun = |is_seen: bool| {
        is_not_picked_up(Flow::client_inside, move |bench, flow| {
            bench.shell("conntrack -F")?;
            bench.track_begun_by(flow, false)?;
            if is_seen {
                let syn = flow.ingress(u32::MAX, "").acknowledgment(0);
                bench.unchanged(&syn.flags(flags::SYN));
            }
            Ok(())
        });
    };
    for is_seen in [true, false] {
        bench_begun(is_seen);
    }
}
