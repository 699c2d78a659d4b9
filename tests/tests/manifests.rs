//! What is given to Kubernetes: kustomize's overlays and Helm's chart are rendered, and
//! looked at by the schemas of several versions, by the types of the API, and for what
//! the agent needs and what it must not have.

use std::{collections::BTreeSet, fs, process::Command, sync::OnceLock};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ftp_helper::kubernetes::service::Published;
use ftp_helper_tests::{
    agent::find_binary,
    manifests::{Scratch, Tools, directory},
    scenario::skip,
};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::{
            ConfigMap, Container, Namespace, PodSpec, Probe, SecurityContext, Service,
            ServiceAccount,
        },
        networking::v1::NetworkPolicy,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

const AGENT: &str = "ftp-helper";
const SETTINGS: &str = "ftp-helper.toml";

/// Everything of the chart that can be switched on.
fn all_values() -> Value {
    json!({
        "nodeSelector": null,
        "conntrackModule": true,
        "serviceDiscovery": {"enabled": true},
        "mountBpffs": {"enabled": true},
        "metrics": {"address": "ipv6", "port": 9500},
        "podMonitor": {"enabled": true, "labels": {"release": "prometheus"}},
        "networkPolicy": {"enabled": true},
        "image": {"digest": format!("sha256:{}", "0".repeat(64))},
        "imagePullSecrets": [{"name": "registry"}],
        "podAnnotations": {"example.com/note": "true"},
    })
}

/// Manifests of one rendering.
struct Rendering {
    name: &'static str,
    documents: Vec<Value>,
}

impl Rendering {
    /// All that are made here; an error where the schemas object to one.
    fn all(tools: &Tools) -> Result<Vec<Self>> {
        let kustomize = [
            ("gateways", "deploy/kubernetes/overlays/gateways"),
            ("all nodes", "deploy/kubernetes/overlays/all-nodes"),
            ("monitoring", "deploy/kubernetes/overlays/monitoring"),
            ("all components", "tests/manifests/everything"),
            ("services", "tests/manifests/services"),
        ];
        let charts = [
            ("chart", json!({})),
            ("chart, IPv4", json!({"metrics": {"address": "ipv4"}})),
            (
                "chart, Services",
                json!({"serviceDiscovery": {"enabled": true}}),
            ),
            ("chart, all switches", all_values()),
        ];
        let mut all = Vec::new();
        for (name, path) in kustomize {
            all.push(Self::new(tools, name, &tools.kustomize(path)?)?);
        }
        for (name, values) in charts {
            all.push(Self::new(tools, name, &tools.chart(&values, AGENT)?)?);
        }
        Ok(all)
    }

    fn new(tools: &Tools, name: &'static str, text: &str) -> Result<Self> {
        let checked = tools.check(text)?;
        ensure!(
            checked.faults.is_empty(),
            "{name}: {}",
            checked.faults.join("\n")
        );
        // A resource of the Prometheus operator, not of Kubernetes.
        let unknown: Vec<_> = checked
            .unchecked
            .iter()
            .filter(|kind| *kind != "PodMonitor")
            .collect();
        ensure!(unknown.is_empty(), "{name}: no schema of {unknown:?}");
        Ok(Self {
            name,
            documents: checked.documents,
        })
    }

    /// Whether the agent asks the API server in this one.
    fn asks(&self) -> bool {
        [
            "all components",
            "services",
            "chart, all switches",
            "chart, Services",
        ]
        .contains(&self.name)
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents
            .iter()
            .filter(move |document| document["kind"] == kind)
    }

    /// The only one of its kind.
    fn one<T: DeserializeOwned>(&self, kind: &str) -> Result<T> {
        let mut found = self.of_kind(kind);
        let one = found.next().with_context(|| format!("no {kind}"))?;
        ensure!(found.next().is_none(), "a second {kind}");
        Ok(serde_json::from_value(one.clone())?)
    }

    fn pod(&self) -> Result<PodSpec> {
        let set: DaemonSet = self.one("DaemonSet")?;
        let template = set.spec.context("no spec")?.template;
        template.spec.context("no pod")
    }

