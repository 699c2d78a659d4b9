//! What a run starts on the lab's hosts: the same binary, told to do one thing.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use super::{
    fill,
    load::{
        Until,
        client::{self, Mode},
        server, web,
    },
    stamps,
};

/// One thing to do; its result goes to standard output, as JSON.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Serve FTP and requests
    #[command(hide = true)]
    Serve {
        /// Port of FTP
        ftp: u16,
        /// Port of requests
        web: u16,
    },
    /// Load with FTP
    #[command(hide = true)]
    Ftp {
        /// What is done again and again
        #[arg(value_enum)]
        what: Unit,
        /// The server
        server: SocketAddr,
        /// Who opens data connections
        #[arg(value_enum)]
        mode: Mode,
        /// How many clients
        #[arg(long, default_value_t = 1)]
        clients: usize,
        /// For so many milliseconds
        #[arg(long, conflicts_with = "count")]
        milliseconds: Option<u64>,
        /// So often
        #[arg(long, default_value_t = 1)]
        count: u64,
    },
    /// Fetch one large file
    #[command(hide = true)]
    Transfer {
        /// The server
        server: SocketAddr,
        /// Who opens the data connection
        #[arg(value_enum)]
        mode: Mode,
        /// Its size
        bytes: u64,
        /// Longest time, in milliseconds
        milliseconds: u64,
    },
    /// Load with connections that are not FTP's
    #[command(hide = true)]
    Web {
        /// The server
        server: SocketAddr,
        /// How many clients
        clients: usize,
        /// For so many milliseconds
        #[arg(long, conflicts_with = "count")]
        milliseconds: Option<u64>,
        /// So often
        #[arg(long, default_value_t = 1)]
        count: u64,
    },
    /// Time announcements and first packets on their way through the gateway
    #[command(hide = true)]
    Stamps(stamps::Arguments),
    /// Fill the tables of the programs, and measure in between
    #[command(hide = true)]
    Fill(fill::Arguments),
    /// Time single packets among many sessions
    #[command(hide = true)]
    Probe {
        /// Where to pin
        pins: PathBuf,
        /// How many packets
        probes: usize,
        /// How many sessions and expectations, each in tables of its own
        levels: Vec<u32>,
    },
}

/// What a client does again and again.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Unit {
    /// A whole session
    Sessions,
    /// A file, on the same control connection
    Files,
}

impl Task {
    /// Does it.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Serve { ftp, web } => serve(ftp, web),
            Self::Ftp {
                what,
                server,
                mode,
                clients,
                milliseconds,
                count,
            } => {
                let until = until(milliseconds, count);
                print(&match what {
                    Unit::Sessions => client::sessions(server, mode, clients, until),
                    Unit::Files => client::files(server, mode, clients, until),
                })
            }
            Self::Transfer {
                server,
                mode,
                bytes,
                milliseconds,
            } => {
                let limit = Duration::from_millis(milliseconds);
                print(&client::transfer(server, mode, bytes, limit)?)
            }
            Self::Web {
                server,
                clients,
                milliseconds,
                count,
            } => print(&web::requests(server, clients, until(milliseconds, count))),
            Self::Stamps(arguments) => print(&stamps::take(&arguments)?),
            Self::Fill(arguments) => print(&fill::fill(&arguments)?),
            Self::Probe {
                pins,
                probes,
                levels,
            } => print(&fill::probe(&pins, &levels, probes)?),
        }
    }
}

fn until(milliseconds: Option<u64>, count: u64) -> Until {
    match milliseconds {
        Some(time) => Until::Elapsed(Duration::from_millis(time)),
        None => Until::Done(count),
    }
}

/// Threads that answer requests.
const ANSWERING: usize = 8;

fn serve(ftp: u16, web: u16) -> Result<()> {
    let listen = |port| {
        std::net::TcpListener::bind(("0.0.0.0", port))
            .with_context(|| format!("can not listen on port {port}"))
    };
    let (ftp, web) = (listen(ftp)?, listen(web)?);
    println!("ready");
    std::thread::scope(|scope| {
        scope.spawn(|| web::serve(&web, ANSWERING));
        server::serve(&ftp)
    })
}

fn print(result: &impl serde::Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(result).context("no JSON")?);
    Ok(())
}
