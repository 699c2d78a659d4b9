//! The private network.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::wait::{WaitPidFlag, waitpid};

use crate::{
    firewall,
    host::Host,
    namespace::{Holder, hold_network, leave_machine, mount_kernel_views},
    relay::{self, Relay},
    setup::{Family, Impairment, Inside, Lifetime, Link, Offloads, Setup, Source, Translation},
    wait::wait_for,
};

/// Directory that only the lab sees: its files, logs and sockets. A tmpfs of
/// the lab's own lies there, so that the agent's run-time files are private too.
pub const FILES: &str = "/run";

/// A port that nobody listens on: a host that is reached refuses at once.
const DISCARD: u16 = 9;

/// The three hosts, up and connected.
#[derive(Debug)]
pub struct Lab {
    /// What it was asked to be.
    pub setup: Setup,
    /// The client, inside unless the setup says otherwise.
    pub client: Host,
    /// The gateway, with `lan0` inside and `wan0` outside.
    pub gateway: Host,
    /// The server, outside unless the setup says otherwise.
    pub server: Host,
    /// Further hosts, connected to nothing.
    pub(crate) spares: Vec<Spare>,
    /// The relay between the inside host and the gateway.
    pub inside_relay: Option<Relay>,
    /// The relay between the gateway and the outside host.
    pub outside_relay: Option<Relay>,
    /// The gateway's comes first: its end is the end of all.
    holders: Vec<Holder>,
}

