//! What a session remembers of its control lines: verbs, reply codes, endpoints
//! and decisions; never the argument of another line.

use anyhow::Result;
use ftp_helper_common::{
    journal::{ENTRIES, Entry, origin},
    reason::Reason,
};
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::{Flow, address, endpoint},
    segment::flags,
};
use zerocopy::IntoBytes as _;

const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";

/// An entry in short: `>` for the client, `<` for the server, `*` for neither.
fn short(entry: &Entry) -> String {
    let from = match entry.origin {
        origin::CLIENT => '>',
        origin::SERVER => '<',
        origin::OTHER => '*',
        other => panic!("origin {other}"),
    };
    let mut words = vec![from.to_string()];
    let letters = entry.verb.to_be_bytes();
    let verb = String::from_utf8_lossy(&letters).replace('\0', "");
    if !verb.is_empty() {
        words.push(verb);
    }
    if entry.code != 0 {
        words.push(entry.code.to_string());
    }
    words.extend(entry.reason().map(|reason| reason.word().to_owned()));
    words.join(" ")
}

fn journal(bench: &Bench, flow: &Flow) -> Result<Vec<String>> {
    Ok(bench.session(flow)?.journal.iter().map(short).collect())
}

#[test]
fn lines_decisions_and_the_data_connection_in_their_order() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.unchanged(&flow.egress(0, "USER joe\r\nPASS hunter2\r\n"));
        bench.unchanged(&flow.ingress(0, "331 who\r\n230-hello\r\n 230 not yet\r\n230 in\r\n"));
        bench.becomes(&flow.egress(24, SENT), &flow.egress(24, WIRE));
        let reply = flow
            .ingress(42, "200 ok\r\n")
            .acknowledgment(flow.egress_start.wrapping_add(24));
        bench.unchanged(&reply);
        let mut syn = flow.ingress(12_345, "").flags(flags::SYN).acknowledgment(0);
        syn.source = address("198.51.100.7:20");
        syn.destination = address("203.0.113.1:50069");
        bench.unchanged(&syn);
        assert_eq!(
            journal(bench, flow)?,
            [
                "> USER",
                "> PASS",
                "< 331",
                "< 230",
                "> PORT announcement_rewritten",
                "< 200",
                "* expectation_matched",
            ]
        );
        let journal = bench.session(flow)?.journal;
        let rewritten = journal.entries[4];
        assert_eq!(rewritten.inside, endpoint(address("10.0.0.2:50069")));
        assert_eq!(rewritten.outside, endpoint(address("203.0.113.1:50069")));
        let times: Vec<_> = journal
            .iter()
            .map(|entry| entry.time.nanoseconds())
            .collect();
        assert!(times.is_sorted(), "{times:?}");
        Ok(())
    });
}

#[test]
fn refusals_name_what_was_announced() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "PORT 10,0,0,2,0,80\r\nPORT 1,2,3\r\nLISTEN 5\r\n"));
        assert_eq!(
            journal(bench, flow)?,
            ["> PORT low_port", "> PORT bad_syntax", ">"]
        );
        let refused = bench.session(flow)?.journal.entries[0];
        assert_eq!(refused.reason(), Some(Reason::LowPort));
        assert_eq!(refused.inside, endpoint(address("10.0.0.2:80")));
        Ok(())
    });
}

#[test]
fn no_argument_is_kept() {
    let secrets = ["hunter2", "zugang99", "secret-file", "/home/joe"];
    bench_with(Flow::client_inside, |bench, flow| {
        let lines = "PASS hunter2\r\nACCT zugang99\r\nRETR secret-file\r\nhunter2 hunter2\r\n";
        bench.unchanged(&flow.egress(0, lines));
        bench.unchanged(&flow.ingress(0, "257 \"/home/joe\"\r\n"));
        let session = bench.session(flow)?;
        let bytes = session.journal.as_bytes();
        for secret in secrets {
            let found = bytes.windows(4).any(|part| {
                let lower: Vec<u8> = part.iter().rev().map(u8::to_ascii_lowercase).collect();
                let start = &secret.as_bytes()[..4];
                part.eq_ignore_ascii_case(start) || lower == start
            });
            assert!(!found, "{secret}");
        }
        Ok(())
    });
}

#[test]
fn only_the_newest_lines_are_kept() {
    bench_with(Flow::client_inside, |bench, flow| {
        let mut offset = 0;
        for number in 0..ENTRIES + 5 {
            let line = if number == 20 { "QUIT\r\n" } else { "NOOP\r\n" };
            bench.unchanged(&flow.egress(offset, line));
            offset += 6;
        }
        let journal = journal(bench, flow)?;
        assert_eq!(journal.len(), ENTRIES);
        assert_eq!(journal.last().map(String::as_str), Some("> QUIT"));
        Ok(())
    });
}

/// A retransmission is no second line.
#[test]
fn a_line_that_comes_twice_is_noted_once() {
    bench_with(Flow::client_inside, |bench, flow| {
        for _ in 0..2 {
            bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        }
        assert_eq!(journal(bench, flow)?, ["> PORT announcement_rewritten"]);
        Ok(())
    });
}