    /// The settings that the pod gets.
    fn settings(&self) -> Result<String> {
        let map: ConfigMap = self.one("ConfigMap")?;
        let named = self.pod()?.volumes.unwrap_or_default().into_iter();
        let mut named = named.filter_map(|volume| Some(volume.config_map?.name));
        ensure!(
            named.next() == map.metadata.name,
            "the pod has another ConfigMap"
        );
        let mut data = map.data.unwrap_or_default();
        data.remove(SETTINGS).context("no settings")
    }
}

/// The agent's container.
fn agent(pod: &PodSpec) -> Result<&Container> {
    let mut containers = pod.containers.iter();
    let agent = containers.next().context("no container")?;
    ensure!(agent.name == AGENT && containers.next().is_none());
    Ok(agent)
}

/// Each rendering, made once for all tests.
fn for_each(test: impl Fn(&Rendering) -> Result<()>) {
    static ALL: OnceLock<Result<Vec<Rendering>, String>> = OnceLock::new();

    with_tools(|tools| {
        let all = ALL.get_or_init(|| Rendering::all(tools).map_err(|error| format!("{error:#}")));
        for rendering in all.as_ref().map_err(|error| anyhow!("{error}"))? {
            test(rendering).with_context(|| rendering.name)?;
        }
        Ok(())
    });
}

fn with_tools(test: impl FnOnce(&Tools) -> Result<()>) {
    match Tools::find() {
        Ok(tools) => test(&tools).unwrap_or_else(|error| panic!("{error:#}")),
        Err(error) => skip(&format!("{error:#}")),
    }
}

/// As the API's own type, with nothing that the type does not know.
fn is_typed<T: DeserializeOwned + Serialize>(document: &Value) -> Result<()> {
    let typed: T = serde_json::from_value(document.clone())?;
    let back = serde_json::to_value(typed)?;
    ensure!(back == *document, "{document:#} came back as {back:#}");
    Ok(())
}

#[test]
fn every_manifest_is_of_its_type() {
    for_each(|rendering| {
        for document in &rendering.documents {
            match document["kind"].as_str().unwrap_or_default() {
                "ClusterRole" if rendering.asks() => is_typed::<ClusterRole>(document),
                "ClusterRoleBinding" if rendering.asks() => {
                    is_typed::<ClusterRoleBinding>(document)
                }
                "ConfigMap" => is_typed::<ConfigMap>(document),
                "DaemonSet" => is_typed::<DaemonSet>(document),
                "Namespace" => is_typed::<Namespace>(document),
                "NetworkPolicy" => is_typed::<NetworkPolicy>(document),
                "PodMonitor" => Ok(()),
                "ServiceAccount" => is_typed::<ServiceAccount>(document),
                // Roles above all, where the agent does not talk to the API server.
                kind => Err(anyhow!("unexpected {kind}")),
            }?;
        }
        Ok(())
    });
}

#[test]
fn the_agent_has_the_rights_that_it_needs_and_no_others() {
    for_each(|rendering| {
        let all = rendering.name.contains("all components") || rendering.name.contains("switches");
        let pod = rendering.pod()?;
        ensure!(pod.host_network == Some(true), "not in the node's network");
        ensure!(pod.dns_policy.as_deref() == Some("ClusterFirstWithHostNet"));
        ensure!(pod.host_pid.is_none() && pod.host_ipc.is_none());
        ensure!(pod.automount_service_account_token == Some(rendering.asks()));
        let account: ServiceAccount = rendering.one("ServiceAccount")?;
        ensure!(account.metadata.name == pod.service_account_name);
        ensure!(account.automount_service_account_token == Some(false));

        let agent = agent(&pod)?;
        let rights = agent.security_context.as_ref().context("no rights")?;
        confined(rights, all)?;
        ensure!(agent.lifecycle.is_none(), "something is done at the end");
        let limits = agent.resources.as_ref().and_then(|it| it.limits.as_ref());
        ensure!(limits.is_some_and(|limits| limits.contains_key("memory")));

        let init = pod.init_containers.as_deref().unwrap_or_default();
        ensure!(init.len() == usize::from(all), "init containers: {init:?}");
        let paths: Vec<_> = pod.volumes.iter().flatten().collect();
        let paths: Vec<_> = paths
            .iter()
            .filter_map(|it| it.host_path.as_ref())
            .collect();
        ensure!(paths.len() == 1 && paths[0].path == "/sys/fs/bpf");
        let mounts = agent.volume_mounts.iter().flatten();
        let bpffs: Vec<_> = mounts.filter(|it| it.mount_path == "/sys/fs/bpf").collect();
        ensure!(bpffs.len() == 1 && bpffs[0].read_only != Some(true));
        ensure!(bpffs[0].mount_propagation.as_deref() == Some("HostToContainer"));
        Ok(())
    });
}

