//! The life of a session: handshake, what conntrack knows, encryption, the end.

use anyhow::Result;
use ftp_helper_common::{
    interface::{DETECT_MARK, flags as interface_flags},
    reason::Reason,
    session::flags as session_flags,
};
use ftp_helper_tests::packets::{
    beginning::Beginning,
    bench::{Bench, bench, bench_tracked, bench_with},
    flow::{Flow, STARTS, address, endpoint},
    segment::flags,
};

const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";
const REWRITTEN: [(Reason, u64); 2] = [
    (Reason::AnnouncementRewritten, 1),
    (Reason::ExpectationCreated, 1),
];

/// A handshake is replayed for every start of the sequence numbers.
fn from_handshake(
    flow: impl Fn(u32) -> Flow + Sync,
    body: impl Fn(&mut Bench, &Flow) -> Result<()> + Sync,
) {
    bench_tracked(flow, |bench, flow| {
        bench.shake_hands(flow);
        bench.counted(&[(Reason::SessionOpened, 1)]);
        body(bench, flow)
    });
}

#[test]
fn a_client_behind_source_translation() {
    for flow in [Flow::client_inside, Flow::client_inside_v6] {
        from_handshake(flow, |bench, flow| {
            let session = bench.session(flow)?;
            assert_eq!(session.inside, endpoint(flow.inside));
            assert_eq!(session.seen_peer, endpoint(flow.peer));
            assert_eq!(
                session.flags,
                session_flags::CLIENT_INSIDE | session_flags::LEARNED
            );
            bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
            let (sent, expected) = if flow.peer.is_ipv4() {
                (SENT, WIRE)
            } else {
                (
                    "EPRT |2|fd00::2|2020|\r\n",
                    "EPRT |2|2001:db8:1::1|2020|\r\n",
                )
            };
            bench.becomes(&flow.egress(0, sent), &flow.egress(0, expected));
            bench.counted(&REWRITTEN);
            Ok(())
        });
    }
}

#[test]
fn a_server_behind_destination_translation() {
    for flow in [Flow::server_inside, Flow::server_inside_v6] {
        from_handshake(flow, |bench, flow| {
            let session = bench.session(flow)?;
            assert_eq!(session.inside, endpoint(flow.inside));
            assert_eq!(session.seen_peer, endpoint(flow.peer));
            assert_eq!(session.flags, session_flags::LEARNED);
            bench.unchanged(&flow.egress(0, "220 hello\r\n"));
            bench.unchanged(&flow.ingress(0, "PASV\r\n"));
            if flow.peer.is_ipv4() {
                bench.becomes(
                    &flow.egress(11, "227 10,0,0,3,195,149\r\n"),
                    &flow.egress(11, "227 203,0,113,1,195,149\r\n"),
                );
                bench.counted(&REWRITTEN);
            }
            Ok(())
        });
    }
}

/// The gateway hides the peer from the server: so it must do for the data
/// connection.
#[test]
fn a_server_that_sees_the_gateway_as_its_client() {
    let flow = |start| Flow {
        seen_peer: address("10.0.0.1:50000"),
        ..Flow::server_inside(start)
    };
    from_handshake(flow, |bench, flow| {
        let session = bench.session(flow)?;
        assert_eq!(session.inside, endpoint(flow.inside));
        assert_eq!(session.seen_peer, endpoint(flow.seen_peer));
        bench.unchanged(&flow.egress(0, "220 hello\r\n"));
        bench.unchanged(&flow.ingress(0, "EPSV\r\n"));
        bench.unchanged(&flow.egress(11, "229 (|||50069|)\r\n"));
        let expectation = bench.expectation(flow, address("203.0.113.1:50069"))?;
        let expectation = expectation.expect("the data connection is awaited");
        assert_eq!(expectation.new_source, endpoint(flow.seen_peer).address);
        Ok(())
    });
}

