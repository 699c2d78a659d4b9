//! The lab without ftp-helper: what it is for is really broken there.

use anyhow::Result;
use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    lab::Lab,
    scenario::scenario,
    server::{Server, ServerKind},
    setup::{Helper, Setup},
    transfers::Transfers,
};

#[test]
fn vsftpd_refuses_active_mode() {
    scenario(Setup::default(), |lab| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut transfers = Transfers::new();
        transfers.download(lab, &server, 1024)?;

        let transcript = ClientKind::Curl.run(
            &lab.client,
            server.endpoint(),
            Mode::Active,
            &transfers.steps,
        )?;

        // curl's 30: "The server did not accept the PORT command."
        assert_eq!(transcript.output.status.code(), Some(30), "{transcript:?}");
        let received = server.announcements()?;
        assert_eq!(received, transcript.announcements()?);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].address, Some(lab.setup.addresses.client));
        let replies = server.replies()?;
        assert!(
            replies
                .iter()
                .any(|line| line == "500 Illegal PORT command."),
            "{replies:?}"
        );
        assert!(transfers.arrived().is_err());
        Ok(())
    });
}

#[test]
fn no_client_gets_a_file_from_pyftpdlib_in_active_mode() {
    scenario(Setup::default(), |lab| {
        let server = Server::start(lab, ServerKind::Pyftpdlib)?;
        for client in ClientKind::ALL {
            let mut transfers = Transfers::new();
            transfers.download(lab, &server, 1024)?;
            let transcript = client.run(
                &lab.client,
                server.endpoint(),
                Mode::Active,
                &transfers.steps,
            )?;
            assert!(
                !transcript.output.status.success(),
                "{}: {transcript:?}",
                client.name()
            );
            assert!(transfers.arrived().is_err(), "{}", client.name());
        }
        for announcement in server.announcements()? {
            assert_eq!(announcement.address, Some(lab.setup.addresses.client));
        }
        Ok(())
    });
}

#[test]
fn passive_mode_works() {
    scenario(Setup::default(), |lab| {
        for kind in ServerKind::ALL {
            let server = Server::start(lab, kind)?;
            for client in ClientKind::ALL {
                exchange_with(lab, &server, client, Mode::Passive)?;
            }
        }
        Ok(())
    });
}

/// The lab's way is sound: the kernel's own helper makes the transfers work
/// that are refused above.
#[test]
fn the_kernels_helper_makes_active_mode_work() {
    scenario(
        Setup {
            helper: Helper::Kernel,
            ..Setup::default()
        },
        |lab| {
            for kind in ServerKind::ALL {
                let server = Server::start(lab, kind)?;
                for client in ClientKind::ALL {
                    exchange_with(lab, &server, client, Mode::Active)?;
                }
            }
            Ok(())
        },
    );
}

fn exchange_with(lab: &Lab, server: &Server, client: ClientKind, mode: Mode) -> Result<()> {
    let mut transfers = Transfers::new();
    transfers.list(lab, server, "listed")?;
    for size in [0, 1, 100_000] {
        transfers.download(lab, server, size)?;
        transfers.upload(lab, server, size)?;
    }
    exchange(lab, server, client, mode, &transfers)?;
    Ok(())
}