/// Where the agent asks the API server, it may read Services and Nodes there, in no other
/// way and nothing else, and knows which of the nodes is its own.
#[test]
fn of_the_cluster_the_agent_reads_services_and_nodes_only() {
    for_each(|rendering| {
        let pod = rendering.pod()?;
        let agent = agent(&pod)?;
        let asks = agent.args.iter().flatten().any(|it| it == "--kubernetes");
        ensure!(asks == rendering.asks());
        let kinds = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
        let count = kinds.map(|kind| rendering.of_kind(kind).count());
        let expected = if asks { [0, 0, 1, 1] } else { [0; 4] };
        ensure!(count == expected, "{count:?} of {kinds:?}");
        let variables = agent.env.iter().flatten();
        let mut names = variables.filter(|variable| variable.name == "NODE_NAME");
        if !asks {
            ensure!(names.next().is_none());
            return Ok(());
        }
        let source = names.next().and_then(|it| it.value_from.as_ref());
        let source = source.and_then(|it| it.field_ref.as_ref());
        ensure!(source.is_some_and(|field| field.field_path == "spec.nodeName"));

        let role: ClusterRole = rendering.one("ClusterRole")?;
        ensure!(role.aggregation_rule.is_none());
        let [granted] = role.rules.as_deref().unwrap_or_default() else {
            bail!("not one rule: {role:?}");
        };
        let sorted = |words: Option<&Vec<String>>| -> BTreeSet<String> {
            words.into_iter().flatten().cloned().collect()
        };
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        ensure!(sorted(granted.api_groups.as_ref()) == words(&[""]));
        ensure!(sorted(granted.resources.as_ref()) == words(&["nodes", "services"]));
        ensure!(sorted(Some(&granted.verbs)) == words(&["get", "list", "watch"]));
        ensure!(granted.non_resource_urls.is_none());

        let binding: ClusterRoleBinding = rendering.one("ClusterRoleBinding")?;
        ensure!(binding.role_ref.kind == "ClusterRole");
        ensure!(Some(&binding.role_ref.name) == role.metadata.name.as_ref());
        let account: ServiceAccount = rendering.one("ServiceAccount")?;
        let [subject] = binding.subjects.as_deref().unwrap_or_default() else {
            bail!("not one subject: {binding:?}");
        };
        ensure!(subject.kind == "ServiceAccount");
        ensure!(Some(&subject.name) == account.metadata.name.as_ref());
        ensure!(subject.namespace == account.metadata.namespace && subject.namespace.is_some());

        if rendering.of_kind("NetworkPolicy").next().is_some() {
            let policy: NetworkPolicy = rendering.one("NetworkPolicy")?;
            let egress = policy.spec.and_then(|it| it.egress).unwrap_or_default();
            let ports = egress.iter().flat_map(|it| it.ports.iter().flatten());
            let mut ports = ports.filter_map(|it| it.port.clone());
            ensure!(
                ports.any(|port| port == IntOrString::Int(6443)),
                "the API is out of reach"
            );
        }
        Ok(())
    });
}

/// The three capabilities, and for kernel modules the one that it takes to load.
fn confined(rights: &SecurityContext, module: bool) -> Result<()> {
    let capabilities = rights.capabilities.as_ref().context("no capabilities")?;
    ensure!(capabilities.drop.iter().flatten().eq(["ALL"]));
    let added: BTreeSet<_> = capabilities
        .add
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let mut needed = BTreeSet::from(["BPF", "NET_ADMIN", "PERFMON"]);
    if module {
        needed.insert("SYS_ADMIN");
    }
    ensure!(added == needed, "{added:?}");
    ensure!(rights.privileged != Some(true), "privileged");
    // Kubernetes refuses the combination with CAP_SYS_ADMIN.
    let escalation = if module { None } else { Some(false) };
    ensure!(rights.allow_privilege_escalation == escalation);
    ensure!(rights.read_only_root_filesystem == Some(true));
    ensure!(rights.run_as_user == Some(0), "bpffs is root's");
    let seccomp = rights.seccomp_profile.as_ref();
    ensure!(seccomp.is_some_and(|profile| profile.type_ == "RuntimeDefault"));
    let apparmor = rights.app_armor_profile.as_ref();
    ensure!(apparmor.is_some_and(|profile| profile.type_ == "Unconfined"));
    Ok(())
}

