//! What differs between two settings.

use super::{Selection, Settings};

/// The keys, as in the configuration file, of the settings that differ.
pub(super) fn changes(old: &Settings, new: &Settings) -> Vec<String> {
    // Named one by one, so that none is forgotten.
    let Settings {
        selection,
        // What is there follows from the selection.
        present: _,
        ports,
        expectation_timeout,
        denied_ports,
        session_limit,
        client_limit,
        fxp,
        ccc,
        require_login,
        strict,
        ct_mark,
        skb_mark,
        technique,
        orders,
        metrics,
        group,
        kubernetes,
        // What Services want follows from them.
        discovered: _,
    } = old;
    let node = |settings: &Settings| settings.kubernetes.clone().map(|options| options.node);
    let Selection {
        outsides,
        insides,
        control_ports,
        advertise,
        ct_zones,
        detect,
    } = selection;
    let differs = [
        ("interface", *outsides != new.selection.outsides),
        ("inside", *insides != new.selection.insides),
        (
            "control-port",
            *control_ports != new.selection.control_ports,
        ),
        ("advertise", *advertise != new.selection.advertise),
        ("ct-zone", *ct_zones != new.selection.ct_zones),
        ("detect", *detect != new.selection.detect),
        ("port-range", *ports != new.ports),
        (
            "expectation-timeout",
            *expectation_timeout != new.expectation_timeout,
        ),
        ("deny-ports", *denied_ports != new.denied_ports),
        ("session-limit", *session_limit != new.session_limit),
        ("client-limit", *client_limit != new.client_limit),
        ("fxp", *fxp != new.fxp),
        ("ccc", *ccc != new.ccc),
        ("require-login", *require_login != new.require_login),
        ("strict", *strict != new.strict),
        ("ct-mark", *ct_mark != new.ct_mark),
        ("skb-mark", *skb_mark != new.skb_mark),
        ("attach", *technique != new.technique),
        ("order", *orders != new.orders),
        ("metrics", *metrics != new.metrics),
        ("group", *group != new.group),
        (
            "kubernetes",
            kubernetes.is_some() != new.kubernetes.is_some(),
        ),
        ("node-name", node(old) != node(new)),
    ];
    let differing = differs.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key.to_owned()).collect()
}