/// Without conntrack the host is what the packets say.
#[test]
fn a_client_that_is_not_translated() {
    bench(|bench| {
        let flow = Flow::client_inside(1);
        bench.shake_hands(&flow);
        bench.counted(&[(Reason::ConntrackMissing, 1), (Reason::SessionOpened, 1)]);
        let session = bench.session(&flow)?;
        assert_eq!(session.inside, endpoint(flow.outside));
        assert_eq!(session.flags, session_flags::CLIENT_INSIDE);
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.unchanged(&flow.egress(0, SENT));
        bench.counted(&[(Reason::ThirdParty, 1)]);
        bench.unchanged(&flow.egress(23, WIRE));
        bench.counted(&[
            (Reason::AnnouncementAccepted, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        Ok(())
    });
}

/// Only who saw the SYN-ACK can open a session: spoofed segments fill no table.
#[test]
fn handshakes_that_do_not_fit() {
    bench(|bench| {
        let flow = Flow::client_inside(1000);
        bench.track(&flow)?;
        let syn = flow.egress(u32::MAX, "").flags(flags::SYN);
        let answer = flow.ingress(u32::MAX, "").flags(flags::SYN | flags::ACK);
        bench.unchanged(&syn);
        // It answers another SYN.
        bench.unchanged(&answer.clone().acknowledgment(flow.egress_start + 1));
        let third = flow.inside_acknowledges(0, 0);
        let handshake = bench.datapath.maps.handshakes.get(&flow.key())?;
        assert_eq!(handshake.expect("it is noted").answered, 0);
        bench.unchanged(&answer);
        bench.counted(&[]);
        assert!(bench.datapath.maps.sessions.entries()?.is_empty());
        bench.unchanged(&third);
        bench.counted(&[(Reason::SessionOpened, 1)]);
        assert!(bench.datapath.maps.handshakes.get(&flow.key())?.is_none());
        Ok(())
    });
}

/// Both ends repeat theirs after the same second, and the two cross on the way.
#[test]
fn a_repeated_syn_behind_the_answer() {
    for flow in [Flow::client_inside, Flow::server_inside] {
        bench(|bench| {
            let flow = flow(1000);
            bench.track(&flow)?;
            let Beginning { syn, answer, third } = Beginning::of(&flow);
            bench.unchanged(&syn);
            bench.unchanged(&answer);
            bench.unchanged(&syn);
            bench.unchanged(&third);
            bench.counted(&[(Reason::SessionOpened, 1)]);
            Ok(())
        });
    }
}

/// Both were repeated behind their backs, and the client gives up before it says anything.
#[test]
fn a_reset_behind_a_handshake_that_came_twice() {
    bench_tracked(Flow::client_inside, |bench, flow| {
        let Beginning { syn, answer, third } = Beginning::of(flow);
        for segment in [&syn, &answer, &third, &syn, &answer] {
            bench.unchanged(segment);
        }
        bench.counted(&[(Reason::SessionOpened, 1)]);
        bench.unchanged(&flow.egress(0, "").flags(flags::RST | flags::ACK));
        bench.counted(&[(Reason::SessionClosed, 1)]);
        Ok(())
    });
}

/// A client that does not wait for the greeting, and whose first segments change places.
#[test]
fn a_second_segment_in_front_of_the_first() {
    bench_tracked(Flow::client_inside, |bench, flow| {
        let Beginning { syn, answer, third } = Beginning::of(flow);
        bench.unchanged(&syn);
        bench.unchanged(&answer);
        bench.dropped(&flow.egress(8, "PASS y\r\n"));
        bench.counted(&[(Reason::SessionOpened, 1), (Reason::Reordered, 1)]);
        bench.unchanged(&third);
        let both = flow.egress(0, "USER x\r\nPASS y\r\n");
        bench.becomes(&flow.egress(0, "USER x\r\n"), &both);
        // One that is far away is another connection's.
        bench.clear()?;
        bench.unchanged(&syn);
        bench.unchanged(&answer);
        bench.unchanged(&flow.egress(70_000, "PASS y\r\n"));
        bench.counted(&[]);
        bench.unchanged(&third);
        bench.counted(&[(Reason::SessionOpened, 1)]);
        Ok(())
    });
}

/// Found in the middle: its lines are known from the next line end on.
#[test]
fn a_connection_that_is_older_than_the_helper() {
    bench_tracked(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, format!("x {SENT}")));
        bench.counted(&[(Reason::SessionPickedUp, 1)]);
        let session = bench.session(flow)?;
        assert_eq!(session.inside, endpoint(flow.inside));
        assert_ne!(session.flags & session_flags::PICKED_UP, 0);
        // What the peer says is in the middle of something, too.
        bench.unchanged(&flow.ingress(0, "20 ok\r\n"));
        bench.becomes(&flow.egress(25, SENT), &flow.egress(25, WIRE));
        bench.counted(&REWRITTEN);
        Ok(())
    });
}

