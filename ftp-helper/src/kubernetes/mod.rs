//! Services of Kubernetes that say themselves that they speak FTP.
//!
//! A Service with the annotation `ftp-helper.io/control-ports` makes ports control
//! ports on every outside interface of the node, for as long as it says so.
//! `ftp-helper.io/advertise` is the address that its clients know it by, where that
//! is translated further out.
//!
//! * [`annotation`]: what may be written there.
//! * [`service`], [`node`]: what of the API's objects counts.
//! * [`wanted`]: what all Services together ask for, and which one has its way where
//!   two do not agree.
//! * [`discovered`]: how that gets into the maps, beside the settings and what an
//!   administrator has added.
//! * [`feed`], [`trouble`], [`discovery`]: the connection to the API, and its end.
//! * [`report`]: what there is to tell about it all.
//!
//! The programs never wait for the API: what was learned last is in the pinned maps,
//! and stays there while the API is away, and when the agent is started again
//! meanwhile. Nothing is ever written to the API.

pub mod annotation;
pub mod discovered;
pub mod discovery;
pub mod feed;
pub mod node;
pub mod options;
pub mod report;
pub mod service;
pub mod trouble;
pub mod wanted;

pub use self::{
    discovered::Discovered,
    discovery::{Discovery, Reports},
    options::Options,
    report::{Fault, Report},
    wanted::Wanted,
};