impl Lab {
    /// Makes the network. The calling thread is of no other use afterwards: it
    /// has left the machine's mount namespace and can not start threads.
    pub fn new(setup: Setup) -> Result<Self> {
        let home = fs::File::open("/proc/thread-self/ns/net")
            .context("own network namespace can not be opened")?;
        let home = Arc::new(OwnedFd::from(home));
        let start = |impairment| Relay::start(impairment, setup.control_port);
        let inside_relay = setup.inside_wire.map(start);
        let outside_relay = match setup.link {
            // Its packets have no link header, which an impairment looks for.
            Link::Tun => Some(start(Impairment::default())),
            _ => setup.outside_wire.map(start),
        };
        leave_machine(Path::new(FILES))?;
        let bound = setup.lifetime == Lifetime::Bound;

        // The first one is the init process of the lab's PID namespace.
        let gateway = hold_network(bound)?;
        let client = hold_network(bound)?;
        let server = hold_network(bound)?;
        let wire = hold_network(bound)?;
        let spares = (0..setup.spares)
            .map(|_| hold_network(bound))
            .collect::<Result<Vec<_>>>()?;
        mount_kernel_views(&gateway.network)?;
        let pids = Pids {
            client: client.inner_pid,
            server: server.inner_pid,
            wire: wire.inner_pid,
        };
        let wire_host = Host::new("wire", &wire, &home);
        let lab = Self {
            setup,
            client: Host::new("client", &client, &home),
            gateway: Host::new("gateway", &gateway, &home),
            server: Host::new("server", &server, &home),
            spares: spares
                .iter()
                .map(|holder| Spare {
                    host: Host::new("spare", holder, &home),
                    pid: holder.inner_pid,
                })
                .collect(),
            inside_relay,
            outside_relay,
            holders: [gateway, client, server, wire]
                .into_iter()
                .chain(spares)
                .collect(),
        };
        for directory in [lab.logs(), lab.client_files(), lab.server_files()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("{} not made", directory.display()))?;
        }
        lab.connect(&pids, &wire_host)?;
        let relayed = setup.inside_wire.is_some() || setup.outside_wire.is_some();
        // A relay takes packets as they are: none may wait to be finished by a device.
        lab.set_offloads(if relayed {
            Offloads::NONE
        } else {
            setup.offloads
        })?;
        lab.route()?;
        lab.meet_neighbours()?;
        Ok(lab)
    }

    /// Where daemons log to.
    pub fn logs(&self) -> PathBuf {
        Path::new(FILES).join("log")
    }

    /// The client's files.
    pub fn client_files(&self) -> PathBuf {
        Path::new(FILES).join("client")
    }

    /// The server's files.
    pub fn server_files(&self) -> PathBuf {
        Path::new(FILES).join("server")
    }

    /// All hosts.
    pub fn hosts(&self) -> [&Host; 3] {
        [&self.client, &self.gateway, &self.server]
    }

    /// Process whose end is the end of the whole lab.
    pub fn init(&self) -> u32 {
        self.gateway.holder()
    }

    /// A further host, and a process in it, as processes of the lab number them.
    pub fn spare(&self, number: usize) -> Option<(&Host, u32)> {
        let spare = self.spares.get(number)?;
        Some((&spare.host, spare.pid))
    }

    /// The same of the gateway's process; 0 in a lab of [`with_server`](Self::with_server).
    pub fn gateway_pid(&self) -> u32 {
        self.holders.first().map_or(0, |holder| holder.inner_pid)
    }

    /// Lets the lab live on when this value goes away. Only a
    /// [`Lifetime::Detachable`] one survives the process.
    pub fn keep(mut self) {
        self.holders.drain(..).for_each(std::mem::forget);
    }

    /// The same lab as it looks with the server on another host, which `setup`
    /// tells the addresses of. Of no use any more when the lab itself goes.
    #[must_use]
    pub fn with_server(&self, setup: Setup, server: &Host) -> Self {
        Self {
            setup,
            client: self.client.clone(),
            gateway: self.gateway.clone(),
            server: server.clone(),
            spares: Vec::new(),
            inside_relay: None,
            outside_relay: None,
            holders: Vec::new(),
        }
    }

    /// The host behind the gateway.
    pub fn inside(&self) -> &Host {
        match self.setup.inside {
            Inside::Client => &self.client,
            Inside::Server => &self.server,
        }
    }

    /// The host in front of the gateway.
    pub fn outside(&self) -> &Host {
        match self.setup.inside {
            Inside::Client => &self.server,
            Inside::Server => &self.client,
        }
    }

    fn connect(&self, pids: &Pids, wire: &Host) -> Result<()> {
        let (inside, outside) = match self.setup.inside {
            Inside::Client => (pids.client, pids.server),
            Inside::Server => (pids.server, pids.client),
        };
        wire.enter(|| {
            fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
                .context("the wire takes part in IPv6")
        })?;
        let link = self.setup.link;
        let neighbours = [
            ("lan0", inside, &self.inside_relay, Link::Veth),
            ("wan0", outside, &self.outside_relay, link),
        ];
        for (near, pid, relay, link) in neighbours {
            match relay {
                _ if link != Link::Veth => link.connect(self, pid)?,
                None => pair(&self.gateway, near, "eth0", pid)?,
                Some(relay) => {
                    let ends = [format!("{near}-near"), format!("{near}-far")];
                    pair(&self.gateway, near, &ends[0], pids.wire)?;
                    pair(wire, &ends[1], "eth0", pid)?;
                    for end in &ends {
                        wire.must(&format!("ethtool -K {end} tx off tso off gso off gro off"))?;
                        wire.must(&format!("ip link set {end} promisc on up"))?;
                    }
                    let [near, far] = &ends;
                    relay.connect(wire.enter(|| Ok([relay::open(near)?, relay::open(far)?]))?)?;
                }
            }
        }
        let setup = &self.setup;
        let addresses = [
            setup.inside_address(),
            setup.addresses.lan,
            setup.addresses.wan,
            setup.outside_address(),
        ];
        // Nobody else could have an address here: no need to ask around first.
        let (length, extra) = match setup.family() {
            Family::V4 => (24, ""),
            Family::V6 => (64, "nodad"),
        };
        for ((host, device), address) in self.devices().into_iter().zip(addresses) {
            host.enter(|| {
                for kind in ["all", "default", device] {
                    let path = format!("/proc/sys/net/ipv6/conf/{kind}/accept_dad");
                    fs::write(&path, "0").with_context(|| format!("{path} not set"))?;
                }
                Ok(())
            })?;
            host.must("ip link set lo up")?;
            host.must(&format!(
                "ip address add {address}/{length} dev {device} {extra}"
            ))?;
            host.must(&format!("ip link set {device} up"))?;
        }
        if setup.source == Source::SecondAddress {
            let second = setup.second_wan();
            self.gateway.must(&format!(
                "ip address add {second}/{length} dev wan0 {extra}"
            ))?;
        }
        let mut routes = vec![(self.inside(), setup.addresses.lan)];
        if setup.translation == Translation::None {
            routes.push((self.outside(), setup.addresses.wan));
        }
        for (host, gateway) in routes {
            host.must(&format!("ip route add default via {gateway}"))?;
        }
        Ok(())
    }

    /// Waits until the gateway and its neighbours have found each other: a first
    /// packet that is lost on the way would look like somebody's fault.
    fn meet_neighbours(&self) -> Result<()> {
        for address in [self.setup.inside_address(), self.setup.outside_address()] {
            let port = SocketAddr::new(address, DISCARD);
            wait_for("a neighbour's answer", Duration::from_secs(10), || {
                let answer = self.gateway.enter(|| {
                    Ok(TcpStream::connect_timeout(
                        &port,
                        Duration::from_millis(100),
                    ))
                })?;
                let refused = answer
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
                Ok(refused.then_some(()))
            })?;
        }
        Ok(())
    }

    /// Sets the offloads of all four devices and reads them back: a device
    /// refuses silently what it can not have, such as TSO without checksums.
    pub fn set_offloads(&self, offloads: Offloads) -> Result<()> {
        // Devices of other kinds have what they have.
        let plain = match self.setup.link {
            Link::Veth => 4,
            _ => 2,
        };
        for (host, device) in self.devices().into_iter().take(plain) {
            let settings = offloads.settings();
            let words = settings.map(|(short, _, on)| format!("{short} {}", Offloads::word(on)));
            host.must(&format!("ethtool -K {device} {}", words.join(" ")))?;
            let features = host.must(&format!("ethtool -k {device}"))?;
            for (_, long, on) in settings {
                let line = format!("{long}: {}", Offloads::word(on));
                ensure!(
                    features.lines().any(|feature| feature.starts_with(&line)),
                    "{} {device} is not set to {line}:\n{features}",
                    host.name()
                );
            }
        }
        Ok(())
    }

    /// From the inside to the outside.
    fn devices(&self) -> [(&Host, &'static str); 4] {
        [
            (self.inside(), "eth0"),
            (&self.gateway, "lan0"),
            (&self.gateway, "wan0"),
            (self.outside(), "eth0"),
        ]
    }

    fn route(&self) -> Result<()> {
        self.gateway.enter(|| {
            for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{path}"), "1")
                    .context("the gateway does not forward")?;
            }
            Ok(())
        })?;
        firewall::install(self)
    }

    /// Limits what the ends' TCP holds for a connection made from now on to
    /// 64 KiB: a server is then not done with a file of some size before the
    /// client has read it.
    pub fn limit_buffers(&self) -> Result<()> {
        for host in [&self.client, &self.server] {
            for name in ["tcp_rmem", "tcp_wmem"] {
                let path = format!("/proc/sys/net/ipv4/{name}");
                host.enter(|| {
                    fs::write(&path, "4096 65536 65536").with_context(|| format!("{path} not set"))
                })?;
            }
        }
        Ok(())
    }

    /// Lets the ends' TCP tell of received islands, or not.
    pub fn set_sack(&self, on: bool) -> Result<()> {
        for host in [&self.client, &self.server] {
            host.enter(|| {
                fs::write("/proc/sys/net/ipv4/tcp_sack", if on { "1" } else { "0" })
                    .context("tcp_sack not set")
            })?;
        }
        Ok(())
    }

    /// From now on every `each`th packet of a control connection is lost on
    /// the last part of its way to the client or the server: the sender repeats
    /// it, past the gateway that has seen it already.
    pub fn lose_each(&self, each: u32) -> Result<()> {
        Self::filter(&self.client, &firewall::loss(each))?;
        Self::filter(&self.server, &firewall::loss(each))
    }

    /// From now on every announcement is lost once behind the gateway.
    pub fn lose_announcements_once(&self) -> Result<()> {
        Self::filter(&self.server, firewall::ANNOUNCEMENT_LOSS)
    }

    fn filter(host: &Host, rules: &str) -> Result<()> {
        let file = Self::file(&format!("{}.nft", host.name()), rules)?;
        host.must(&format!("nft -f {}", file.display()))?;
        Ok(())
    }

    /// A file with this content that only the lab sees.
    pub(crate) fn file(name: &str, content: &str) -> Result<PathBuf> {
        let path = Path::new(FILES).join(name);
        fs::write(&path, content).with_context(|| format!("{} not written", path.display()))?;
        Ok(path)
    }
}

/// A host that is connected to nothing.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    /// The host.
    pub(crate) host: Host,
    /// Its holder, by its number inside the lab.
    pub(crate) pid: u32,
}

/// Holders of namespaces, by their numbers inside the lab.
struct Pids {
    client: u32,
    server: u32,
    wire: u32,
}

/// A connection between `host` and the namespace of `pid`.
pub(crate) fn pair(host: &Host, near: &str, far: &str, pid: u32) -> Result<()> {
    host.must(&format!(
        "ip link add {near} mtu 1500 type veth peer name {far} mtu 1500 netns {pid}"
    ))?;
    Ok(())
}

impl Drop for Lab {
    fn drop(&mut self) {
        let Some(init) = self.holders.first_mut() else {
            return;
        };
        init.kill();
        // The end of a PID namespace's init process waits until every other
        // process has been reaped, and this thread is the parent of most of
        // them; those of other threads are none of its business.
        while waitpid(None, Some(WaitPidFlag::__WNOTHREAD)).is_ok() {}
        self.holders.drain(..).for_each(std::mem::forget);
    }
}
