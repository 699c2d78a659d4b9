//! What is to be watched.

use std::fs;

/// Name of this host, as the kubelet sees it too.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What is to be watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The name of this node.
    pub node: String,
}

impl Options {
    /// For the node of this name, or for the one that is called like this host, which
    /// is what a kubelet calls its node unless it is told otherwise.
    pub fn new(node: Option<&str>) -> Self {
        let host = || {
            // An empty name is that of no node, which is told then.
            let host = fs::read_to_string(HOST_NAME).unwrap_or_default();
            host.trim().to_lowercase()
        };
        let node = node.map_or_else(host, ToOwned::to_owned);
        Self { node }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_like_its_host() {
        assert_eq!(Options::new(Some("node-a")).node, "node-a");
        let host = Options::new(None).node;
        assert!(!host.is_empty() && host == host.to_lowercase(), "{host}");
    }
}
