//! What the image says about itself; `deploy/Containerfile` says the same.

/// The program that it runs.
pub(super) const ENTRYPOINT: &str = "/usr/bin/ftp-helper";

/// Where programs are looked for, as by `kubectl exec`.
pub(super) const SEARCH_PATH: &str = "/usr/bin";

/// Labels.
pub(super) const LABELS: [(&str, &str); 3] = [
    ("org.opencontainers.image.title", "ftp-helper"),
    (
        "org.opencontainers.image.description",
        "Conntrack helper for FTP in TC eBPF: agent and command line",
    ),
    (
        "org.opencontainers.image.licenses",
        "(MIT OR Apache-2.0) AND (GPL-2.0-only OR MIT)",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn the_containerfile_says_the_same() {
        let path = workspace::root().join("deploy/Containerfile");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, last_stage) = text.split_once("FROM scratch\n").unwrap();
        let mut lines = vec!["COPY --from=build /rootfs /".to_owned()];
        lines.extend(LABELS.map(|(key, value)| format!("LABEL {key}=\"{value}\"")));
        lines.push(format!("ENV PATH=\"{SEARCH_PATH}\""));
        lines.push(format!("ENTRYPOINT [\"{ENTRYPOINT}\"]"));
        assert_eq!(last_stage.lines().collect::<Vec<_>>(), lines);
    }
}