/// Its replies belong to the commands that were seen.
#[test]
fn replies_in_a_connection_that_is_older_than_the_helper() {
    bench_tracked(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "TYPE I\r\n"));
        bench.unchanged(&flow.ingress(0, "200 yes\r\n"));
        bench.becomes(&flow.egress(8, SENT), &flow.egress(8, WIRE));
        bench.forget();
        bench.unchanged(&flow.ingress(9, "500 no\r\n"));
        bench.counted(&[(Reason::ExpectationTornDown, 1)]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}

/// The same ports are used again: the old session is none of the new one.
#[test]
fn a_new_connection_with_the_same_ports() {
    from_handshake(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        let again = Flow {
            egress_start: flow.egress_start.wrapping_add(0x3456_789a),
            ingress_start: flow.ingress_start.wrapping_sub(0x3456_789a),
            ..*flow
        };
        bench.forget();
        bench.shake_hands(&again);
        bench.counted(&[
            (Reason::SessionClosed, 1),
            (Reason::ExpectationTornDown, 1),
            (Reason::SessionOpened, 1),
        ]);
        assert!(bench.expectations()?.is_empty());
        // Nothing is shifted any more, and nobody was greeted.
        bench.unchanged(&again.egress(0, SENT));
        bench.counted(&[(Reason::NotGreeted, 1)]);
        bench.unchanged(&again.ingress(0, "220 hello\r\n"));
        bench.becomes(&again.egress(23, SENT), &again.egress(23, WIRE));
        Ok(())
    });
}

/// Even if there can be no new session, the old one is over.
#[test]
fn a_new_connection_without_help() {
    bench(|bench| {
        let flow = Flow::client_inside(1);
        let mut other = flow;
        other.inside.set_port(1);
        other.outside.set_port(1);
        bench.configure(|interface| interface.client_limit = 2)?;
        for flow in [&flow, &other] {
            bench.track(flow)?;
            bench.shake_hands(flow);
        }
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.configure(|interface| interface.client_limit = 1)?;
        bench.forget();
        let again = Flow {
            egress_start: flow.egress_start.wrapping_add(0x3456_789a),
            ..flow
        };
        bench.shake_hands(&again);
        bench.counted(&[
            (Reason::SessionClosed, 1),
            (Reason::ExpectationTornDown, 1),
            (Reason::ClientLimit, 1),
        ]);
        let sessions = bench.datapath.maps.sessions.entries()?;
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions[0].0, other.key());
        bench.configure(|_| {})
    });
}

/// A SYN alone, spoofed or refused by its receiver, changes nothing.
#[test]
fn a_syn_in_the_middle() {
    from_handshake(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        let mut syn = flow.egress(77_777, "").flags(flags::SYN);
        syn.acknowledgment = 0;
        bench.unchanged(&syn);
        bench.becomes(&flow.egress(23, "LIST\r\n"), &flow.egress(26, "LIST\r\n"));
        bench.becomes(&flow.peer_acknowledges(32), &flow.peer_acknowledges(29));
        Ok(())
    });
}

/// A client may have so many sessions, and one more when one has ended.
#[test]
fn a_limit_per_client() {
    bench(|bench| {
        bench.configure(|interface| interface.client_limit = 2)?;
        let flow = |port: u16| {
            let mut flow = Flow::client_inside(1).addresses("10.99.0.2", "203.0.113.1");
            flow.inside.set_port(port);
            flow.outside.set_port(port);
            flow
        };
        for port in [1001, 1002, 1003] {
            bench.track(&flow(port))?;
            bench.shake_hands(&flow(port));
        }
        bench.counted(&[(Reason::SessionOpened, 2), (Reason::ClientLimit, 1)]);
        bench.unchanged(&flow(1001).inside_acknowledges(0, 0).flags(flags::RST));
        bench.counted(&[(Reason::SessionClosed, 1)]);
        bench.shake_hands(&flow(1003));
        bench.counted(&[(Reason::SessionOpened, 1)]);
        for port in [1002, 1003] {
            bench.unchanged(&flow(port).inside_acknowledges(0, 0).flags(flags::RST));
        }
        bench.configure(|_| {})
    });
}

