//! What the gateway and the host in front of it are connected by, where it is
//! not simply a pair of Ethernet devices.
//!
//! A [`Link`] other than the plain one puts a device of its kind at both ends,
//! `wan0` and `eth0`, over a pair of Ethernet devices that are called [`BASE`]; a
//! TUN device has a relay behind it instead.

mod tun;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, unshare};

use crate::{
    host::Host,
    lab::{FILES, Lab, pair},
};

/// The device below `wan0`, and below its counterpart.
pub const BASE: &str = "base0";

/// A kind of connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Link {
    /// A pair of Ethernet devices.
    #[default]
    Veth,
    /// Devices without a link header, with a process of the lab's behind them.
    Tun,
    /// Devices without a link header, with an encrypted tunnel behind them.
    Wireguard,
    /// Devices without a link header, whose packets IPsec encrypts.
    Xfrm,
    /// Devices without a link header, whose packets have another IP header in front.
    Gre,
    /// A device with a MAC address of its own on an Ethernet device.
    Macvlan,
    /// 802.1Q; on [`BASE`], the tag of a packet is beside it.
    Vlan,
    /// 802.1Q with a header that the VLAN device writes itself: on [`BASE`], the tag
    /// of an outgoing packet is in it.
    VlanInPacket,
    /// 802.1ad over 802.1Q: on [`BASE`], the inner tag of a packet is in it.
    DoubleVlan,
}

impl Link {
    /// What the kernel calls the devices, and the module that has them.
    fn kind(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Veth => None,
            Self::Tun => Some(("tun", "tun")),
            Self::Wireguard => Some(("wireguard", "wireguard")),
            Self::Xfrm => Some(("xfrm", "xfrm_interface")),
            Self::Gre => Some(("gre", "ip_gre")),
            Self::Macvlan => Some(("macvlan", "macvlan")),
            Self::Vlan | Self::VlanInPacket | Self::DoubleVlan => Some(("vlan", "8021q")),
        }
    }

    /// Why there can be no such connection on this machine, if that is so. To be
    /// called before a lab is made.
    pub(crate) fn missing(self) -> Option<String> {
        let (kind, module) = self.kind()?;
        // It may be built in, or there already: whether that is so shows below.
        let _ = Command::new("modprobe").args(["-q", module]).status();
        let probed = thread::spawn(move || probe(self, kind)).join();
        match probed {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!(
                "{self:?} devices can not be made here (module {module}): {error:#}"
            )),
            Err(_) => Some(format!("{self:?} devices: the attempt to make one failed")),
        }
    }

    /// Makes `wan0` on the gateway and `eth0` on the outside host, whose holder is
    /// `pid`, with what is below them.
    pub(crate) fn connect(self, lab: &Lab, pid: u32) -> Result<()> {
        let ends = [(&lab.gateway, "wan0"), (lab.outside(), "eth0")];
        if self == Self::Tun {
            let [near, far] = ends.map(|(host, name)| host.enter(|| tun::open(name)));
            let relay = lab.outside_relay.as_ref();
            let relay = relay.context("a TUN device needs a relay behind it")?;
            return relay.connect([near?, far?]);
        }
        pair(&lab.gateway, BASE, BASE, pid)?;
        for (host, name) in ends {
            host.must(&format!("ip link set {BASE} up"))?;
            for line in self.lines(name) {
                host.must(&line)?;
            }
        }
        match self {
            Self::Wireguard => tunnel(ends),
            Self::Xfrm => associate(ends),
            Self::Gre => encapsulate(ends),
            _ => Ok(()),
        }
    }

    /// Commands that make the device `name` on [`BASE`].
    fn lines(self, name: &str) -> Vec<String> {
        let on = |base: &str, name: &str, rest: &str| {
            format!("ip link add link {base} name {name} type {rest}")
        };
        match self {
            // A GRE device is made with its addresses.
            Self::Veth | Self::Tun | Self::Gre => Vec::new(),
            Self::Wireguard => vec![format!("ip link add {name} type wireguard")],
            Self::Xfrm => vec![format!(
                "ip link add {name} type xfrm dev {BASE} if_id {IF_ID}"
            )],
            Self::Macvlan => vec![on(BASE, name, "macvlan mode bridge")],
            Self::Vlan => vec![on(BASE, name, "vlan id 7")],
            Self::VlanInPacket => vec![on(BASE, name, "vlan id 7 reorder_hdr off")],
            Self::DoubleVlan => vec![
                on(BASE, "outer0", "vlan protocol 802.1ad id 5"),
                "ip link set outer0 up".to_owned(),
                on("outer0", name, "vlan id 7"),
            ],
        }
    }
}

