//! The connection to the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, future,
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::{
    Api, Client, Config,
    config::KubeConfigOptions,
    runtime::watcher::{self, DefaultBackoff},
};
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};
use tracing::{info, warn};

use super::{
    Options, Report, Wanted,
    feed::{Feed, Told},
    node,
    report::{Connection, Fault, Known, State},
    service::{self, Published},
    trouble,
    wanted::external_addresses,
};

/// Where everybody reads what there is to tell; nothing while Services are not
/// watched.
pub type Reports = watch::Receiver<Option<Arc<Report>>>;

/// A name of the environment: settings of a connection, for an agent that does not run
/// in a pod.
const KUBECONFIG: &str = "KUBECONFIG";

/// The agent's end of the connection to the API.
#[derive(Debug)]
pub struct Discovery {
    running: Option<Running>,
    reports: watch::Sender<Option<Arc<Report>>>,
}

#[derive(Debug)]
struct Running {
    options: Options,
    task: JoinHandle<()>,
    wanted: watch::Receiver<Option<Wanted>>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            running: None,
            reports: watch::Sender::new(None),
        }
    }
}

impl Discovery {
    /// What there is to tell, from now on.
    pub fn reports(&self) -> Reports {
        self.reports.subscribe()
    }

    /// Watches Services as the options say, or not at all; needs an event loop around
    /// it.
    pub fn follow(&mut self, options: Option<&Options>) {
        if self.running.as_ref().map(|running| &running.options) == options {
            return;
        }
        self.stop();
        let Some(options) = options else {
            return;
        };
        let (sender, wanted) = watch::channel(None);
        let watch = Watch::new(options, sender, self.reports.clone());
        self.running = Some(Running {
            options: options.clone(),
            task: tokio::spawn(watch.run()),
            wanted,
        });
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.task.abort();
            self.reports.send_replace(None);
        }
    }

    /// Waits until Services want something else.
    pub async fn wanted(&mut self) -> Wanted {
        let Some(running) = &mut self.running else {
            return future::pending().await;
        };
        loop {
            if running.wanted.changed().await.is_err() {
                // The task is gone, which only its end does.
                return future::pending().await;
            }
            if let Some(wanted) = &*running.wanted.borrow_and_update() {
                return wanted.clone();
            }
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Everything that is known, while it is watched.
struct Watch {
    api: String,
    node: String,
    services: BTreeMap<String, Published>,
    addresses: BTreeSet<IpAddr>,
    service_link: Link,
    node_link: Link,
    connection: Connection,
    told_faults: BTreeSet<Fault>,
    /// Whether all Services were seen once.
    complete: bool,
    wanted: watch::Sender<Option<Wanted>>,
    reports: watch::Sender<Option<Arc<Report>>>,
}

/// One of the two watches.
#[derive(Debug, Eq, PartialEq)]
enum Link {
    Connecting,
    Connected,
    Away(String),
}

impl Watch {
    fn new(
        options: &Options,
        wanted: watch::Sender<Option<Wanted>>,
        reports: watch::Sender<Option<Arc<Report>>>,
    ) -> Self {
        let watch = Self {
            api: String::new(),
            node: options.node.clone(),
            services: BTreeMap::new(),
            addresses: BTreeSet::new(),
            service_link: Link::Connecting,
            node_link: Link::Connecting,
            connection: Connection {
                since: unix_time(),
                ..Connection::default()
            },
            told_faults: BTreeSet::new(),
            complete: false,
            wanted,
            reports,
        };
        watch.report(Vec::new());
        watch
    }

    async fn run(mut self) {
        let client = self.connect().await;
        let mut services = Feed::new(
            Api::<Service>::all(client.clone()),
            watcher::Config::default(),
            "services",
            Published::read,
        );
        let own = format!("metadata.name={}", self.node);
        let mut nodes = Feed::new(
            Api::<Node>::all(client),
            watcher::Config::default().fields(&own),
            "nodes",
            |node: &Node| Some(node::addresses(node)),
        );
        loop {
            tokio::select! {
                told = services.next() => self.take_services(told),
                told = nodes.next() => self.take_node(told),
            }
            self.conclude();
        }
    }

    /// What is needed for a connection may be mounted later.
    async fn connect(&mut self) -> Client {
        let mut backoff = DefaultBackoff::default();
        loop {
            match client().await {
                Ok((api, client)) => {
                    self.api = api;
                    return client;
                }
                Err(error) => {
                    self.service_link = Link::Away(trouble::chain(error.as_ref()));
                    self.conclude();
                }
            }
            sleep(backoff.next().unwrap_or_default()).await;
        }
    }

    fn take_services(&mut self, told: Told<Service, Published>) {
        match told {
            Told::List(all) => {
                self.services = all.into_iter().map(|one| (one.name.clone(), one)).collect();
                self.complete = true;
            }
            Told::Changed(_, Some(published)) => {
                self.services.insert(published.name.clone(), published);
            }
            Told::Changed(service, None) | Told::Gone(service) => {
                self.services.remove(&service::name(&service));
            }
            Told::Failed(why) => {
                self.service_link = Link::Away(why);
                return;
            }
        }
        self.service_link = Link::Connected;
    }

    fn take_node(&mut self, told: Told<Node, BTreeSet<IpAddr>>) {
        match told {
            Told::List(nodes) => {
                if nodes.is_empty() {
                    warn!(
                        "there is no node {} in the cluster: name this one with --node-name",
                        self.node
                    );
                }
                self.addresses = nodes.into_iter().flatten().collect();
            }
            Told::Changed(_, addresses) => self.addresses = addresses.unwrap_or_default(),
            Told::Gone(_) => self.addresses.clear(),
            Told::Failed(why) => {
                self.node_link = Link::Away(why);
                return;
            }
        }
        self.node_link = Link::Connected;
    }

    /// Tells everybody what follows from what is known.
    fn conclude(&mut self) {
        self.judge_connection();
        let (wanted, conflicts) = Wanted::merge(self.services.values(), &self.addresses);
        let own = self.services.values().flat_map(|one| &one.faults);
        let faults: BTreeSet<Fault> = own.cloned().chain(conflicts).collect();
        for fault in faults.difference(&self.told_faults) {
            warn!("{fault}");
        }
        self.report(faults.iter().cloned().collect());
        self.told_faults = faults;
        // Without the node's addresses it is only half of it.
        if !self.complete || self.node_link == Link::Connecting {
            return;
        }
        self.wanted.send_if_modified(|known| {
            let is_new = known.as_ref() != Some(&wanted);
            if is_new {
                *known = Some(wanted);
            }
            is_new
        });
    }

    fn judge_connection(&mut self) {
        let (state, error) = match (&self.service_link, &self.node_link) {
            (Link::Away(why), _) | (_, Link::Away(why)) => (State::Away, Some(why.clone())),
            (Link::Connected, Link::Connected) => (State::Connected, None),
            _ => (State::Connecting, None),
        };
        let known = &mut self.connection;
        if error != known.error
            && let Some(why) = &error
        {
            warn!("no connection to the API of Kubernetes, what was learned last counts: {why}");
        }
        if state != known.state {
            if state == State::Connected {
                info!("watching Services at {}", self.api);
            }
            known.state = state;
            known.since = unix_time();
        }
        known.error = error;
    }

    fn report(&self, faults: Vec<Fault>) {
        let services = self.services.values().map(|one| Known {
            name: one.name.clone(),
            control_ports: one.control_ports().collect(),
            addresses: external_addresses(one, &self.addresses),
            advertise: one.advertise.addresses().collect(),
        });
        let report = Report {
            node: self.node.clone(),
            api: self.api.clone(),
            connection: self.connection.clone(),
            complete: self.complete,
            services: services.collect(),
            faults,
        };
        self.reports.send_replace(Some(Arc::new(report)));
    }
}

/// A client with the settings that the environment names, else with those that a pod
/// has; the token is read again when it is replaced.
async fn client() -> Result<(String, Client)> {
    let config = if env::var_os(KUBECONFIG).is_some() {
        Config::from_kubeconfig(&KubeConfigOptions::default())
            .await
            .with_context(|| format!("can not use what {KUBECONFIG} names"))?
    } else {
        Config::incluster().context(
            "the agent has no access to the API: its pod needs the token of a ServiceAccount \
             (automountServiceAccountToken); elsewhere name a file in KUBECONFIG",
        )?
    };
    let api = config.cluster_url.to_string();
    // A kubeconfig may name a program that is asked for a token, and is waited for.
    let made = spawn_blocking(move || Client::try_from(config));
    let client = made.await.context("the client was not made")?;
    Ok((api, client.context("can not use the settings of the API")?))
}

/// Seconds since 1970.
fn unix_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
