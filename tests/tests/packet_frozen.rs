//! While the agent moves the tables, nothing may change them and nothing may get
//! past them: who is helped has to come again.

use ftp_helper_common::{
    interface::{DETECT_MARK, Interface, flags as interface_flags},
    reason::Reason,
};
use ftp_helper_tests::packets::{
    bench::bench_with,
    flow::{Flow, address},
    segment::{Segment, flags},
};

const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";

fn freeze(interface: &mut Interface) {
    interface.flags |= interface_flags::FROZEN;
}

/// The first segment of a data connection that the peer opens.
fn syn(flow: &Flow, destination: &str) -> Segment {
    let mut syn = flow.ingress(12_345, "").flags(flags::SYN).acknowledgment(0);
    syn.source = address("198.51.100.7:20");
    syn.destination = address(destination);
    syn
}

#[test]
fn control_connections_wait() {
    bench_with(Flow::client_inside, |bench, flow| {
        let before = bench.session(flow)?;
        bench.configure(freeze)?;
        let line = flow.egress(0, SENT);
        bench.dropped(&line);
        bench.dropped(&flow.ingress(0, "200 yes\r\n"));
        bench.dropped(&flow.egress(0, "").flags(flags::FIN | flags::ACK));
        bench.dropped(&flow.egress(0, "").flags(flags::RST));
        assert!(bench.session(flow)? == before, "the session has changed");
        assert!(bench.expectations()?.is_empty());
        bench.counted(&[]);
        assert!(bench.events().is_empty());

        // The same segment, as its sender repeats it.
        bench.configure(|_| {})?;
        bench.becomes(&line, &flow.egress(0, WIRE));
        Ok(())
    });
}

#[test]
fn awaited_connections_wait_and_others_do_not() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.forget();
        bench.configure(freeze)?;
        let awaited = syn(flow, "203.0.113.1:50069");
        bench.dropped(&awaited);
        bench.unchanged(&syn(flow, "203.0.113.1:50070"));
        assert_eq!(bench.expectations()?.len(), 1);
        bench.counted(&[]);

        bench.configure(|_| {})?;
        bench.unchanged(&awaited);
        bench.counted(&[(Reason::ExpectationMatched, 1)]);
        Ok(())
    });
}

/// A server's greeting on a port that nobody told us of comes only once.
#[test]
fn what_may_be_a_greeting_waits() {
    bench_with(Flow::client_inside, |bench, flow| {
        let flow = flow.peer_port(2121);
        bench.clear()?;
        let summary = &mut bench.datapath.maps.control_summary;
        summary.store(&[DETECT_MARK, 21].into_iter().collect())?;
        let detect = |interface: &mut Interface| interface.flags |= interface_flags::DETECT;
        bench.configure(detect)?;
        let mut syn = flow.egress(0, "").flags(flags::SYN).acknowledgment(0);
        syn.sequence = syn.sequence.wrapping_sub(1);
        bench.unchanged(&syn);
        bench.configure(|interface| {
            detect(interface);
            freeze(interface);
        })?;
        bench.dropped(&flow.ingress(0, "220 ready\r\n"));
        // Everybody else has nothing to wait for.
        let flow = flow.peer_port(2122);
        bench.unchanged(&flow.ingress(0, "220 ready\r\n"));
        bench.configure(|_| {})
    });
}
