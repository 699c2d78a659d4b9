//! Devices without a link header.

use anyhow::Result;
use ftp_helper_common::reason::Reason;
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::Flow,
    segment::flags,
};

/// The device has none, and the packets have one: as they come from IPsec, and as the
/// kernel gives all test packets to the programs.
fn without_link_header(bench: &mut Bench) -> Result<()> {
    bench.configure(|interface| interface.link_header = 0)
}

#[test]
fn a_packet_with_the_header_of_the_device_beneath() {
    for flow in [Flow::client_inside, Flow::client_inside_v6] {
        bench_with(flow, |bench, flow| {
            without_link_header(bench)?;
            let outside = flow.outside.ip();
            let [sent, wire] = [flow.inside.ip(), outside].map(|address| {
                let version = if address.is_ipv4() { 1 } else { 2 };
                format!("EPRT |{version}|{address}|50069|\r\n")
            });
            bench.becomes(&flow.egress(0, &sent), &flow.egress(0, &wire));
            let [sent, wire] = [sent, wire].map(|line| u32::try_from(line.len()).unwrap_or(0));
            bench.becomes(&flow.peer_acknowledges(wire), &flow.peer_acknowledges(sent));
            bench.becomes(
                &flow.egress(sent, "NOOP\r\n"),
                &flow.egress(wire, "NOOP\r\n"),
            );
            Ok(())
        });
    }
}

#[test]
fn a_reply_with_the_header_of_the_device_beneath() {
    bench_with(Flow::client_inside, |bench, flow| {
        without_link_header(bench)?;
        bench.unchanged(&flow.egress(0, "EPSV ALL\r\n").flags(flags::ACK));
        bench.unchanged(&flow.ingress(0, "200 done\r\n").flags(flags::ACK));
        let refused = flow.egress(10, "PORT 10,0,0,2,195,149\r\n");
        bench.unchanged(&refused);
        bench.counted(&[(Reason::EpsvAll, 1)]);
        Ok(())
    });
}