/// What is encrypted is not read, but its numbers are translated.
#[test]
fn encryption() {
    for (command, reply) in [
        ("AUTH TLS\r\n", "234 go on\r\n"),
        ("AUTH GSSAPI\r\n", "334 go on\r\n"),
    ] {
        bench_with(Flow::client_inside, |bench, flow| {
            bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
            bench.unchanged(&flow.ingress(0, "200 ok\r\n"));
            bench.becomes(&flow.egress(23, command), &flow.egress(26, command));
            let sent = 23 + u32::try_from(command.len())?;
            bench.counted(&REWRITTEN);
            bench.unchanged(&flow.ingress(8, reply));
            bench.counted(&[(Reason::Opaque, 1), (Reason::ExpectationTornDown, 1)]);
            assert!(bench.expectations()?.is_empty());
            let session = bench.session(flow)?;
            assert_ne!(session.flags & session_flags::OPAQUE, 0);

            // It may look like anything, and come in any order.
            for offset in [0, 1000, 500, 23, 0] {
                let (from, to) = (sent + offset, sent + offset + 3);
                bench.becomes(&flow.egress(from, SENT), &flow.egress(to, SENT));
            }
            bench.unchanged(&flow.ingress(5000, "227 ok (198,51,100,7,9,9)\r\n"));
            bench.unchanged(&flow.ingress(19, "500 no\r\n"));
            let wire = flow.peer_acknowledges(sent + 1000 + 3);
            bench.becomes(&wire, &flow.peer_acknowledges(sent + 1000));
            // A late retransmission from before still has its text.
            bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
            bench.counted(&[(Reason::RewriteRepeated, 1)]);
            Ok(())
        });
    }
}

/// It was asked for, and refused; or it was not asked for.
#[test]
fn no_encryption() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "AUTH TLS\r\n"));
        bench.unchanged(&flow.ingress(0, "500 what?\r\n"));
        bench.becomes(&flow.egress(10, SENT), &flow.egress(10, WIRE));
        bench.open(flow)?;
        bench.unchanged(&flow.egress(0, "NOOP\r\n"));
        bench.unchanged(&flow.ingress(0, "234 go on\r\n"));
        bench.becomes(&flow.egress(6, SENT), &flow.egress(6, WIRE));
        Ok(())
    });
}

/// The server refuses: nothing is awaited any more.
#[test]
fn an_announcement_that_the_server_refuses() {
    let replies = [
        "500 Illegal PORT command.\r\n",
        "501 no\r\n",
        "421 going down\r\n",
        "500-no\r\n 200 maybe\r\n500 no\r\n",
        "150 wait\r\n530 no\r\n",
    ];
    bench_with(Flow::client_inside, |bench, flow| {
        for reply in replies {
            bench.open(flow)?;
            bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
            bench.counted(&REWRITTEN);
            let reply = flow
                .ingress(0, reply)
                .acknowledgment(flow.egress_start.wrapping_add(26));
            let expected = reply
                .clone()
                .acknowledgment(flow.egress_start.wrapping_add(23));
            bench.becomes(&reply, &expected);
            bench.counted(&[(Reason::ExpectationTornDown, 1)]);
            assert!(bench.expectations()?.is_empty());
        }
        Ok(())
    });
}

