//! Announcements that are not helped: they go on as they are, are counted, and
//! open nothing.

use ftp_helper_common::{
    interface::flags as interface_flags,
    reason::Reason,
    session::{Session, flags as session_flags},
};
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::{Flow, address, endpoint},
    segment::Segment,
};

/// The segment goes on as it is, for this reason, and the session remembers it.
#[track_caller]
fn refused(bench: &mut Bench, flow: &Flow, segment: &Segment, reason: Reason) {
    let before = bench.session(flow).expect("the session is there");
    bench.forget();
    bench.unchanged(segment);
    let events: Vec<_> = bench.events().iter().map(|event| event.reason).collect();
    assert_eq!(events, [reason as u8], "what was reported");
    bench.counted(&[(reason, 1)]);
    let after = bench.session(flow).expect("the session is there");
    assert_eq!(after.refused, before.refused + 1);
    assert_eq!(after.last_refusal, reason as u8 + 1);
    assert_eq!(after.helped, before.helped);
    assert!(bench.expectations().expect("a map").is_empty());
    // Nothing is shifted afterwards.
    assert_eq!(after.rewrites.done, 0);
}

/// Each of the lines is the first of a session's client, and is refused.
fn each(flow: impl Fn(u32) -> Flow + Sync, reason: Reason, lines: &[&str]) {
    bench_with(flow, |bench, flow| {
        for line in lines {
            bench.open(flow)?;
            refused(bench, flow, &flow.egress(0, line), reason);
        }
        Ok(())
    });
}

#[test]
fn third_parties() {
    each(
        Flow::client_inside,
        Reason::ThirdParty,
        &[
            "PORT 10,0,0,3,195,149\r\n",
            "PORT 203,0,113,2,195,149\r\n",
            // The server itself, any address, and our own machine.
            "PORT 198,51,100,7,195,149\r\n",
            "PORT 0,0,0,0,195,149\r\n",
            "PORT 127,0,0,1,195,149\r\n",
            "EPRT |1|10.0.0.3|50069|\r\n",
        ],
    );
    each(
        Flow::client_inside_v6,
        Reason::ThirdParty,
        &["EPRT |2|fd00::3|50069|\r\n", "EPRT |2|::|50069|\r\n"],
    );
}

/// What the event says is what was announced.
#[test]
fn a_refusal_is_reported_with_its_endpoint() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "PORT 192,0,2,55,195,149\r\n"));
        let events = bench.events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].reason, Reason::ThirdParty as u8);
        assert_eq!(events[0].session, flow.key());
        assert_eq!(events[0].inside, endpoint(address("192.0.2.55:50069")));
        Ok(())
    });
}

#[test]
fn ports_below_1024() {
    each(
        Flow::client_inside,
        Reason::LowPort,
        &[
            "PORT 10,0,0,2,0,1\r\n",
            "PORT 10,0,0,2,0,22\r\n",
            "PORT 10,0,0,2,3,255\r\n",
            "EPRT |1|10.0.0.2|1023|\r\n",
        ],
    );
}

#[test]
fn ports_that_are_none() {
    each(
        Flow::client_inside,
        Reason::BadPort,
        &[
            "PORT 10,0,0,2,0,0\r\n",
            "EPRT |1|10.0.0.2|0|\r\n",
            "EPRT |1|10.0.0.2|65536|\r\n",
            "EPRT |1|10.0.0.2|131093|\r\n",
        ],
    );
}

#[test]
fn lines_that_are_no_announcement() {
    each(
        Flow::client_inside,
        Reason::BadSyntax,
        &[
            "PORT\r\n",
            "PORT 10,0,0,2,195\r\n",
            "PORT 10,0,0,2,195,149,1\r\n",
            "PORT 10,0,0,2,195,256\r\n",
            "PORT 10,0,0,2,195,1490\r\n",
            "PORT 10,0,0,2,,149\r\n",
            "PORT 10.0.0.2,195,149\r\n",
            "PORT 10,0,0,2,195,149 x\r\n",
            "PORT 10,0,0,2,195,149;\r\n",
            "PORT -10,0,0,2,195,149\r\n",
            "PORT 0x0a,0,0,2,195,149\r\n",
            "EPRT |1|10.0.0.2|50069\r\n",
            "EPRT |1|10,0,0,2|50069|\r\n",
            "EPRT 1|10.0.0.2|50069|\r\n",
            "EPRT |1|10.0.0.2|50069|x\r\n",
            "EPRT\r\n",
        ],
    );
}

