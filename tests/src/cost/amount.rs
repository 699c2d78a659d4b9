//! How much is measured.

use std::time::Duration;

/// How much is measured: every loop of a run has its end from here.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Its name.
    pub name: &'static str,
    /// Runs of a program in one call of the kernel.
    pub runs: u32,
    /// Pairs of such calls.
    pub pairs: usize,
    /// Single runs, each with a session of its own.
    pub singles: usize,
    /// Rounds of everything that goes through a gateway: in each of them everybody has
    /// one turn.
    pub rounds: usize,
    /// Further rounds of what has to be known to a hundredth.
    pub fine_rounds: usize,
    /// How long one of their turns loads the gateway.
    pub fine_turn: Duration,
    /// Rounds of FTP of those that are compared closely.
    pub close_rounds: usize,
    /// How long one of their turns loads the gateway: so many clients have to be logged in
    /// before it counts.
    pub close_turn: Duration,
    /// How long any other turn does.
    pub turn: Duration,
    /// How much one turn of iperf3 is, in its own words.
    pub bulk: [&'static str; 2],
    /// No further round of the same kind begins after this.
    pub budget: Duration,
    /// How often a client does what is asked for ftp-helper's own part of it.
    pub own: u64,
    /// How many clients load it.
    pub clients: &'static [usize],
    /// Bytes of a large file.
    pub file: u64,
    /// A transfer that takes longer ends early; its speed counts all the same.
    pub transfer: Duration,
    /// Rounds of large transfers.
    pub transfer_rounds: usize,
    /// Announcements whose way through the gateway is timed, in one turn.
    pub announcements: usize,
    /// Sessions and expectations that live at once.
    pub fill: &'static [u32],
    /// Packets of different sessions, at each of these.
    pub probes: usize,
    /// How long the agent is watched at each of them.
    pub watch: Duration,
}

impl Amount {
    /// What `docs/benchmarks.md` is made from: about half an hour.
    pub const FULL: Self = Self {
        name: "full",
        runs: 50_000,
        pairs: 101,
        singles: 2_000,
        rounds: 6,
        fine_rounds: 700,
        fine_turn: Duration::from_millis(100),
        close_rounds: 30,
        close_turn: Duration::from_millis(200),
        turn: Duration::from_millis(400),
        budget: Duration::from_secs(85),
        bulk: ["--time", "1"],
        own: 250,
        clients: &[1, 8, 64],
        file: 1 << 30,
        transfer: Duration::from_millis(2500),
        transfer_rounds: 6,
        announcements: 400,
        fill: &[1_000, 10_000, 100_000],
        probes: 2_000,
        watch: Duration::from_secs(5),
    };

    /// A look: about two minutes.
    pub const QUICK: Self = Self {
        name: "quick",
        runs: 20_000,
        pairs: 25,
        singles: 500,
        rounds: 2,
        fine_rounds: 20,
        fine_turn: Duration::from_millis(100),
        close_rounds: 6,
        close_turn: Duration::from_millis(150),
        turn: Duration::from_millis(200),
        budget: Duration::from_secs(10),
        bulk: ["--bytes", "300M"],
        own: 100,
        clients: &[1, 64],
        file: 1 << 28,
        transfer: Duration::from_secs(1),
        transfer_rounds: 1,
        announcements: 100,
        fill: &[1_000, 10_000],
        probes: 500,
        watch: Duration::from_secs(2),
    };

    /// Nothing that could be called a measurement: shows that everything runs.
    pub const TINY: Self = Self {
        name: "tiny",
        runs: 100,
        pairs: 2,
        singles: 3,
        rounds: 1,
        fine_rounds: 1,
        fine_turn: Duration::from_millis(40),
        close_rounds: 1,
        close_turn: Duration::from_millis(40),
        turn: Duration::from_millis(40),
        budget: Duration::from_secs(1),
        bulk: ["--bytes", "1M"],
        own: 3,
        clients: &[1, 2],
        file: 1 << 20,
        transfer: Duration::from_millis(300),
        transfer_rounds: 1,
        announcements: 3,
        fill: &[100],
        probes: 5,
        watch: Duration::from_millis(100),
    };
}