/// Makes such a device in a network namespace that ends with the thread.
fn probe(link: Link, kind: &str) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("no network namespace of its own")?;
    let lines = match link {
        Link::Veth => return Ok(()),
        Link::Tun => return tun::open("probe0").map(drop),
        Link::Gre => vec![encapsulation("probe0", BELOW)],
        Link::Wireguard => vec![
            "wg --version".to_owned(),
            format!("ip link add probe0 type {kind}"),
        ],
        Link::Xfrm | Link::Macvlan | Link::Vlan | Link::VlanInPacket | Link::DoubleVlan => {
            let mut lines = vec![
                format!("ip link add {BASE} type veth peer name peer0"),
                format!("ip link set {BASE} up"),
            ];
            lines.extend(link.lines("probe0"));
            if link == Link::Xfrm {
                lines.push(association(BELOW[0], BELOW[1]));
            }
            lines
        }
    };
    for line in lines {
        let mut words = line.split(' ');
        let program = words.next().unwrap_or_default();
        let output = Command::new(program)
            .args(words)
            .output()
            .with_context(|| format!("`{program}` does not start; is it installed?"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            bail!("`{line}`: {}", text.trim().replace('\n', " "));
        }
    }
    Ok(())
}

/// The addresses of the two ends of a tunnel. The network of these is of no other use.
const BELOW: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

/// The command that makes a GRE device between two addresses.
fn encapsulation(name: &str, [own, peer]: [&str; 2]) -> String {
    format!("ip link add {name} type gre local {own} remote {peer} ttl 64")
}

fn encapsulate(ends: [(&Host, &'static str); 2]) -> Result<()> {
    let [one, other] = BELOW;
    for ((host, name), below) in ends.into_iter().zip([[one, other], [other, one]]) {
        host.must(&format!("ip address add {}/24 dev {BASE}", below[0]))?;
        host.must(&encapsulation(name, below))?;
    }
    Ok(())
}

/// Which associations and policies of IPsec belong to the device.
const IF_ID: u32 = 7;

/// The command that makes the security association of one direction.
fn association(from: &str, to: &str) -> String {
    // Secret to nobody: a key of 16 bytes, and four that make each number used once.
    let key = "0b".repeat(20);
    format!(
        "ip xfrm state add src {from} dst {to} proto esp spi 7 reqid 7 mode tunnel if_id {IF_ID} \
         flag af-unspec aead rfc4106(gcm(aes)) 0x{key} 128"
    )
}

/// Lets everything that takes the devices go through a tunnel of IPsec.
fn associate(ends: [(&Host, &'static str); 2]) -> Result<()> {
    let [one, other] = BELOW;
    for ((host, _), [own, peer]) in ends.into_iter().zip([[one, other], [other, one]]) {
        host.must(&format!("ip address add {own}/24 dev {BASE}"))?;
        for (from, to, ways) in [(own, peer, &["out"][..]), (peer, own, &["in", "fwd"])] {
            host.must(&association(from, to))?;
            for (way, all) in ways
                .iter()
                .flat_map(|way| [(way, "0.0.0.0/0"), (way, "::/0")])
            {
                host.must(&format!(
                    "ip xfrm policy add src {all} dst {all} dir {way} if_id {IF_ID} tmpl src {from} \
                     dst {to} proto esp reqid 7 mode tunnel"
                ))?;
            }
        }
    }
    Ok(())
}

/// Lets the two ends of a tunnel know each other.
fn tunnel(ends: [(&Host, &'static str); 2]) -> Result<()> {
    /// Where a tunnel's packets go to.
    const PORT: u16 = 51820;
    let mut keys = Vec::new();
    for ((host, name), (address, number)) in ends.into_iter().zip(BELOW.into_iter().zip([1, 2])) {
        host.must(&format!("ip address add {address}/24 dev {BASE}"))?;
        let file = private_key(number)?;
        host.must(&format!(
            "wg set {name} listen-port {PORT} private-key {}",
            file.display()
        ))?;
        let key = host.must(&format!("wg show {name} public-key"))?;
        keys.push(key.trim().to_owned());
    }
    for ((host, name), (key, address)) in ends
        .into_iter()
        .zip(keys.iter().rev().zip(BELOW.iter().rev()))
    {
        host.must(&format!(
            "wg set {name} peer {key} allowed-ips 0.0.0.0/0,::/0 endpoint {address}:{PORT}"
        ))?;
    }
    Ok(())
}

/// A file with a key that is secret to nobody: 32 bytes in base64, all zero but
/// the first.
fn private_key(number: u8) -> Result<PathBuf> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let first = char::from(LETTERS[usize::from(number & 63)]);
    let path = Path::new(FILES).join(format!("key-{number}"));
    fs::write(&path, format!("{first}{}=\n", "A".repeat(42)))
        .with_context(|| format!("{} not written", path.display()))?;
    Ok(path)
}