#[test]
fn another_family() {
    each(
        Flow::client_inside,
        Reason::WrongFamily,
        &["EPRT |2|fd00::2|50069|\r\n", "EPRT |3|10.0.0.2|50069|\r\n"],
    );
    each(
        Flow::client_inside_v6,
        Reason::WrongFamily,
        &["PORT 10,0,0,2,195,149\r\n", "EPRT |1|10.0.0.2|50069|\r\n"],
    );
}

/// The session as a test wants it.
fn open(bench: &mut Bench, flow: &Flow, change: impl FnOnce(&mut Session)) {
    let mut session = flow.session();
    change(&mut session);
    bench.open(flow).expect("the session can be stored");
    bench
        .set_session(flow, &session)
        .expect("the session can be stored");
}

#[test]
fn before_the_greeting() {
    bench_with(Flow::client_inside, |bench, flow| {
        open(bench, flow, |session| {
            session.flags &= !session_flags::GREETED;
        });
        let line = "PORT 10,0,0,2,195,149\r\n";
        refused(bench, flow, &flow.egress(0, line), Reason::NotGreeted);
        // Neither of these is a greeting.
        let not_yet = "120 in a minute\r\n421 no\r\n";
        bench.unchanged(&flow.ingress(0, not_yet));
        refused(bench, flow, &flow.egress(23, line), Reason::NotGreeted);
        let offset = u32::try_from(not_yet.len())?;
        bench.unchanged(&flow.ingress(offset, "220 hello\r\n"));
        let expected = flow.egress(46, "PORT 203,0,113,1,195,149\r\n");
        bench.becomes(&flow.egress(46, line), &expected);
        Ok(())
    });
}

/// A greeting of several lines is one at its end.
#[test]
fn a_greeting_of_several_lines() {
    bench_with(Flow::client_inside, |bench, flow| {
        open(bench, flow, |session| {
            session.flags &= !session_flags::GREETED;
        });
        let line = "PORT 10,0,0,2,195,149\r\n";
        bench.unchanged(&flow.ingress(0, "220-hello\r\n220-and\r\n 220 \r\n"));
        refused(bench, flow, &flow.egress(0, line), Reason::NotGreeted);
        bench.unchanged(&flow.ingress(27, "220 welcome\r\n"));
        let expected = flow.egress(23, "PORT 203,0,113,1,195,149\r\n");
        bench.becomes(&flow.egress(23, line), &expected);
        Ok(())
    });
}

#[test]
fn before_the_login() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.configure(|interface| interface.flags = interface_flags::REQUIRE_LOGIN)?;
        let line = "PORT 10,0,0,2,195,149\r\n";
        refused(bench, flow, &flow.egress(0, line), Reason::NotLoggedIn);
        bench.unchanged(&flow.ingress(0, "331 who?\r\n230 welcome\r\n"));
        let expected = flow.egress(23, "PORT 203,0,113,1,195,149\r\n");
        bench.becomes(&flow.egress(23, line), &expected);
        // The next user has to log in again.
        bench.becomes(&flow.egress(46, "REIN\r\n"), &flow.egress(49, "REIN\r\n"));
        bench.counted(&[
            (Reason::AnnouncementRewritten, 1),
            (Reason::ExpectationCreated, 1),
            (Reason::ExpectationReplaced, 1),
        ]);
        bench.becomes(&flow.egress(52, line), &flow.egress(55, line));
        bench.counted(&[(Reason::NotLoggedIn, 1)]);
        bench.configure(|_| {})
    });
}

