//! Services of Kubernetes that say themselves that they speak FTP: a node as in
//! `kubernetes.rs`, with an agent that is told nothing about control ports and learns
//! them from the API.

use std::{
    fs,
    net::{IpAddr, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    announcement::Announcement,
    api_stub::{ApiStub, Store, annotate, recorded},
    check::{nothing_arrives, transfer},
    client::{ClientKind, Mode},
    control::Control,
    lab::{FILES, Lab},
    node::{self, Door, Node, OUTSIDE, Proxy},
    ongoing::{Large, Ongoing},
    payload,
    scenario::agent_scenario,
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Backend, Family, Inside},
    wait::{patient, wait_for},
};
use k8s_openapi::api::core::v1::{Node as ApiNode, Service};
use nix::sys::signal::Signal;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const CONTROL_PORTS: &str = "ftp-helper.io/control-ports";
const ADVERTISE: &str = "ftp-helper.io/advertise";

/// Of the node as the API shows it.
const NODE: &str = "node-a";

/// The only control port of the configuration; nobody uses it.
const CONFIGURED: &str = "990";

/// The client waits longer after each failure, up to a minute.
const LIMIT: Duration = Duration::from_secs(120);

/// What a test has at hand.
struct Cluster<'a> {
    lab: &'a Lab,
    agent: &'a Agent,
    node: Node<'a>,
    api: &'a ApiStub,
    environment: [String; 2],
}

/// A node with one pod, and an API that nobody can reach yet.
fn cluster(body: impl FnOnce(&Cluster<'_>) -> Result<()> + Send) {
    cluster_with(Proxy::Iptables(Backend::Nft), body);
}

fn cluster_with(proxy: Proxy, body: impl FnOnce(&Cluster<'_>) -> Result<()> + Send) {
    let api = ApiStub::start().unwrap();
    let setup = node::setup(proxy, Inside::Server, Family::V4);
    agent_scenario(setup, |lab, agent| {
        let node = Node::start(lab, 1)?;
        let environment = api.mount()?;
        api.apply(recorded("node.json")?);
        body(&Cluster {
            lab,
            agent,
            node,
            api: &api,
            environment,
        })
    });
}

impl Cluster<'_> {
    fn start(&self) -> Result<RunningAgent> {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[&str]) -> Result<RunningAgent> {
        let arguments = [
            &["run", "-i", OUTSIDE, "--control-port", CONFIGURED][..],
            &["--kubernetes", "--node-name", NODE],
            more,
        ];
        self.agent
            .start_through("env", &self.environment, &arguments.concat())
    }

    /// The API answers from now on.
    fn listen(&self) -> Result<()> {
        self.api.listen(&self.lab.gateway)
    }

    fn status(&self) -> Result<Value> {
        Ok(self.agent.json(&["status"])?["kubernetes"].take())
    }

    /// Waits until the agent says that of its connection.
    fn is(&self, state: &str) -> Result<Value> {
        wait_for(&format!("the API {state}"), LIMIT, || {
            let status = self.status()?;
            Ok((status["connection"]["state"] == state).then_some(status))
        })
        .with_context(|| format!("{:#}", self.status().unwrap_or_default()))
    }

    /// The state of a control port, if it is one.
    fn port(&self, number: u16) -> Result<Option<String>> {
        let ports = self.agent.json(&["port", "list"])?;
        let mut ports = ports.as_array().context("no list")?.iter();
        let port = ports.find(|port| port["port"] == number);
        Ok(port.and_then(|port| Some(port["state"].as_str()?.to_owned())))
    }

    /// Waits until a port is one, in this state, or none.
    fn port_is(&self, number: u16, state: Option<&str>) -> Result<()> {
        wait_for(&format!("port {number} {state:?}"), LIMIT, || {
            Ok((self.port(number)?.as_deref() == state).then_some(()))
        })
        .with_context(|| format!("{:#}", self.status().unwrap_or_default()))
    }

    fn serving(&self, door: Door) -> Result<(Lab, Server)> {
        let lab = self.node.serving(0, door)?;
        let server = Server::start(&lab, ServerKind::Vsftpd)?;
        Ok((lab, server))
    }
}

/// Passive mode works, with everything that [`transfer`] looks at: the bytes, and the
/// reply that the client got.
fn helps(cluster: &Cluster<'_>, lab: &Lab, server: &Server) -> Result<()> {
    let before = cluster.agent.count("expectation_matched")?;
    let rewrites = transfer(lab, server, ClientKind::Curl, Mode::Passive)?;
    let matched = cluster.agent.count("expectation_matched")? - before;
    ensure!(matched == rewrites.len() as u64, "{matched} were matched");
    Ok(())
}

/// The Service with the port 2121 that `external.json` describes, or another one like
/// it.
fn external(name: &str, created: &str) -> Result<Value> {
    let mut service = recorded("external.json")?;
    service["metadata"]["name"] = name.into();
    service["metadata"]["creationTimestamp"] = created.into();
    Ok(service)
}

/// As the API's own type, with nothing that the type does not know.
fn is_typed<T: DeserializeOwned + Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), *object);
}