#[test]
fn a_node_is_never_without_the_agent_for_long() {
    for_each(|rendering| {
        let set: DaemonSet = rendering.one("DaemonSet")?;
        let spec = set.spec.context("no spec")?;
        let update = spec.update_strategy.context("no strategy")?;
        ensure!(update.type_.as_deref() == Some("RollingUpdate"));
        let rolling = update.rolling_update.context("no numbers")?;
        ensure!(rolling.max_unavailable == Some(IntOrString::Int(1)));
        ensure!(rolling.max_surge == Some(IntOrString::Int(0)));

        let pod = spec.template.spec.context("no pod")?;
        ensure!(pod.priority_class_name.as_deref() == Some("system-node-critical"));
        let tolerations = pod.tolerations.unwrap_or_default();
        ensure!(tolerations.iter().any(|it| {
            it.operator.as_deref() == Some("Exists") && it.key.is_none() && it.effect.is_none()
        }));
        let selector = pod.node_selector.unwrap_or_default();
        ensure!(
            selector
                .get("kubernetes.io/os")
                .is_some_and(|os| os == "linux")
        );
        let everywhere = ["all nodes", "chart, all switches"].contains(&rendering.name);
        let labelled = selector
            .get("ftp-helper.io/gateway")
            .is_some_and(|it| it == "true");
        ensure!(labelled != everywhere, "{selector:?}");
        let labels = spec.template.metadata.and_then(|it| it.labels);
        let labels = labels.context("no labels")?;
        let wanted = spec.selector.match_labels.context("no selector")?;
        ensure!(
            !wanted.is_empty()
                && wanted
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
        );
        Ok(())
    });
}

/// What `$(HOST_IP)` stands for on some node.
fn arguments(agent: &Container, address: &str) -> Vec<String> {
    let words = agent.args.iter().flatten();
    words
        .map(|word| word.replace("$(HOST_IP)", address))
        .collect()
}

/// Every argument and every setting exists and is taken, by a start and by the binary's
/// own check.
#[test]
fn the_agent_takes_its_arguments_and_settings() {
    let program = find_binary().unwrap();
    for_each(|rendering| {
        let pod = rendering.pod()?;
        let settings = Scratch::new(SETTINGS, rendering.settings()?.as_bytes())?;
        let path = settings.0.to_string_lossy().into_owned();
        let mut agent = agent(&pod)?.clone();
        for word in agent.args.iter_mut().flatten() {
            *word = word.replace(&format!("/etc/ftp-helper/{SETTINGS}"), &path);
        }
        let address = if rendering.name.contains("switches") {
            "2001:db8::1"
        } else {
            "192.0.2.1"
        };
        let words = arguments(&agent, address);
        ensure!(words.first().is_some_and(|word| word == "run") && words.contains(&path));
        // Taken, and then stopped by the place for pins, which is none.
        let nowhere = ["--pin-dir", "/nowhere/at/all"];
        let output = Command::new(&program).args(words).args(nowhere).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            said.contains("BPF file system") || said.contains("missing CAP_"),
            "{said}"
        );

        let output = Command::new(&program)
            .args(["config", "check", &path])
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    });
}

/// Where the agent serves metrics: the flag, or else the setting.
fn served_at(rendering: &Rendering, agent: &Container) -> Result<String> {
    let words = agent.args.iter().flatten();
    let flag = words
        .filter_map(|word| word.strip_prefix("--metrics="))
        .next_back();
    if let Some(flag) = flag {
        return Ok(flag.to_owned());
    }
    let settings = rendering.settings()?;
    let line = settings
        .lines()
        .find_map(|line| line.strip_prefix("metrics = "));
    Ok(line.context("no metrics")?.trim_matches('"').to_owned())
}

