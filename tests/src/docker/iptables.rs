//! Docker's rules for `iptables-restore` and `ip6tables-restore`, one network, the
//! default bridge.

use std::net::SocketAddr;

use super::{BRIDGE, Network, Published, SERVED, lines};
use crate::setup::Family;

/// Up to Docker 27.
pub(super) fn classic(network: Network, published: &[Published]) -> String {
    let accepted = accepted(network, published);
    format!(
        "*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o {BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o {BRIDGE} -j DOCKER
-A FORWARD -i {BRIDGE} ! -o {BRIDGE} -j ACCEPT
-A FORWARD -i {BRIDGE} -o {BRIDGE} -j ACCEPT
{accepted}-A DOCKER-ISOLATION-STAGE-1 -i {BRIDGE} ! -o {BRIDGE} -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o {BRIDGE} -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
{}",
        nat(network, published)
    )
}

/// From Docker 28 on: chains per purpose, and no way to a container's own address
/// past the published port.
pub(super) fn current(network: Network, published: &[Published]) -> String {
    let accepted = accepted(network, published);
    let direct = lines(published, |Published { container, .. }| {
        let one = format!("{container}/{}", whole(network));
        format!("-A PREROUTING -d {one} ! -i {BRIDGE} -j DROP")
    });
    format!(
        "*raw
{direct}COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-INTERNAL - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
{accepted}-A DOCKER ! -i {BRIDGE} -o {BRIDGE} -j DROP
-A DOCKER-BRIDGE -o {BRIDGE} -j DOCKER
-A DOCKER-CT -o {BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-INTERNAL
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i {BRIDGE} -j ACCEPT
COMMIT
{}",
        nat(network, published)
    )
}

fn accepted(network: Network, published: &[Published]) -> String {
    lines(published, |Published { container, .. }| {
        format!(
            "-A DOCKER -d {container}/{} ! -i {BRIDGE} -o {BRIDGE} \
             -p tcp -m tcp --dport {SERVED} -j ACCEPT",
            whole(network)
        )
    })
}

fn nat(network: Network, published: &[Published]) -> String {
    let hairpin = lines(published, |Published { container, .. }| {
        let one = format!("{container}/{}", whole(network));
        format!("-A POSTROUTING -s {one} -d {one} -p tcp -m tcp --dport {SERVED} -j MASQUERADE")
    });
    let forwarded = lines(published, |Published { container, port }| {
        let to = SocketAddr::new(*container, SERVED);
        format!("-A DOCKER -p tcp -m tcp --dport {port} -j DNAT --to-destination {to}")
    });
    let prefix = network.prefix();
    format!(
        "*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -o {BRIDGE} -m addrtype --src-type LOCAL -j MASQUERADE
-A POSTROUTING -s {prefix} ! -o {BRIDGE} -j MASQUERADE
{hairpin}{forwarded}COMMIT
"
    )
}

/// Length of the prefix that a single address is.
fn whole(network: Network) -> u8 {
    match network.family() {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}