#[test]
fn recorded_objects_are_of_their_types() {
    is_typed::<Service>(&recorded("balanced.json").unwrap());
    is_typed::<Service>(&recorded("external.json").unwrap());
    is_typed::<ApiNode>(&recorded("node.json").unwrap());
}

/// Nothing is helped until a Service says so; then its port and its node port are,
/// with all kinds of kube-proxy's rules.
#[test]
fn an_annotated_service_is_helped() {
    for proxy in Proxy::ALL {
        cluster_with(proxy, |cluster| {
            cluster.listen()?;
            let mut service = recorded("balanced.json")?;
            cluster.api.apply(service.clone());
            let _running = cluster.start()?;
            cluster.is("connected")?;
            let (lab, server) = cluster.serving(Door::External)?;
            nothing_arrives(&lab, &server, Mode::Passive)?;
            assert_eq!(cluster.port(21)?, None);

            annotate(&mut service, CONTROL_PORTS, Some("ftp"))?;
            cluster.api.apply(service);
            cluster.port_is(30021, Some("discovered"))?;
            helps(cluster, &lab, &server)?;
            drop(server);
            let (lab, server) = cluster.serving(Door::NodePort)?;
            helps(cluster, &lab, &server)?;
            Ok(())
        });
    }
}

/// A Service with another port than FTP's, known from the first list. Without the
/// annotation nobody new is helped, and whoever is there is to the end.
#[test]
fn a_port_goes_when_nobody_wants_it_and_its_sessions_go_on() {
    const SIZE: u64 = 30_000_000;
    cluster(|cluster| {
        cluster.listen()?;
        let mut service = recorded("external.json")?;
        cluster.api.apply(service.clone());
        let _running = cluster.start()?;
        cluster.port_is(2121, Some("discovered"))?;
        let (lab, server) = cluster.serving(Door::HostPort)?;
        assert_eq!(server.endpoint().port(), 2121);
        helps(cluster, &lab, &server)?;

        let large = format!("{DOWNLOADS}/large");
        let large = (
            Large::make(&lab.server, &server.file(&large), SIZE)?,
            large.as_str(),
        );
        let endpoint = server.endpoint();
        let ongoing = Ongoing::start(&lab.client, endpoint, Mode::Passive, large.1)?;
        let mut idle = Control::login(&lab.client, endpoint)?;
        annotate(&mut service, CONTROL_PORTS, None)?;
        cluster.api.apply(service);
        cluster.port_is(2121, Some("draining"))?;
        nothing_arrives(&lab, &server, Mode::Passive)?;
        ensure!(ongoing.arrived() < SIZE, "the transfer was over too early");

        let remote = format!("{DOWNLOADS}/small");
        let digest = payload::write(&server.file(&remote), 40_000, 3)?;
        let bytes = passive(&lab, &mut idle, None, &remote)?;
        assert_eq!(payload::digest_of(&bytes), digest);
        ongoing.finish(&large.0)?;
        idle.command("QUIT")?.expect_code(221)?;
        drop(idle);
        // Known for two minutes longer, for segments that are repeated.
        assert_eq!(cluster.port(2121)?.as_deref(), Some("draining"));
        Ok(())
    });
}

/// Downloads in passive mode. Announced has to be this address, if one is given; the
/// data connection goes to the server's in any case, as it does with a translation
/// further out.
fn passive(
    lab: &Lab,
    control: &mut Control,
    announced: Option<IpAddr>,
    remote: &str,
) -> Result<Vec<u8>> {
    let reply = control.command("PASV")?.expect_code(227)?;
    let reply: Announcement = reply.text.parse()?;
    let named = reply.endpoint().context("no address in 227")?;
    let known = lab.setup.dialled();
    let wanted = announced.unwrap_or(known.ip());
    ensure!(named.ip() == wanted, "{named} was announced");
    let to = (known.ip(), named.port());
    let data = lab.client.enter(|| Ok(TcpStream::connect(to)?))?;
    control
        .command(&format!("RETR {remote}"))?
        .expect_code(150)?;
    control.receive(data)
}