/// An answer to something else says nothing about the announcement.
#[test]
fn answers_to_other_commands() {
    bench_with(Flow::client_inside, |bench, flow| {
        // Accepted; then a transfer fails.
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.unchanged(&flow.ingress(0, "200 ok\r\n"));
        bench.becomes(
            &flow.egress(23, "RETR x\r\n"),
            &flow.egress(26, "RETR x\r\n"),
        );
        bench.unchanged(&flow.ingress(8, "550 no\r\n"));
        bench.counted(&REWRITTEN);
        assert_eq!(bench.expectations()?.len(), 1);
        // Pipelined: the answers come in the order of the commands.
        bench.open(flow)?;
        let lines = format!("STAT x\r\n{SENT}");
        let wire = format!("STAT x\r\n{WIRE}");
        bench.becomes(&flow.egress(0, lines), &flow.egress(0, wire));
        bench.unchanged(&flow.ingress(0, "450 no\r\n"));
        assert_eq!(bench.expectations()?.len(), 1);
        bench.unchanged(&flow.ingress(8, "500 no\r\n"));
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}

/// Both sides have to close, each with a FIN that is in its place.
#[test]
fn closed_by_both_sides() {
    let fin = flags::FIN | flags::ACK;
    bench_with(Flow::client_inside, |bench, flow| {
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.counted(&REWRITTEN);
        // Ahead of something, whose length on the wire is not known: it comes again.
        bench.dropped(&flow.egress(200, "").flags(fin));
        bench.counted(&[(Reason::OutOfOrder, 1)]);
        // In the other direction nothing changes its length; but one that got through
        // would not come again, and the session would never end.
        bench.dropped(&flow.ingress(200, "").flags(fin));
        bench.counted(&[(Reason::OutOfOrder, 1)]);
        bench.unchanged(&flow.ingress(0, "221 bye\r\n").flags(fin));
        bench.counted(&[]);
        assert_eq!(bench.expectations()?.len(), 1);
        bench.becomes(
            &flow.egress(23, "QUIT\r\n").flags(fin),
            &flow.egress(26, "QUIT\r\n").flags(fin),
        );
        bench.counted(&[(Reason::SessionClosed, 1), (Reason::ExpectationTornDown, 1)]);
        let session = bench.session(flow)?;
        assert_ne!(session.flags & session_flags::CLOSED, 0);
        // Late segments are translated still.
        bench.becomes(
            &flow.egress(23, "QUIT\r\n").flags(fin),
            &flow.egress(26, "QUIT\r\n").flags(fin),
        );
        bench.becomes(&flow.peer_acknowledges(33), &flow.peer_acknowledges(30));
        bench.counted(&[]);
        Ok(())
    });
}

#[test]
fn reset() {
    let reset = flags::RST | flags::ACK;
    bench_with(Flow::client_inside, |bench, flow| {
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.counted(&REWRITTEN);
        // A guess (RFC 5961 section 3.2).
        for offset in [1, 17, u32::MAX] {
            bench.unchanged(&flow.ingress(offset, "").flags(reset));
        }
        bench.counted(&[]);
        assert_eq!(bench.expectations()?.len(), 1);
        bench.unchanged(&flow.ingress(0, "").flags(reset));
        bench.counted(&[(Reason::SessionClosed, 1), (Reason::ExpectationTornDown, 1)]);
        assert!(bench.expectations()?.is_empty());

        bench.open(flow)?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.counted(&REWRITTEN);
        bench.becomes(
            &flow.egress(23, "").flags(reset),
            &flow.egress(26, "").flags(reset),
        );
        bench.counted(&[(Reason::SessionClosed, 1), (Reason::ExpectationTornDown, 1)]);
        Ok(())
    });
}

/// The next user of the connection inherits nothing.
#[test]
fn reinitialized() {
    bench_with(Flow::client_inside, |bench, flow| {
        for command in ["REIN\r\n", "HOST x\r\n"] {
            bench.open(flow)?;
            bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
            bench.counted(&REWRITTEN);
            bench.becomes(&flow.egress(23, command), &flow.egress(26, command));
            bench.counted(&[(Reason::ExpectationReplaced, 1)]);
            assert!(bench.expectations()?.is_empty());
        }
        Ok(())
    });
}

/// The gate knows a few control ports by heart, and asks for others.
#[test]
fn any_number_of_control_ports() {
    const PORTS: [u16; 6] = [2121, 1, 65535, 8021, 990, 32768];

    fn check(bench: &mut Bench, flow: &Flow, open: &[u16]) -> Result<()> {
        for port in [21].iter().chain(&PORTS) {
            let flow = flow.peer_port(*port);
            bench.open(&flow)?;
            let (sent, wire) = (flow.egress(0, SENT), flow.egress(0, WIRE));
            if *port == 21 || open.contains(port) {
                bench.becomes(&sent, &wire);
            } else {
                bench.unchanged(&sent);
            }
        }
        Ok(())
    }

    bench_with(Flow::client_inside, |bench, flow| {
        for count in 1..=PORTS.len() {
            bench.open_port(PORTS[count - 1], true)?;
            check(bench, flow, &PORTS[..count])?;
        }
        for count in 1..=PORTS.len() {
            bench.open_port(PORTS[count - 1], false)?;
            check(bench, flow, &PORTS[count..])?;
        }
        Ok(())
    });
}

/// A server on a port that nobody told us of.
fn detected(body: impl Fn(&mut Bench, &Flow) -> Result<()> + Sync) {
    bench(|bench| {
        bench.configure(|interface| interface.flags = interface_flags::DETECT)?;
        bench
            .datapath
            .maps
            .control_summary
            .store(&[DETECT_MARK, 21].into_iter().collect())?;
        for start in STARTS {
            let flow = Flow::client_inside(start).peer_port(2121);
            bench.clear()?;
            bench.shell("conntrack -F")?;
            bench.track(&flow)?;
            bench.shake_hands(&flow);
            bench.counted(&[]);
            body(bench, &flow)?;
        }
        bench.configure(|_| {})
    });
}

#[test]
fn a_server_on_another_port() {
    detected(|bench, flow| {
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.unchanged(&flow.egress(0, "USER x\r\n"));
        bench.counted(&[(Reason::SessionOpened, 1), (Reason::SessionDetected, 1)]);
        bench.becomes(&flow.egress(8, SENT), &flow.egress(8, WIRE));
        bench.counted(&REWRITTEN);
        bench.becomes(&flow.peer_acknowledges(34), &flow.peer_acknowledges(31));
        Ok(())
    });
}

/// The ports of a detected session are used again: it has to be detected again.
#[test]
fn another_connection_with_the_ports_of_a_detected_one() {
    detected(|bench, flow| {
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.unchanged(&flow.egress(0, "USER x\r\n"));
        let again = Flow {
            egress_start: flow.egress_start.wrapping_add(0x3456_789a),
            ..*flow
        };
        bench.shake_hands(&again);
        assert!(bench.datapath.maps.sessions.entries()?.is_empty());
        bench.forget();
        bench.unchanged(&again.ingress(0, "220 mail\r\n"));
        bench.unchanged(&again.egress(0, "EHLO x\r\n"));
        bench.unchanged(&again.egress(8, SENT));
        assert!(bench.datapath.maps.sessions.entries()?.is_empty());
        // And once more, with FTP.
        let last = Flow {
            egress_start: flow.egress_start.wrapping_add(0x789a_3456),
            ..*flow
        };
        bench.shake_hands(&last);
        bench.unchanged(&last.ingress(0, "220 hello\r\n"));
        bench.unchanged(&last.egress(0, "USER x\r\n"));
        bench.becomes(&last.egress(8, SENT), &last.egress(8, WIRE));
        Ok(())
    });
}

/// SMTP greets like FTP, but its client does not answer like one; a page can make
/// a browser announce something, but not begin with a login.
#[test]
fn another_protocol_on_another_port() {
    for (greeting, first) in [
        ("220 mail\r\n", "EHLO x\r\n"),
        ("220 mail\r\n", SENT),
        ("220 mail\r\n", "PORT 10,0"),
        ("SSH-2.0-x\r\n", "USER x\r\n"),
        ("22", "USER x\r\n"),
    ] {
        detected(|bench, flow| {
            bench.unchanged(&flow.ingress(0, greeting));
            bench.unchanged(&flow.egress(0, first));
            let offset = u32::try_from(first.len())?;
            bench.unchanged(&flow.egress(offset, SENT));
            bench.unchanged(&flow.egress(0, first));
            assert!(bench.expectations()?.is_empty());
            assert!(bench.datapath.maps.sessions.entries()?.is_empty());
            Ok(())
        });
    }
}