/// A server that knows no `REIN` leaves its user logged in.
#[test]
fn before_the_next_login() {
    for (answer, is_logged_in) in [("502 no\r\n", true), ("220 go\r\n", false)] {
        bench_with(Flow::client_inside, |bench, flow| {
            bench.configure(|interface| interface.flags = interface_flags::REQUIRE_LOGIN)?;
            bench.unchanged(&flow.ingress(0, "230 welcome\r\n"));
            bench.unchanged(&flow.egress(0, "REIN\r\n"));
            bench.unchanged(&flow.ingress(13, answer));
            let line = "PORT 10,0,0,2,195,149\r\n";
            if is_logged_in {
                let expected = flow.egress(6, "PORT 203,0,113,1,195,149\r\n");
                bench.becomes(&flow.egress(6, line), &expected);
            } else {
                refused(bench, flow, &flow.egress(6, line), Reason::NotLoggedIn);
            }
            bench.configure(|_| {})
        });
    }
}

#[test]
fn replies_that_nobody_asked_for() {
    let replies = [
        "227 Entering Passive Mode (10,0,0,3,195,149).\r\n",
        "229 Entering Extended Passive Mode (|||50069|)\r\n",
    ];
    bench_with(Flow::server_inside, |bench, flow| {
        for reply in replies {
            bench.open(flow)?;
            refused(bench, flow, &flow.egress(0, reply), Reason::Unsolicited);
            // Something else was asked for.
            bench.open(flow)?;
            bench.unchanged(&flow.ingress(0, "LIST\r\n"));
            refused(bench, flow, &flow.egress(0, reply), Reason::Unsolicited);
            // It was asked for, and answered.
            bench.open(flow)?;
            bench.unchanged(&flow.ingress(0, "PASV\r\n"));
            bench.unchanged(&flow.egress(0, "425 no\r\n"));
            refused(bench, flow, &flow.egress(8, reply), Reason::Unsolicited);
            // It was asked for twice, and answered the first time only.
            bench.open(flow)?;
            bench.unchanged(&flow.ingress(0, "PASV\r\nNOOP\r\n"));
            bench.unchanged(&flow.egress(0, "502 no\r\n"));
            refused(bench, flow, &flow.egress(8, reply), Reason::Unsolicited);
        }
        Ok(())
    });
    // A server outside gets no hole in front of an inside client either.
    bench_with(Flow::client_inside, |bench, flow| {
        let reply = "227 Entering Passive Mode (198,51,100,7,195,149).\r\n";
        refused(bench, flow, &flow.ingress(0, reply), Reason::Unsolicited);
        Ok(())
    });
}

/// Either code answers either command.
#[test]
fn replies_that_somebody_asked_for() {
    bench_with(Flow::server_inside, |bench, flow| {
        for command in ["PASV\r\n", "pasv\r\n", "EPSV\r\n", "EPSV 1\r\n"] {
            bench.open(flow)?;
            bench.unchanged(&flow.ingress(0, command));
            let reply = flow.egress(0, "227 = 10,0,0,3,195,149\r\n");
            bench.becomes(&reply, &flow.egress(0, "227 = 203,0,113,1,195,149\r\n"));
        }
        Ok(())
    });
}

#[test]
fn replies_with_wrong_endpoints() {
    let cases = [
        ("227 ok (10,0,0,4,195,149)\r\n", Reason::ThirdParty),
        ("227 ok (10,0,0,3,0,22)\r\n", Reason::LowPort),
        ("227 ok (10,0,0,3,0,0)\r\n", Reason::BadPort),
        ("227 ok (0,0,0,0,0,0)\r\n", Reason::BadPort),
        ("227 ok (10,0,0,3,195)\r\n", Reason::BadSyntax),
        ("227 ok (10,0,0,3,195,256)\r\n", Reason::BadSyntax),
        ("229 ok (|||22|)\r\n", Reason::LowPort),
        ("229 ok (|||0|)\r\n", Reason::BadPort),
        ("229 ok (|||65536|)\r\n", Reason::BadPort),
        ("229 ok (||10.0.0.3|50069|)\r\n", Reason::BadSyntax),
        ("229 ok (50069)\r\n", Reason::BadSyntax),
    ];
    bench_with(Flow::server_inside, |bench, flow| {
        for (reply, reason) in cases {
            bench.open(flow)?;
            bench.unchanged(&flow.ingress(0, "PASV\r\n"));
            refused(bench, flow, &flow.egress(0, reply), reason);
        }
        Ok(())
    });
}