/// What was learned counts while the API is away, also for an agent that was started
/// meanwhile. When it is back, everything that has changed is noticed.
#[test]
fn the_api_may_go_away_and_come_back() {
    cluster(|cluster| {
        cluster.listen()?;
        let external = recorded("external.json")?;
        let mut other = recorded("external.json")?;
        other["metadata"]["name"] = "other".into();
        other["spec"]["ports"][0]["port"] = 2122.into();
        annotate(&mut other, CONTROL_PORTS, Some("2122"))?;
        cluster.api.apply(external.clone());
        cluster.api.apply(other.clone());
        let mut running = cluster.start()?;
        cluster.port_is(2121, Some("discovered"))?;
        cluster.port_is(2122, Some("discovered"))?;
        cluster.is("connected")?;
        let (lab, server) = cluster.serving(Door::HostPort)?;

        cluster.api.leave()?;
        let status = cluster.is("away")?;
        assert_eq!(status["services"][1]["name"], "partners/upload");
        assert!(status["connection"]["error"].is_string(), "{status:#}");
        helps(cluster, &lab, &server)?;
        assert_eq!(cluster.port(2122)?.as_deref(), Some("discovered"));
        // Nobody is told of a deletion that nobody watched.
        cluster.api.store().delete(&other);
        cluster.listen()?;
        cluster.port_is(2122, None)?;
        cluster.is("connected")?;
        cluster.api.leave()?;
        cluster.is("away")?;

        // Nobody has seen a Service since this start.
        running.stop(Signal::SIGTERM)?;
        let running = cluster.start()?;
        let status = cluster.is("away")?;
        assert_eq!(status["complete"], false);
        assert_eq!(cluster.port(2121)?.as_deref(), Some("discovered"));
        helps(cluster, &lab, &server)?;
        // Nor does a change of the settings forget it.
        running.reload("settings read again")?;
        assert_eq!(cluster.port(2121)?.as_deref(), Some("discovered"));
        drop(server);

        cluster.api.store().delete(&external);
        let mut balanced = recorded("balanced.json")?;
        annotate(&mut balanced, CONTROL_PORTS, Some("21"))?;
        cluster.api.apply(balanced);
        cluster.listen()?;
        cluster.port_is(21, Some("discovered"))?;
        cluster.is("connected")?;
        ensure!(cluster.port(2121)?.as_deref() != Some("discovered"));
        let (lab, server) = cluster.serving(Door::External)?;
        helps(cluster, &lab, &server)?;
        Ok(())
    });
}

/// An agent that can not reach the API helps what its configuration says, and goes on
/// asking.
#[test]
fn the_api_may_be_away_at_the_start() {
    cluster(|cluster| {
        let running = cluster.start_with(&["--control-port", "2121"])?;
        let (lab, server) = cluster.serving(Door::HostPort)?;
        helps(cluster, &lab, &server)?;
        cluster.is("away")?;
        let log = running.log()?;
        assert!(log.contains("no connection to the API of Kubernetes"));
        let table = cluster.agent.table(&["status"])?;
        assert!(table.contains("no Service seen yet"), "{table}");

        cluster.api.apply({
            let mut service = recorded("balanced.json")?;
            annotate(&mut service, CONTROL_PORTS, Some("21"))?;
            service
        });
        cluster.listen()?;
        cluster.port_is(30021, Some("discovered"))?;
        // The configuration's own is nobody else's.
        assert_eq!(cluster.port(2121)?.as_deref(), Some("open"));
        Ok(())
    });
}

