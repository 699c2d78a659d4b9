//! What of a Node counts.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::core::v1::Node;

/// The kinds of addresses that clients connect to; the others are names.
const KINDS: [&str; 2] = ["ExternalIP", "InternalIP"];

/// The addresses at which this node has its node ports.
pub fn addresses(node: &Node) -> BTreeSet<IpAddr> {
    let status = node.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_ref());
    addresses
        .into_iter()
        .flatten()
        .filter(|address| KINDS.contains(&address.type_.as_str()))
        .filter_map(|address| address.address.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_of_a_node() {
        let node = json!({"status": {"addresses": [
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "InternalIP", "address": "fd00::1"},
            {"type": "ExternalIP", "address": "203.0.113.1"},
            {"type": "Hostname", "address": "192.0.2.99"},
        ]}});
        let node: Node = serde_json::from_value(node).unwrap();
        let found: Vec<String> = addresses(&node).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1", "203.0.113.1", "fd00::1"]);
        assert!(addresses(&Node::default()).is_empty());
    }
}
