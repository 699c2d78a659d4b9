//! The rules for `iptables-restore` and `ip6tables-restore`: kube-proxy's in mode
//! iptables, flannel's, and those of the CNI plugin `portmap`.

use std::fmt::Write as _;

use super::{BRIDGE, HOST_PORT, NODE_PORT, SERVED, Service};

/// Replaces what is there.
pub(super) fn rules(service: &Service) -> String {
    format!("{}{}", filter(service), nat(service))
}

fn filter(service: &Service) -> String {
    let cluster = service.cluster.prefix();
    format!(
        "*filter
:FORWARD DROP [0:0]
:KUBE-FORWARD - [0:0]
:FLANNEL-FWD - [0:0]
-A FORWARD -j KUBE-FORWARD
-A FORWARD -j FLANNEL-FWD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FLANNEL-FWD -s {cluster} -j ACCEPT
-A FLANNEL-FWD -d {cluster} -p tcp -m tcp --dport {SERVED} -j ACCEPT
COMMIT
"
    )
}

fn nat(service: &Service) -> String {
    let Service {
        address, external, ..
    } = service;
    let (pods, cluster) = (service.pods.prefix(), service.cluster.prefix());
    let mut text = format!(
        "*nat
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:FLANNEL-POSTRTG - [0:0]
:KUBE-EXT-FTP - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-FTP - [0:0]
:KUBE-SVL-FTP - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -j KUBE-SERVICES
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -j CNI-HOSTPORT-MASQ
-A POSTROUTING -j KUBE-POSTROUTING
-A POSTROUTING -j FLANNEL-POSTRTG
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
-A FLANNEL-POSTRTG -s {pods} -d {cluster} -j RETURN
-A FLANNEL-POSTRTG -s {cluster} -d {pods} -j RETURN
-A FLANNEL-POSTRTG ! -s {cluster} -d {pods} -j RETURN
-A FLANNEL-POSTRTG -s {cluster} ! -o {BRIDGE} -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s {cluster} -d {cluster} -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-SERVICES -d {address} -p tcp -m tcp --dport {SERVED} -j KUBE-SVC-FTP
-A KUBE-SERVICES -d {external} -p tcp -m tcp --dport {SERVED} -j KUBE-EXT-FTP
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m tcp --dport {NODE_PORT} -j KUBE-EXT-FTP
-A KUBE-EXT-FTP -s {cluster} -j KUBE-SVC-FTP
-A KUBE-EXT-FTP -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-FTP -m addrtype --src-type LOCAL -j KUBE-SVC-FTP
-A KUBE-EXT-FTP -j KUBE-SVL-FTP
-A KUBE-SVC-FTP ! -s {cluster} -d {address} -p tcp -m tcp --dport {SERVED} -j KUBE-MARK-MASQ
"
    );
    endpoints(service, &mut text);
    text.push_str("COMMIT\n");
    text
}

/// Each with the same chance, as kube-proxy does it: the first of n with 1/n.
fn endpoints(service: &Service, text: &mut String) {
    let mut left = service.endpoints.len();
    for (index, endpoint) in service.endpoints.iter().enumerate() {
        let chance = if left > 1 {
            format!(
                "-m statistic --mode random --probability 0.{:010} ",
                10_000_000_000_u64 / left as u64
            )
        } else {
            String::new()
        };
        left -= 1;
        let served = Service::served(*endpoint);
        let _ = write!(
            text,
            ":KUBE-SEP-{index} - [0:0]
-A KUBE-SVC-FTP {chance}-j KUBE-SEP-{index}
-A KUBE-SVL-FTP {chance}-j KUBE-SEP-{index}
-A KUBE-SEP-{index} -s {endpoint} -j KUBE-MARK-MASQ
-A KUBE-SEP-{index} -p tcp -m tcp -j DNAT --to-destination {served}
"
        );
    }
    if let Some(first) = service.endpoints.first() {
        let served = Service::served(*first);
        let _ = write!(
            text,
            ":CNI-DN-FTP - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports {HOST_PORT} -j CNI-DN-FTP
-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000
-A CNI-DN-FTP -s {} -p tcp -m tcp --dport {HOST_PORT} -j CNI-HOSTPORT-SETMARK
-A CNI-DN-FTP -p tcp -m tcp --dport {HOST_PORT} -j DNAT --to-destination {served}
",
            service.pods.prefix()
        );
    }
}
