//! The user half of ftp-helper: loads and attaches the TC programs, reports what
//! they do, and shows their maps.
//!
//! * [`datapath`]: everything that speaks to the kernel's BPF side, and the only
//!   place that uses aya.
//! * [`agent`]: what `ftp-helper run` does around it: settings, events, removal
//!   of what has expired.
//! * [`pins`]: the directory on bpffs that outlives the agent.
//! * [`preflight`]: what has to be there before a start, each thing with its own
//!   clear refusal.
//! * [`doctor`]: what on this gateway keeps FTP from being helped.
//! * [`metrics`]: what the agent tells monitoring about it all.
//! * [`cli`] and [`output`]: the command line, one file per command.

pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control_ports;
pub mod datapath;
pub mod device;
pub mod doctor;
pub mod logging;
pub mod mark;
pub mod metrics;
pub mod network;
pub mod output;
pub mod pins;
pub mod ports;
pub mod preflight;
