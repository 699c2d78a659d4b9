//! The faults.

mod agent;
mod clock;
mod conntrack;
mod events;
mod link;
mod memory;
mod tables;

use super::Fault;

/// All of them, in the order of the table.
pub(super) const ALL: &[Fault] = &[
    Fault {
        name: "killed",
        title: "the agent is killed again and again, at any point of its start too, some starts \
                with tables of another size",
        kernel: true,
        grouped: false,
        run: agent::killed,
    },
    Fault {
        name: "race",
        title: "two agents are started at once for the same interface and pins, again and again",
        kernel: true,
        grouped: false,
        run: agent::race,
    },
    Fault {
        name: "reload",
        title: "the configuration changes, right and wrong, fifty times a second",
        kernel: true,
        grouped: false,
        run: agent::reload,
    },
    Fault {
        name: "sessions_full",
        title: "more control connections than the table of sessions takes",
        kernel: false,
        grouped: false,
        run: tables::sessions,
    },
    Fault {
        name: "expectations_full",
        title: "more awaited data connections than their table takes",
        kernel: false,
        grouped: false,
        run: tables::expectations,
    },
    Fault {
        name: "events_full",
        title: "the agent stands still, and more happens than the ring of events takes",
        kernel: true,
        grouped: false,
        run: events::full,
    },
    Fault {
        name: "conntrack_full",
        title: "the kernel's connection table is full when data connections come, and has room \
                again before they give up",
        kernel: true,
        grouped: false,
        run: conntrack::full,
    },
    Fault {
        name: "link",
        title: "an interface goes down and up again in the middle of transfers, outside or inside",
        kernel: true,
        grouped: false,
        run: link::down_and_up,
    },
    Fault {
        name: "clock",
        title: "the agent's clock jumps by a day while data connections are awaited",
        kernel: true,
        grouped: false,
        run: clock::jump,
    },
    Fault {
        name: "memory",
        title: "a limit for the agent's memory, too low for a start, and then too low for new \
                entries of its maps",
        kernel: false,
        grouped: true,
        run: memory::limited,
    },
];
