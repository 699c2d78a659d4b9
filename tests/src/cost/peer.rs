//! Those that are measured side by side.

/// What a gateway does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// It forwards, without a single rule.
    Routing,
    /// It filters and translates, and nobody helps FTP.
    Masquerade,
    /// The same as before, once more: how far two measurements of one thing differ.
    MasqueradeAgain,
    /// The same, with a program that does nothing in the places of ftp-helper's: what the
    /// kernel takes to run any.
    Attached,
    /// With the kernel's helper.
    Kernel,
    /// The same as before, once more.
    KernelAgain,
    /// With ftp-helper.
    Ours,
    /// Open vSwitch's own datapath, in a process.
    OpenVswitch,
    /// conntrackd's helper, a process that the kernel sends packets to.
    Conntrackd,
}

impl Peer {
    /// What the tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Routing => "plain routing",
            Self::Masquerade => "masquerade",
            Self::MasqueradeAgain => "masquerade, once more",
            Self::Attached => "empty programs",
            Self::Kernel => "nf_nat_ftp",
            Self::KernelAgain => "nf_nat_ftp, once more",
            Self::Ours => super::OURS,
            Self::OpenVswitch => "Open vSwitch",
            Self::Conntrackd => "conntrackd",
        }
    }
}
