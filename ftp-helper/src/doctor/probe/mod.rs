//! How things are read. Nothing here judges.

pub mod command;
pub mod conntrack;
pub mod features;
pub mod iptables;
pub mod link;
mod netlink;
pub mod nft;
pub mod nft_match;
mod patience;
pub mod stops;
pub mod sysctl;
pub mod tc;

pub use self::patience::Patience;
