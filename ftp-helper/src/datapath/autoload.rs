//! Has the kernel load conntrack's modules.
//!
//! Loading a module takes CAP_SYS_MODULE and the module's file, which an agent in
//! a container or under a tight service manager has no business to have. The
//! kernel itself loads what a request needs, with its own `modprobe`, and a
//! request to conntrack takes no more than CAP_NET_ADMIN. So one is made that
//! needs both modules and asks for nothing: a new entry whose translation can not
//! be read. It is refused, but not before it was looked at.

use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{self, attribute};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW`
const NEW_ENTRY: u16 = 1 << 8;
/// `NLM_F_EXCL | NLM_F_CREATE`
const CREATE: u16 = 0x200 | 0x400;
/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;

// Attributes (linux/netfilter/nfnetlink_conntrack.h).
const TUPLE_ORIG: u16 = NESTED | 1;
const TUPLE_REPLY: u16 = NESTED | 2;
const TIMEOUT: u16 = 7;
const NAT_DST: u16 = NESTED | 0xd;
const TUPLE_IP: u16 = NESTED | 1;
const TUPLE_PROTO: u16 = NESTED | 2;
const V4_SRC: u16 = 1;
const V4_DST: u16 = 2;
const PROTO_NUM: u16 = 1;
const NAT_V4_MINIP: u16 = 1;

/// Makes the request, and returns how it was refused: when that is the end of
/// it, the modules are there.
pub(super) fn conntrack() -> Option<io::Error> {
    let body = [
        // struct nfgenmsg: AF_INET, version 0, no resource.
        vec![2, 0, 0, 0],
        attribute(TUPLE_ORIG, &tuple([0, 0, 0, 1], [0, 0, 0, 2])),
        attribute(TUPLE_REPLY, &tuple([0, 0, 0, 2], [0, 0, 0, 1])),
        attribute(TIMEOUT, &1_u32.to_be_bytes()),
        // Three bytes are no address.
        attribute(NAT_DST, &attribute(NAT_V4_MINIP, &[0; 3])),
    ]
    .concat();
    netlink::request(SockProtocol::NetlinkNetFilter, NEW_ENTRY, CREATE, &body).err()
}

fn tuple(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let addresses = [attribute(V4_SRC, &source), attribute(V4_DST, &destination)].concat();
    // A protocol number that is for experiments.
    let protocol = attribute(PROTO_NUM, &[253]);
    [
        attribute(TUPLE_IP, &addresses),
        attribute(TUPLE_PROTO, &protocol),
    ]
    .concat()
}
