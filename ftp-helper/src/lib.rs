//! The user half of ftp-helper: loads and attaches the TC programs, reports what
//! they do, and shows their maps.
//!
//! * [`datapath`]: everything that speaks to the kernel's BPF side, and the only
//!   place that uses aya.
//! * [`agent`]: what `ftp-helper run` does around it: settings, events, removal
//!   of what has expired.
//! * [`pins`]: the directory on bpffs that outlives the agent.
//! * [`at_work`], [`readers`]: who holds its lock, and who beside root may read it.
//! * [`inspect`]: what there is to see in the maps.
//! * [`explain`]: why a data connection did not come; [`top`]: what happens now.
//! * [`preflight`]: what has to be there before a start, each thing with its own
//!   clear refusal.
//! * [`privileges`]: what the agent gives up once it has started.
//! * [`doctor`]: what on this gateway keeps FTP from being helped.
//! * [`kubernetes`]: Services that say that they speak FTP.
//! * [`metrics`]: what the agent tells monitoring about it all.
//! * [`admin`]: the agent's socket, and [`notify`]: what it tells its service manager.
//! * [`cli`] and [`output`]: the command line, one file per command;
//!   [`failure`] has the exit codes.

pub mod admin;
pub mod agent;
pub mod at_work;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control_ports;
pub mod datapath;
pub mod device;
pub mod doctor;
pub mod explain;
pub mod failure;
pub mod inspect;
pub mod kubernetes;
pub mod logging;
pub mod mark;
pub mod metrics;
pub mod network;
pub mod notify;
pub mod output;
pub mod pins;
pub mod ports;
pub mod preflight;
pub mod privileges;
pub mod readers;
pub mod top;
