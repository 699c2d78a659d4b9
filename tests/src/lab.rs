//! The private network.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::wait::{WaitPidFlag, waitpid};

use crate::{
    firewall,
    host::Host,
    namespace::{Holder, hold_network, leave_machine, mount_kernel_views},
    setup::{Lifetime, Offloads, Setup},
};

/// Directory that only the lab sees: its files, logs and sockets. A tmpfs of
/// the lab's own lies there, so that the agent's run-time files are private too.
pub const FILES: &str = "/run";

/// The three hosts, up and connected.
#[derive(Debug)]
pub struct Lab {
    /// What it was asked to be.
    pub setup: Setup,
    /// The client, inside.
    pub client: Host,
    /// The gateway, with `lan0` inside and `wan0` outside.
    pub gateway: Host,
    /// The server, outside.
    pub server: Host,
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
        leave_machine(Path::new(FILES))?;
        let bound = setup.lifetime == Lifetime::Bound;

        // The first one is the init process of the lab's PID namespace.
        let gateway = hold_network(bound)?;
        let client = hold_network(bound)?;
        let server = hold_network(bound)?;
        mount_kernel_views(&gateway.network)?;
        let (client_pid, server_pid) = (client.inner_pid, server.inner_pid);
        let lab = Self {
            setup,
            client: Host::new("client", &client, &home),
            gateway: Host::new("gateway", &gateway, &home),
            server: Host::new("server", &server, &home),
            holders: vec![gateway, client, server],
        };
        for directory in [lab.logs(), lab.client_files(), lab.server_files()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("{} not made", directory.display()))?;
        }
        lab.connect(client_pid, server_pid)?;
        lab.set_offloads(setup.offloads)?;
        lab.route()?;
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

    /// Lets the lab live on when this value goes away. Only a
    /// [`Lifetime::Detachable`] one survives the process.
    pub fn keep(mut self) {
        self.holders.drain(..).for_each(std::mem::forget);
    }

    fn connect(&self, client_pid: u32, server_pid: u32) -> Result<()> {
        let addresses = self.setup.addresses;
        for (near, pid) in [("lan0", client_pid), ("wan0", server_pid)] {
            self.gateway.must(&format!(
                "ip link add {near} mtu 1500 type veth peer name eth0 mtu 1500 netns {pid}"
            ))?;
        }
        let networks = [
            addresses.client,
            addresses.lan,
            addresses.wan,
            addresses.server,
        ];
        for ((host, device), address) in self.devices().into_iter().zip(networks) {
            host.must("ip link set lo up")?;
            host.must(&format!("ip address add {address}/24 dev {device}"))?;
            host.must(&format!("ip link set {device} up"))?;
        }
        self.client
            .must(&format!("ip route add default via {}", addresses.lan))?;
        Ok(())
    }

    /// Sets the offloads of all four devices and reads them back: a device
    /// refuses silently what it can not have, such as TSO without checksums.
    pub fn set_offloads(&self, offloads: Offloads) -> Result<()> {
        for (host, device) in self.devices() {
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

    fn devices(&self) -> [(&Host, &'static str); 4] {
        [
            (&self.client, "eth0"),
            (&self.gateway, "lan0"),
            (&self.gateway, "wan0"),
            (&self.server, "eth0"),
        ]
    }

    fn route(&self) -> Result<()> {
        self.gateway.enter(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("the gateway does not forward")
        })?;
        Self::filter(&self.gateway, &firewall::rules(&self.setup))
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
        let file = Path::new(FILES).join(format!("{}.nft", host.name()));
        fs::write(&file, rules)?;
        host.must(&format!("nft -f {}", file.display()))?;
        Ok(())
    }
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
