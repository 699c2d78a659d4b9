//! The container image, run as the DaemonSet says: with an OCI runtime, in the network of
//! a node with a server in a pod, and with no more rights than the manifest gives.
//!
//! `cargo xtask test` makes what is in the image and says where it is, in the environment
//! variable `FTP_HELPER_ROOTFS`; by hand that is
//!
//! ```text
//! cargo xtask image --debug --rootfs DIR
//! FTP_HELPER_ROOTFS=DIR cargo test --package ftp-helper-tests --test image
//! ```

use std::{
    env, fs,
    path::{self, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use ftp_helper_tests::{
    api_stub::{ApiStub, annotate, recorded},
    check::transfer,
    client::{ClientKind, Mode},
    control::Control,
    lab::Lab,
    manifests::Tools,
    node::{self, Door, Node, OUTSIDE, Proxy},
    pod::{self, Mount, Pod, Spec, Volume},
    scenario::{has_root, scenario, skip},
    server::{Server, ServerKind},
    setup::{Backend, Family, Inside},
    wait::wait_for,
};
use k8s_openapi::{
    api::{
        apps::v1::DaemonSet,
        core::v1::{ConfigMap, Container, PodSpec, Probe, Volume as Source},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::Value;

/// The image's entrypoint, which has the arguments of the manifest behind it.
const ENTRYPOINT: &str = "/usr/bin/ftp-helper";

/// What the agent logs when it has started.
const READY: &str = "ready";

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, as the kernel shows them.
const THREE: u64 = 1 << 12 | 1 << 38 | 1 << 39;

/// The DaemonSet's pod, on a node whose way outside is called otherwise.
struct Manifest {
    pod: PodSpec,
    settings: String,
}

impl Manifest {
    fn new(tools: &Tools, path: &str) -> Result<Self> {
        let text = tools.kustomize(path)?;
        let mut documents = tools.check(&text)?.documents;
        let mut one = |kind: &str| {
            let found = documents.iter_mut().find(|it| it["kind"] == kind);
            found.map(Value::take).with_context(|| format!("no {kind}"))
        };
        let set: DaemonSet = serde_json::from_value(one("DaemonSet")?)?;
        let map: ConfigMap = serde_json::from_value(one("ConfigMap")?)?;
        let settings = map.data.and_then(|mut data| data.remove("ftp-helper.toml"));
        let settings = settings.context("no settings")?;
        let ours = |line: &str| match line.split(" = ").next() {
            Some("interface") => format!("interface = ['{OUTSIDE}']\n"),
            Some("control-port") => {
                format!("control-port = [21, {}]\n", Door::NodePort.port())
            }
            _ => format!("{line}\n"),
        };
        let pod = set.spec.context("no spec")?.template.spec;
        Ok(Self {
            pod: pod.context("no pod")?,
            settings: settings.lines().map(ours).collect(),
        })
    }

    fn agent(&self) -> Result<&Container> {
        self.pod.containers.first().context("no container")
    }

    /// For the runtime.
    fn spec(&self) -> Result<Spec> {
        let agent = self.agent()?;
        let rights = agent.security_context.as_ref().context("no rights")?;
        let added = rights.capabilities.as_ref().and_then(|it| it.add.as_ref());
        let mounts = agent.volume_mounts.iter().flatten().map(|mount| {
            let volumes = self.pod.volumes.iter().flatten();
            let mut volumes = volumes.filter(|volume| volume.name == mount.name);
            let source = volumes.next().context("no volume")?;
            Ok(Mount {
                at: mount.mount_path.clone(),
                volume: self.volume(source)?,
                read_only: mount.read_only == Some(true),
            })
        });
        let arguments = agent.args.iter().flatten().cloned();
        Ok(Spec {
            words: std::iter::once(ENTRYPOINT.to_owned())
                .chain(arguments)
                .collect(),
            environment: vec![("PATH".to_owned(), "/usr/bin".to_owned())],
            capabilities: added
                .into_iter()
                .flatten()
                .map(|it| format!("CAP_{it}"))
                .collect(),
            escalates: rights.allow_privilege_escalation != Some(false),
            read_only: rights.read_only_root_filesystem == Some(true),
            mounts: mounts.collect::<Result<_>>()?,
        })
    }

    fn volume(&self, source: &Source) -> Result<Volume> {
        if source.config_map.is_some() {
            let file = ("ftp-helper.toml".to_owned(), self.settings.clone());
            return Ok(Volume::Files(vec![file]));
        }
        if source.empty_dir.is_some() {
            return Ok(Volume::Empty);
        }
        match &source.host_path {
            Some(host) => Ok(Volume::Host(host.path.clone())),
            None => bail!("{} is a volume of another kind", source.name),
        }
    }

    /// Asks as the kubelet does.
    fn probe(&self, lab: &Lab, probe: Option<&Probe>) -> Result<String> {
        let get = probe
            .and_then(|probe| probe.http_get.as_ref())
            .context("no probe")?;
        let IntOrString::String(name) = &get.port else {
            bail!("a number");
        };
        let mut ports = self.agent()?.ports.iter().flatten();
        let port = ports
            .find(|port| port.name.as_ref() == Some(name))
            .context("no port")?;
        let host = get.host.as_deref().context("no host")?;
        let path = get.path.as_deref().unwrap_or_default();
        let url = format!("http://{host}:{}{path}", port.container_port);
        lab.gateway.must(&format!("curl -sS --fail {url}"))
    }
}

/// Where the files of the image are.
fn rootfs() -> PathBuf {
    let given = env::var_os("FTP_HELPER_ROOTFS");
    let given = given.expect("FTP_HELPER_ROOTFS names what `cargo xtask image --rootfs` made");
    path::absolute(given).unwrap()
}

/// Runs `body` on a node with a server in a pod, at hand as [`Door::NodePort`].
fn on_a_node(body: impl FnOnce(&Lab, &Lab, Manifest) -> Result<()> + Send) {
    on_a_node_with("deploy/kubernetes/overlays/gateways", body);
}

/// The same with the manifests of this directory.
fn on_a_node_with(path: &str, body: impl FnOnce(&Lab, &Lab, Manifest) -> Result<()> + Send) {
    if !has_root() {
        return;
    }
    if let Some(why) = pod::missing() {
        skip(&why);
        return;
    }
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(error) => {
            skip(&format!("{error:#}"));
            return;
        }
    };
    let manifest = Manifest::new(&tools, path).unwrap_or_else(|error| panic!("{error:#}"));
    let proxy = Proxy::Iptables(Backend::Nft);
    scenario(node::setup(proxy, Inside::Server, Family::V4), |lab| {
        let node = Node::start(lab, 1)?;
        let seen = node.serving(0, Door::NodePort)?;
        body(lab, &seen, manifest)
    });
}

/// A listing, a download and an upload in passive mode, with one port published.
fn helps(seen: &Lab, server: &Server) -> Result<u64> {
    Ok(transfer(seen, server, ClientKind::Curl, Mode::Passive)?.len() as u64)
}

/// What a command prints with `-o json`.
fn json(pod: &Pod, words: &[&str]) -> Result<Value> {
    let words = [&["ftp-helper"], words, &["-o", "json"]].concat();
    let output = pod.exec(&words)?.success(&words.join(" "))?;
    Ok(serde_json::from_str(&output.stdout)?)
}

fn matched(pod: &Pod) -> Result<u64> {
    let stats = json(pod, &["stats"])?;
    let rows = stats["items"].as_array().context("no rows")?;
    let row = rows
        .iter()
        .find(|row| row["reason"] == "expectation_matched");
    row.and_then(|row| row["count"].as_u64())
        .context("no count")
}

#[test]
fn the_image_helps_with_the_rights_of_the_manifest() {
    on_a_node(|lab, seen, manifest| {
        let spec = manifest.spec()?;
        let server = Server::start(seen, ServerKind::Vsftpd)?;
        ensure!(helps(seen, &server).is_err(), "helped before the start");

        let pod = Pod::start(lab, &rootfs(), &spec, READY)?;
        is_confined(&pod)?;
        let agent = manifest.agent()?;
        for probe in [
            &agent.startup_probe,
            &agent.liveness_probe,
            &agent.readiness_probe,
        ] {
            manifest.probe(lab, probe.as_ref())?;
        }
        let done = helps(seen, &server)?;
        ensure!(done > 0 && matched(&pod)? == done);
        shows_what_it_does(lab, seen, &server, &pod)?;

        // Nothing is cleaned up at the end; the next one goes on from there.
        pod.stop()?;
        let more = helps(seen, &server)?;
        let pod = Pod::start(lab, &rootfs(), &spec, READY)?;
        let total = done + more + helps(seen, &server)?;
        ensure!(matched(&pod)? == total);
        Ok(())
    });
}

/// As the kernel sees it, whatever the runtime was told.
fn is_confined(pod: &Pod) -> Result<()> {
    let process = pod.process()?;
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let mut lines = status.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        found.with_context(|| format!("no {name}"))
    };
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        let held = u64::from_str_radix(field(name)?, 16)?;
        ensure!(held == THREE, "{name} is {held:x}");
    }
    ensure!(field("NoNewPrivs")? == "1");
    let files = fs::read_dir(format!("/proc/{process}/root/usr/bin"))?;
    ensure!(files.count() == 1, "there is more than the agent");
    let write = pod.exec(&["ftp-helper", "man", "--dir", "/usr/share/man"])?;
    ensure!(
        !write.status.success() && write.stderr.contains("Read-only"),
        "the root can be written to: {write:?}"
    );
    Ok(())
}

/// What `kubectl exec` is used for.
fn shows_what_it_does(lab: &Lab, seen: &Lab, server: &Server, pod: &Pod) -> Result<()> {
    let control = Control::login(&lab.client, server.endpoint())?;
    let local = control.local()?;
    let sessions = json(pod, &["session", "list"])?.to_string();
    ensure!(sessions.contains(&local.ip().to_string()), "{sessions}");
    ensure!(sessions.contains(&seen.setup.inside_address().to_string()));
    let status = pod.exec(&["ftp-helper", "status"])?.success("status")?;
    ensure!(status.stdout.contains(OUTSIDE), "{}", status.stdout);
    // It finds no program of the firewall's in the image, and says so.
    let doctor = pod.exec(&["ftp-helper", "doctor"])?;
    ensure!(doctor.stdout.contains(OUTSIDE), "{doctor:?}");
    let reload = pod.exec(&["ftp-helper", "reload"])?;
    reload.success("reload")?;
    Ok(())
}

/// With the component for it the image watches Services, with a token that is mounted
/// into its read-only root, and no other right than before.
#[test]
fn the_image_watches_services() {
    let api = ApiStub::start().unwrap();
    on_a_node_with("tests/manifests/services", |lab, seen, mut manifest| {
        api.apply(recorded("node.json")?);
        let mut service = recorded("balanced.json")?;
        annotate(&mut service, "ftp-helper.io/control-ports", Some("ftp"))?;
        api.apply(service);
        api.listen(&lab.gateway)?;
        // Nothing but the Service says what its node port is.
        let node_port = Door::NodePort.port().to_string();
        manifest.settings = manifest.settings.replace(&node_port, "990");
        let mut spec = manifest.spec()?;
        spec.environment.extend(api.environment()?);
        let named = manifest.agent()?.env.iter().flatten();
        ensure!(named.map(|it| it.name.as_str()).eq(["NODE_NAME"]));
        spec.environment
            .push(("NODE_NAME".to_owned(), "node-a".to_owned()));
        let (at, files) = api.files();
        spec.mounts.push(Mount {
            at: at.to_owned(),
            volume: Volume::Files(files),
            read_only: true,
        });
        let server = Server::start(seen, ServerKind::Vsftpd)?;
        let pod = Pod::start(lab, &rootfs(), &spec, READY)?;
        is_confined(&pod)?;
        wait_for("the Service", Duration::from_secs(120), || {
            let ports = json(&pod, &["port", "list"])?["items"].take();
            let ports = ports.as_array().context("no list")?;
            let mut ports = ports.iter();
            Ok(ports
                .any(|port| port["port"] == 30021 && port["state"] == "discovered")
                .then_some(()))
        })?;
        let done = helps(seen, &server)?;
        ensure!(done > 0 && matched(&pod)? == done);
        pod.stop()
    });
}

/// The rights are what makes it work: without any one of them the start says which.
#[test]
fn a_missing_right_is_named() {
    on_a_node(|lab, _, manifest| {
        let whole = manifest.spec()?;
        for missing in ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"] {
            let mut spec = whole.clone();
            spec.capabilities.retain(|capability| capability != missing);
            let Err(error) = Pod::start(lab, &rootfs(), &spec, READY) else {
                bail!("it starts without {missing}");
            };
            let told = format!("missing {missing}");
            ensure!(format!("{error:#}").contains(&told), "{error:#}");
        }
        let mut spec = whole;
        spec.mounts.retain(|mount| mount.at != "/sys/fs/bpf");
        let Err(error) = Pod::start(lab, &rootfs(), &spec, READY) else {
            bail!("it starts without bpffs");
        };
        ensure!(
            format!("{error:#}").contains("BPF file system"),
            "{error:#}"
        );
        Ok(())
    });
}
