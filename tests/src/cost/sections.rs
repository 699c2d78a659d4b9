//! What goes through a gateway, as sections.

use anyhow::Result;

use super::{
    amount::Amount,
    peer::Peer,
    report::{Better, Section},
    samples::Head,
    traffic,
};

/// The names for `--only`.
pub const SESSIONS: &str = "sessions";
/// See [`SESSIONS`].
pub const TRANSFER: &str = "transfer";
/// The table of files; the others are called as their sections.
pub const FILES: &str = "files";

const fn head<'a>(name: &'a str, title: &'a str, unit: &'a str, digits: usize) -> Head<'a> {
    Head {
        name,
        title,
        unit,
        digits,
        better: Better::Higher,
        anchor: Peer::Kernel.name(),
    }
}

/// The table of what is ftp-helper's own.
pub const OWN: &str = "own";

/// How that is measured.
pub(super) const OWN_METHOD: &str = "What of it is ftp-helper's is measured in turns of \
     their own, in which the kernel times every run of its programs (`BPF_ENABLE_STATS`, which \
     itself costs some tens of nanoseconds a run), with all kernel functions that they call; the \
     scheduler knows the agent's time. Eight clients load the gateway meanwhile.";

/// The head of that table.
pub(super) const fn own_head(title: &str, digits: usize) -> Head<'_> {
    Head {
        name: OWN,
        title,
        unit: "µs of processor time",
        digits,
        better: Better::Lower,
        anchor: "",
    }
}

/// Sessions and files a second.
pub fn sessions(amount: &Amount) -> Result<Section> {
    let [sessions, files, own] = traffic::sessions(amount)?;
    Ok(Section {
        name: SESSIONS.to_owned(),
        title: "FTP sessions and files".to_owned(),
        method: vec![
            format!(
                "A session is: connect, log in, `PORT` or `PASV`, fetch a file of 1 KiB, `QUIT`. \
                 A file is: `PORT` or `PASV`, and the same file, on a control connection that \
                 stays. Clients and server are threads that do nothing else; in a turn of {} ms \
                 what is done counts, and one failure makes the turn one that failed. They share \
                 the processors with the gateway, as everything else here.",
                amount.turn.as_millis()
            ),
            format!(
                "{} rounds of {} ms come first, of nf_nat_ftp, ftp-helper and *nf_nat_ftp, once \
                 more*, whose ratio tells how fine these numbers are. In them ftp-helper is not \
                 started for each turn: its programs are attached and taken off again, and its \
                 agent is stopped (`SIGSTOP`) while others have the gateway, so its work of all \
                 turns falls into its own.",
                amount.close_rounds,
                amount.close_turn.as_millis()
            ),
            "*Passive, client inside* needs no help, and shows what helpers cost there. Open \
             vSwitch has its devices without offloads, because its datapath in user space \
             completes no checksums. ftp-helper has room for 131072 sessions: it keeps a closed \
             one for two minutes, as conntrack does."
                .to_owned(),
            OWN_METHOD.to_owned(),
        ],
        tables: vec![
            sessions.table(head(SESSIONS, "Sessions", "sessions/s", 0)),
            files.table(head(FILES, "Files on one control connection", "files/s", 0)),
            own.table(own_head("What of it is ftp-helper's", 1)),
        ],
        ..Section::default()
    })
}

/// Throughput of large files.
pub fn transfers(amount: &Amount) -> Result<Section> {
    let samples = traffic::transfers(amount)?;
    Ok(Section {
        name: TRANSFER.to_owned(),
        title: "Transfer of a large file".to_owned(),
        method: vec![format!(
            "A file of {} MiB, from memory to nowhere; what takes longer than {} s is ended, and \
             its speed counts. *TSO off* means that the sender cuts every segment itself (TSO \
             and GSO off on all devices), so the gateway sees each single packet.",
            amount.file >> 20,
            amount.transfer.as_secs_f64()
        )],
        tables: vec![samples.table(head(TRANSFER, "Throughput", "MB/s", 0))],
        ..Section::default()
    })
}