/// A reply of several lines says nothing before its last line.
#[test]
fn an_endpoint_inside_of_a_long_reply() {
    bench_with(Flow::server_inside, |bench, flow| {
        bench.unchanged(&flow.ingress(0, "PASV\r\n"));
        let lines = "211-227 is\r\n227 ok (10,0,0,3,195,149)\r\n\
                     227 ok (10,0,0,3,195,149)\r\n211 end\r\n";
        bench.unchanged(&flow.egress(0, lines));
        bench.counted(&[]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}

/// RFC 2428 section 4: the client promised to use nothing else.
#[test]
fn after_epsv_all() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "EPSV ALL\r\n"));
        bench.unchanged(&flow.ingress(0, "200 ok\r\n"));
        let line = "PORT 10,0,0,2,195,149\r\n";
        refused(bench, flow, &flow.egress(10, line), Reason::EpsvAll);
        // A server that did not understand it holds nobody to it.
        bench.open(flow)?;
        bench.unchanged(&flow.egress(0, "EPSV ALL\r\n"));
        bench.unchanged(&flow.ingress(0, "501 what?\r\n"));
        let expected = flow.egress(10, "PORT 203,0,113,1,195,149\r\n");
        bench.becomes(&flow.egress(10, line), &expected);
        Ok(())
    });
}

#[test]
fn no_port_is_free() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.reserve([50069, 2048])?;
        bench.configure(|interface| (interface.first_port, interface.last_port) = (2048, 2048))?;
        let line = "PORT 10,0,0,2,195,149\r\n";
        refused(bench, flow, &flow.egress(0, line), Reason::NoFreePort);
        bench.reserve([])?;
        bench.configure(|_| {})
    });
}

/// Known to be beyond help.
#[test]
fn long_addresses() {
    bench_with(Flow::client_inside, |bench, flow| {
        for line in ["LPRT 4,4,10,0,0,2,2,195,149\r\n", "LPSV\r\n"] {
            bench.open(flow)?;
            bench.unchanged(&flow.egress(0, line));
            bench.counted(&[(Reason::Unsupported, 1)]);
            assert!(bench.expectations()?.is_empty());
        }
        Ok(())
    });
}

/// Each side is read in its own language: what it says in the other one means
/// nothing.
#[test]
fn the_wrong_side() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "PASV\r\n227 ok (10,0,0,2,195,149)\r\n"));
        bench.unchanged(&flow.ingress(0, "PORT 198,51,100,7,195,149\r\n"));
        bench.counted(&[]);
        Ok(())
    });
    bench_with(Flow::server_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "PORT 10,0,0,3,195,149\r\n"));
        bench.counted(&[]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}

/// A line start is a place in the stream, never the start of a packet.
#[test]
fn a_command_at_the_start_of_a_packet_but_not_of_a_line() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "USER x"));
        bench.unchanged(&flow.egress(6, "PORT 10,0,0,2,195,149\r\n"));
        bench.unchanged(&flow.egress(29, "USER PORT 10,0,0,2,195,149\r\n"));
        bench.counted(&[]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}

/// An announcement in the other direction opens nothing here: the inside host
/// opens the connection.
#[test]
fn announcements_of_the_peer() {
    bench_with(Flow::server_inside, |bench, flow| {
        bench.unchanged(&flow.ingress(0, "PORT 198,51,100,7,195,149\r\n"));
        bench.counted(&[(Reason::AnnouncementAccepted, 1)]);
        bench.unchanged(&flow.ingress(27, "PORT 192,0,2,55,195,149\r\n"));
        bench.counted(&[(Reason::ThirdParty, 1)]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "PASV\r\n"));
        bench.unchanged(&flow.ingress(0, "227 ok (198,51,100,7,195,149)\r\n"));
        bench.counted(&[(Reason::AnnouncementAccepted, 1)]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}