/// Probes and Prometheus ask where the agent answers.
#[test]
fn probes_ask_where_the_agent_answers() {
    for_each(|rendering| {
        let pod = rendering.pod()?;
        let agent = agent(&pod)?;
        let served = served_at(rendering, agent)?;
        let (address, port) = served.rsplit_once(':').context("no port")?;
        let ports = agent.ports.as_deref().unwrap_or_default();
        ensure!(ports.len() == 1 && ports[0].name.as_deref() == Some("metrics"));
        ensure!(
            ports[0].container_port.to_string() == port,
            "served on {port}"
        );
        // The kubelet asks at the pod's address if not told another, which is the node's.
        let host = (address == "127.0.0.1").then_some(address);
        ensure!(host.is_some() || address.trim_matches(['[', ']']) == "$(HOST_IP)");
        if host.is_none() {
            let variables = agent.env.as_deref().unwrap_or_default();
            let source = variables.iter().find(|it| it.name == "HOST_IP");
            let source = source.and_then(|it| it.value_from.as_ref()?.field_ref.as_ref());
            ensure!(source.is_some_and(|field| field.field_path == "status.hostIP"));
        }
        for (probe, path) in [
            (&agent.startup_probe, "/healthz"),
            (&agent.liveness_probe, "/healthz"),
            (&agent.readiness_probe, "/readyz"),
        ] {
            asks(probe.as_ref(), host, path).with_context(|| path.to_owned())?;
        }
        for monitor in rendering.of_kind("PodMonitor") {
            ensure!(host.is_none(), "Prometheus can not reach {served}");
            let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
            ensure!(endpoint["port"] == "metrics" && endpoint["path"] == "/metrics");
            let set: DaemonSet = rendering.one("DaemonSet")?;
            let labels = set.spec.context("no spec")?.selector.match_labels;
            ensure!(monitor["spec"]["selector"]["matchLabels"] == json!(labels));
        }
        Ok(())
    });
}

fn asks(probe: Option<&Probe>, host: Option<&str>, path: &str) -> Result<()> {
    let get = probe
        .and_then(|probe| probe.http_get.as_ref())
        .context("no probe")?;
    ensure!(get.path.as_deref() == Some(path), "{:?}", get.path);
    ensure!(get.port == IntOrString::String("metrics".to_owned()));
    ensure!(get.host.as_deref() == host, "asks at {:?}", get.host);
    Ok(())
}

/// No image is whatever a name means today.
#[test]
fn images_are_of_one_version() {
    for_each(|rendering| {
        let pod = rendering.pod()?;
        let containers = pod
            .containers
            .iter()
            .chain(pod.init_containers.iter().flatten());
        for container in containers {
            let image = container.image.as_deref().context("no image")?;
            if image.contains("@sha256:") {
                continue;
            }
            let (_, tag) = image.rsplit_once(':').context("no tag")?;
            if container.name == AGENT {
                ensure!(tag == env!("CARGO_PKG_VERSION"), "{image}");
            } else {
                ensure!(tag.starts_with(|it: char| it.is_ascii_digit()), "{image}");
            }
        }
        Ok(())
    });
}