/// A watch goes on from its last bookmark when its connection ends, and with a new
/// list when the API has forgotten where it was.
#[test]
fn a_watch_goes_on() {
    cluster(|cluster| {
        cluster.listen()?;
        let _running = cluster.start()?;
        cluster.is("connected")?;
        let watches = || {
            wait_for("two watches", LIMIT, || {
                Ok((cluster.api.store().watches() == 2).then_some(()))
            })
        };
        watches()?;
        let lists = |store: &[String]| {
            let lists = store.iter().filter(|line| line.contains("/services?"));
            lists.filter(|line| !line.contains("watch=")).count()
        };
        let before = lists(cluster.api.store().requests());
        let ends: [fn(&mut Store); 2] = [Store::cut, Store::time_out];
        for end in ends {
            let version = cluster.api.store().bookmark();
            // Read before the connection ends.
            std::thread::sleep(patient(Duration::from_secs(2)));
            end(&mut cluster.api.store());
            watches()?;
            let asked = cluster.api.store().requests().to_vec();
            let resumed = asked.iter().filter(|line| {
                line.contains("/services?") && line.contains(&format!("resourceVersion={version}"))
            });
            assert_eq!(resumed.count(), 1, "{asked:#?}");
            assert_eq!(lists(&asked), before, "{asked:#?}");
        }
        cluster.api.apply(recorded("external.json")?);
        cluster.port_is(2121, Some("discovered"))?;

        cluster.api.store().forget();
        watches()?;
        assert!(lists(cluster.api.store().requests()) > before);
        let mut service = recorded("external.json")?;
        service["spec"]["ports"][0]["port"] = 2122.into();
        annotate(&mut service, CONTROL_PORTS, Some("ftp"))?;
        cluster.api.apply(service);
        cluster.port_is(2122, Some("discovered"))?;
        cluster.port_is(2121, None)?;
        assert_eq!(cluster.status()?["connection"]["state"], "connected");
        Ok(())
    });
}

