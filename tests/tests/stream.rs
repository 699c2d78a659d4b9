//! Lines and segments are different things.

use std::{thread::sleep, time::Duration};

use ftp_helper_tests::{
    control::Control,
    payload,
    scenario::helped_scenario,
    server::{DOWNLOADS, Server, ServerKind},
    setup::Setup,
};

const PAUSE: Duration = Duration::from_millis(50);

/// The announcement is neither the first nor the last line of its segment.
#[test]
fn several_lines_in_one_segment() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), 10_000, 1)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        for _ in 0..5 {
            let listener = control.listen()?;
            let lines = format!("NOOP\r\n{}\r\nNOOP\r\n", listener.announcement);
            control.send_bytes(lines.as_bytes())?;
            for _ in 0..3 {
                control.reply()?.expect_code(200)?;
            }
            let received = server.announcements()?.pop().and_then(|at| at.address);
            assert_eq!(received, Some(lab.setup.addresses.wan));
            let data = control.ask(&listener, &remote)?;
            let bytes = control.receive(data)?;
            assert_eq!(payload::digest_of(&bytes), digest);
        }
        Ok(())
    });
}

/// The announcement is cut in two at every place.
#[test]
fn one_line_in_two_segments() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), 1000, 1)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let length = control.listen()?.announcement.to_string().len() + 2;
        for cut in 1..length {
            let listener = control.listen()?;
            let line = format!("{}\r\n", listener.announcement);
            let (first, second) = line.split_at(cut.min(line.len() - 1));
            control.send_bytes(first.as_bytes())?;
            sleep(PAUSE);
            control.send_bytes(second.as_bytes())?;
            control.reply()?.expect_code(200)?;
            let received = server.announcements()?.pop().and_then(|at| at.address);
            assert_eq!(received, Some(lab.setup.addresses.wan), "cut at {cut}");
            let data = control.ask(&listener, &remote)?;
            let bytes = control.receive(data)?;
            assert_eq!(payload::digest_of(&bytes), digest, "cut at {cut}");
        }
        Ok(())
    });
}

#[test]
fn every_byte_in_a_segment_of_its_own() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), 1000, 1)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        for _ in 0..5 {
            let listener = control.listen()?;
            for byte in format!("{}\r\n", listener.announcement).bytes() {
                control.send_bytes(&[byte])?;
                sleep(Duration::from_millis(2));
            }
            control.reply()?.expect_code(200)?;
            let received = server.announcements()?.pop().and_then(|at| at.address);
            assert_eq!(received, Some(lab.setup.addresses.wan));
            let data = control.ask(&listener, &remote)?;
            let bytes = control.receive(data)?;
            assert_eq!(payload::digest_of(&bytes), digest);
        }
        Ok(())
    });
}