/// Both ways to install make the same pod.
#[test]
fn the_chart_is_as_the_overlay() {
    with_tools(|tools| {
        let overlay = tools.kustomize("deploy/kubernetes/overlays/gateways")?;
        let overlay = Rendering::new(tools, "gateways", &overlay)?;
        let chart = Rendering::new(tools, "chart", &tools.chart(&json!({}), AGENT)?)?;
        let metrics = |it: &String| !it.starts_with("--metrics=");
        let comparable = |rendering: &Rendering| -> Result<PodSpec> {
            let mut pod = rendering.pod()?;
            for volume in pod.volumes.iter_mut().flatten() {
                if let Some(map) = &mut volume.config_map {
                    // Ends in a hash.
                    map.name.truncate(AGENT.len());
                }
            }
            for container in &mut pod.containers {
                container
                    .args
                    .iter_mut()
                    .for_each(|words| words.retain(metrics));
            }
            Ok(pod)
        };
        assert_eq!(comparable(&overlay)?, comparable(&chart)?);
        let lines = |text: String| -> Vec<String> {
            let lines = text
                .lines()
                .map(str::trim)
                .filter(|it| !it.starts_with('#'));
            let lines = lines.filter(|it| !it.is_empty() && !it.starts_with("metrics ="));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(lines(overlay.settings()?), lines(chart.settings()?));
        for (rendering, what) in [(&overlay, "kustomize"), (&chart, "Helm")] {
            let pod = rendering.pod()?;
            assert_eq!(
                served_at(rendering, agent(&pod)?)?,
                "127.0.0.1:21021",
                "{what}"
            );
        }
        Ok(())
    });
}

/// The chart's schema and templates refuse what can not work, and say why.
#[test]
fn the_chart_refuses_what_can_not_work() {
    with_tools(|tools| {
        for (values, part) in [
            (json!({"podMonitor": {"enabled": true}}), "metrics.address"),
            (json!({"metrics": {"port": 0}}), "/metrics/port"),
            (
                json!({"metrics": {"address": "0.0.0.0"}}),
                "/metrics/address",
            ),
            (json!({"config": "strict = true\n"}), "/config"),
            (json!({"image": {"tag": "latest"}}), "/image/tag"),
            (json!({"nodeSelectors": {}}), "nodeSelectors"),
        ] {
            let error = tools.chart(&values, AGENT).unwrap_err().to_string();
            assert!(error.contains(part), "{values}: {error}");
        }
        for message in tools.lint()?.as_array().context("no list")? {
            // 1 is for information.
            ensure!(message["severity"].as_u64() <= Some(1), "{message}");
        }
        Ok(())
    });
}

/// Another text of the settings rolls the DaemonSet.
#[test]
fn other_settings_make_another_pod() {
    with_tools(|tools| {
        let template = |values: Value| -> Result<Value> {
            let chart = Rendering::new(tools, "chart", &tools.chart(&values, AGENT)?)?;
            Ok(chart.one::<Value>("DaemonSet")?["spec"]["template"].take())
        };
        let other = json!({"config": "interface = \"eth1\"\n"});
        assert_ne!(template(json!({}))?, template(other)?);
        let overlay = tools.kustomize("deploy/kubernetes/overlays/gateways")?;
        let overlay = Rendering::new(tools, "gateways", &overlay)?;
        let map: ConfigMap = overlay.one("ConfigMap")?;
        let name = map.metadata.name.context("no name")?;
        assert!(name.len() > AGENT.len() + 5, "{name} has no hash");
        Ok(())
    });
}

/// The chart has the version of the workspace.
#[test]
fn the_chart_has_this_version() {
    let path = directory("deploy/helm/ftp-helper/Chart.yaml");
    let chart = fs::read_to_string(path).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("version: {version}"),
        format!("appVersion: \"{version}\""),
    ] {
        assert!(chart.lines().any(|it| it == line), "no {line:?}");
    }
}

/// The example publishes the control port alone, on the node that has the server.
#[test]
fn the_example_publishes_one_port() {
    with_tools(|tools| {
        let text = tools.kustomize("deploy/kubernetes/examples/one-port-ftp")?;
        let example = Rendering::new(tools, "example", &text)?;
        for document in &example.documents {
            match document["kind"].as_str().unwrap_or_default() {
                "Deployment" => is_typed::<Deployment>(document)?,
                _ => is_typed::<Service>(document)?,
            }
        }
        let service: Service = example.one("Service")?;
        let published = Published::read(&service).context("no annotation")?;
        ensure!(published.faults.is_empty(), "{published:?}");
        ensure!(published.control_ports().eq([21, 30021]));
        let service = service.spec.context("no spec")?;
        ensure!(service.external_traffic_policy.as_deref() == Some("Local"));
        let ports = service.ports.unwrap_or_default();
        ensure!(ports.len() == 1 && ports[0].port == 21 && ports[0].node_port == Some(30021));

        let deployment: Deployment = example.one("Deployment")?;
        let template = deployment.spec.context("no spec")?.template;
        let labels = template
            .metadata
            .and_then(|it| it.labels)
            .unwrap_or_default();
        let selector = service.selector.unwrap_or_default();
        ensure!(
            !selector.is_empty()
                && selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
        );
        let pod = template.spec.context("no pod")?;
        let target = ports[0].target_port.clone().context("no target")?;
        let mut open = pod
            .containers
            .iter()
            .flat_map(|it| it.ports.iter().flatten());
        ensure!(
            open.any(|port| port.name.clone().map(IntOrString::String) == Some(target.clone()))
        );
        Ok(())
    });
}