/// What is wrong is named, in the log, by `status` and in the metrics, and everything
/// else works.
#[test]
fn bad_annotations_are_named() {
    cluster(|cluster| {
        cluster.listen()?;
        let mut bad = recorded("balanced.json")?;
        annotate(&mut bad, CONTROL_PORTS, Some("21,telnet\u{1b}[31m"))?;
        annotate(&mut bad, ADVERTISE, Some("ftp.example.com"))?;
        cluster.api.apply(bad.clone());
        cluster.api.apply(recorded("external.json")?);
        let running = cluster.start_with(&["--metrics", "21021"])?;
        cluster.port_is(2121, Some("discovered"))?;
        cluster.port_is(21, Some("discovered"))?;
        let told = [
            "Service default/ftp, annotation ftp-helper.io/control-ports: `telnet\\u{1b}[31m` is \
             no port of the Service, which has 21 (ftp)",
            "Service default/ftp, annotation ftp-helper.io/advertise: `ftp.example.com` is no IP \
             address",
        ];
        let log = running.log()?;
        for line in told {
            assert_eq!(log.matches(line).count(), 1, "{line}\n{log}");
        }
        let status = cluster.status()?;
        let faults = status["faults"].as_array().context("no faults")?;
        assert_eq!(faults.len(), 2, "{status:#}");
        assert_eq!(faults[0]["service"], "default/ftp");
        let table = cluster.agent.table(&["status"])?;
        assert!(
            table.contains("`ftp.example.com` is no IP address"),
            "{table}"
        );
        assert!(table.contains("2 annotated Services, 2 faults"), "{table}");
        let scrape = || {
            cluster
                .lab
                .gateway
                .must("curl -sS --fail http://127.0.0.1:21021/metrics")
        };
        let text = scrape()?;
        for line in ["connected 1", "services 2", "faults 2"] {
            let line = format!("ftp_helper_kubernetes_{line}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        let (lab, server) = cluster.serving(Door::External)?;
        helps(cluster, &lab, &server)?;

        // Put right, it is not mentioned any more.
        annotate(&mut bad, CONTROL_PORTS, Some("21"))?;
        annotate(&mut bad, ADVERTISE, None)?;
        cluster.api.apply(bad);
        wait_for("no faults", LIMIT, || {
            Ok((cluster.status()?["faults"] == json!([])).then_some(()))
        })?;
        cluster.api.leave()?;
        cluster.is("away")?;
        wait_for("metrics of it", LIMIT, || {
            Ok(scrape()?
                .contains("ftp_helper_kubernetes_connected 0\n")
                .then_some(()))
        })
    });
}

/// A port stays for as long as anybody wants it: a Service, an administrator, or the
/// configuration.
#[test]
fn a_port_has_more_than_one_owner() {
    cluster(|cluster| {
        cluster.listen()?;
        let one = external("one", "2026-01-03T10:00:00Z")?;
        let two = external("two", "2026-01-04T10:00:00Z")?;
        for service in [&one, &two] {
            cluster.api.apply(service.clone());
        }
        let mut balanced = recorded("balanced.json")?;
        annotate(&mut balanced, CONTROL_PORTS, Some("21"))?;
        cluster.api.apply(balanced.clone());
        let mut configured = external("configured", "2026-01-05T10:00:00Z")?;
        configured["spec"]["ports"][0]["port"] = 990.into();
        annotate(&mut configured, CONTROL_PORTS, Some("990"))?;
        cluster.api.apply(configured.clone());
        let running = cluster.start()?;
        cluster.port_is(2121, Some("discovered"))?;
        assert_eq!(cluster.port(990)?.as_deref(), Some("open"));

        cluster.api.store().delete(&two);
        cluster.api.store().delete(&configured);
        wait_for("both deletions", LIMIT, || {
            let services = cluster.status()?["services"].take();
            Ok((services.as_array().map(Vec::len) == Some(2)).then_some(()))
        })?;
        assert_eq!(cluster.port(2121)?.as_deref(), Some("discovered"));
        assert_eq!(cluster.port(990)?.as_deref(), Some("open"));
        let (lab, server) = cluster.serving(Door::HostPort)?;
        helps(cluster, &lab, &server)?;
        drop(server);

        // The administrator wants 21 too, and nobody 2121.
        cluster.agent.table(&["port", "add", "21"])?;
        cluster.api.store().delete(&one);
        cluster.api.store().delete(&balanced);
        cluster.port_is(30021, None)?;
        cluster.port_is(21, Some("open"))?;
        wait_for("2121 to go", LIMIT, || {
            Ok((cluster.port(2121)?.as_deref() != Some("discovered")).then_some(()))
        })?;
        // Until the settings are read again, as always.
        running.reload("settings read again")?;
        cluster.port_is(21, None)?;
        cluster.port_is(990, Some("open"))?;
        Ok(())
    });
}

/// What the settings give up a Service may still want; all of it is in the file.
#[test]
fn a_port_passes_from_the_settings_to_a_service() {
    cluster(|cluster| {
        cluster.listen()?;
        cluster.api.apply(recorded("external.json")?);
        let path = Path::new(FILES).join("ftp-helper.toml");
        let write = |ports: &str| -> Result<()> {
            let text = format!(
                "interface = '{OUTSIDE}'\ncontrol-port = {ports}\nkubernetes = true\nnode-name = \
                 '{NODE}'\n"
            );
            Ok(fs::write(&path, text)?)
        };
        write("[990, 2121]")?;
        let config = path.to_string_lossy();
        let running = cluster.agent.start_through(
            "env",
            &cluster.environment,
            &["run", "--config", &config],
        )?;
        let status = cluster.is("connected")?;
        assert_eq!(status["node"], NODE);
        wait_for("the Service", LIMIT, || {
            Ok((cluster.status()?["complete"] == true).then_some(()))
        })?;
        assert_eq!(cluster.port(2121)?.as_deref(), Some("open"));
        write("[990]")?;
        running.reload("settings read again")?;
        assert_eq!(cluster.port(2121)?.as_deref(), Some("discovered"));
        let (lab, server) = cluster.serving(Door::HostPort)?;
        helps(cluster, &lab, &server)?;
        drop(server);

        // Without the setting what Services want goes, and with it it comes back.
        let text = fs::read_to_string(&path)?;
        fs::write(&path, text.replace("true", "false"))?;
        running.reload("settings read again")?;
        assert_ne!(cluster.port(2121)?.as_deref(), Some("discovered"));
        assert_eq!(cluster.status()?, Value::Null);
        fs::write(&path, text)?;
        running.reload("settings read again")?;
        cluster.port_is(2121, Some("discovered"))
    });
}

/// Each Service may have an address that stands for its own further out. Of two that
/// say different things of the same endpoint the older one has its way.
#[test]
fn a_service_announces_the_address_that_it_is_known_by() {
    cluster(|cluster| {
        cluster.listen()?;
        let translated: IpAddr = "198.51.100.77".parse()?;
        let mut old = external("old", "2026-01-03T10:00:00Z")?;
        annotate(&mut old, ADVERTISE, Some("198.51.100.77"))?;
        let mut new = external("new", "2026-01-04T10:00:00Z")?;
        annotate(&mut new, ADVERTISE, Some("198.51.100.88"))?;
        // Another Service, which is known by its own address.
        let mut other = recorded("balanced.json")?;
        annotate(&mut other, CONTROL_PORTS, Some("21"))?;
        for service in [&new, &old, &other] {
            cluster.api.apply(service.clone());
        }
        let running = cluster.start()?;
        cluster.port_is(2121, Some("discovered"))?;
        let fault = "Service partners/new, annotation ftp-helper.io/advertise: 198.51.100.88 is \
                     not announced for 203.0.113.1:2121: partners/old, which is older";
        assert!(running.log()?.contains(fault), "{}", running.log()?);

        let (lab, server) = cluster.serving(Door::HostPort)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), 40_000, 5)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let bytes = passive(&lab, &mut control, Some(translated), &remote)?;
        assert_eq!(payload::digest_of(&bytes), digest);
        let client = control.local()?.to_string();
        let told = cluster.agent.table(&["explain", &client])?;
        assert!(told.contains("198.51.100.77:"), "{told}");
        drop(server);
        let (seen, server) = cluster.serving(Door::External)?;
        helps(cluster, &seen, &server)?;
        drop(server);

        // The next one has its turn when the older one is gone; the port stays.
        cluster.api.store().delete(&old);
        wait_for("the other address", LIMIT, || {
            Ok((cluster.status()?["faults"] == json!([])).then_some(()))
        })?;
        let server = Server::start(&lab, ServerKind::Vsftpd)?;
        let digest = payload::write(&server.file(&remote), 40_000, 6)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let bytes = passive(&lab, &mut control, Some("198.51.100.88".parse()?), &remote)?;
        assert_eq!(payload::digest_of(&bytes), digest);
        Ok(())
    });
}

