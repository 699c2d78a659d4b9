//! Connections that can not be read any more: encrypted ones, and those that are
//! not FTP. No byte of them may get lost.

use anyhow::Result;
use ftp_helper_common::{grammar::Kind, reason::Reason, session::flags as session_flags};
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::Flow,
};

/// The client asked for encryption.
fn asked(bench: &mut Bench, flow: &Flow) -> Result<()> {
    let mut session = flow.session();
    session.outstanding = Kind::AUTH.0;
    session.commands = 1;
    session.outstanding_at = 1;
    bench.set_session(flow, &session)
}

/// A client that is not done with its line when the server's answer comes.
#[test]
fn a_held_line_meets_encryption() {
    bench_with(Flow::client_inside, |bench, flow| {
        asked(bench, flow)?;
        // Of `PORT 10,0` the numbers are held.
        bench.becomes(&flow.egress(0, "PORT 10,0"), &flow.egress(0, "PORT "));
        bench.unchanged(&flow.ingress(0, "234 go\r\n"));
        assert!(bench.session(flow)?.flags & session_flags::OPAQUE != 0);
        // They go out in front of what comes next, also when that is repeated.
        let next = flow.egress(9, "\x16\x03\x01abcdef");
        for _ in 0..2 {
            bench.becomes(&next, &flow.egress(5, "10,0\x16\x03\x01abcdef"));
        }
        bench.unchanged(&flow.egress(18, "more"));
        Ok(())
    });
}

/// The answer and the start of another one in the same segment.
#[test]
fn nothing_is_held_behind_the_answer() {
    bench_with(Flow::server_inside, |bench, flow| {
        asked(bench, flow)?;
        bench.unchanged(&flow.egress(0, "234 ok\r\n227 10,0"));
        bench.unchanged(&flow.egress(16, "\x16\x03\x01"));
        Ok(())
    });
}

/// A page made a browser send this; none of its lines is one of FTP's.
#[test]
fn http_is_not_helped() {
    bench_with(Flow::client_inside, |bench, flow| {
        let request = "POST / HTTP/1.1\r\nHost: ftp.example.net\r\n\r\n";
        bench.unchanged(&flow.egress(0, request));
        bench.counted(&[(Reason::NotFtp, 1)]);
        let end = u32::try_from(request.len())?;
        bench.unchanged(&flow.egress(end, "PORT 10,0,0,2,195,149\r\n"));
        bench.counted(&[]);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}

/// The same in one segment.
#[test]
fn http_and_an_announcement_in_one_segment() {
    bench_with(Flow::client_inside, |bench, flow| {
        let segment = flow.egress(0, "POST / HTTP/1.1\r\n\r\nPORT 10,0,0,2,195,149\r\n");
        bench.unchanged(&segment);
        assert_eq!(bench.count(Reason::NotFtp)?, 1);
        assert!(bench.expectations()?.is_empty());
        Ok(())
    });
}