/// Node ports are at the node's addresses, which the API knows.
#[test]
fn the_address_of_a_node_port_is_the_nodes() {
    cluster(|cluster| {
        cluster.listen()?;
        let mut service = recorded("balanced.json")?;
        annotate(&mut service, CONTROL_PORTS, Some("ftp"))?;
        annotate(&mut service, ADVERTISE, Some("198.51.100.77"))?;
        cluster.api.apply(service);
        let _running = cluster.start()?;
        cluster.port_is(30021, Some("discovered"))?;
        let (lab, server) = cluster.serving(Door::NodePort)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), 40_000, 7)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let announced = Some("198.51.100.77".parse()?);
        let bytes = passive(&lab, &mut control, announced, &remote)?;
        assert_eq!(payload::digest_of(&bytes), digest);
        let status = cluster.status()?;
        assert_eq!(
            status["services"][0]["addresses"],
            json!(["203.0.113.1", "203.0.113.9"])
        );
        Ok(())
    });
}

/// What the agent may not do it says, with the rule that is missing; what it may do
/// works.
#[test]
fn a_missing_right_is_named() {
    cluster(|cluster| {
        cluster.listen()?;
        cluster.api.apply(recorded("external.json")?);
        cluster.api.store().refuse("nodes", Some(403));
        let running = cluster.start()?;
        // Nodes are for node ports with another address only.
        cluster.port_is(2121, Some("discovered"))?;
        let missing = |resource: &str| {
            format!(
                "{resource} is forbidden: User \"system:serviceaccount:ftp-helper:ftp-helper\" \
                 cannot list resource \"{resource}\" in API group \"\" at the cluster scope; a \
                 ClusterRole with the verbs get, list and watch for the resource {resource}"
            )
        };
        let status = cluster.is("away")?;
        let error = status["connection"]["error"].as_str().unwrap_or_default();
        assert!(error.contains(&missing("nodes")), "{error}");

        cluster.api.store().refuse("nodes", None);
        cluster.is("connected")?;
        cluster.api.store().refuse("services", Some(403));
        cluster.is("away")?;
        let log = running.log()?;
        assert!(log.contains(&missing("services")), "{log}");
        let (lab, server) = cluster.serving(Door::HostPort)?;
        helps(cluster, &lab, &server)?;

        cluster.api.store().refuse("services", None);
        cluster.is("connected")?;
        Ok(())
    });
}

/// Without `--kubernetes` what was learned goes, and nothing is asked any more.
#[test]
fn who_does_not_want_it_has_nothing_of_it() {
    cluster(|cluster| {
        cluster.listen()?;
        cluster.api.apply(recorded("external.json")?);
        let mut running = cluster.start()?;
        cluster.port_is(2121, Some("discovered"))?;
        // Asked for behind the lists.
        wait_for("two watches", LIMIT, || {
            Ok((cluster.api.store().watches() == 2).then_some(()))
        })?;
        running.stop(Signal::SIGTERM)?;
        let asked = cluster.api.store().requests().len();
        let _running = cluster.agent.start_for(OUTSIDE, &[CONFIGURED.parse()?])?;
        assert_eq!(cluster.port(2121)?, None);
        assert_eq!(cluster.status()?, Value::Null);
        assert_eq!(cluster.api.store().requests().len(), asked);
        Ok(())
    });
}
