//! A helped data connection is the kernel's own: conntrack knows it.

use ftp_helper_tests::{
    control::Control,
    payload,
    scenario::helped_scenario,
    server::{DOWNLOADS, Server, ServerKind},
    setup::Setup,
};

#[test]
fn an_open_data_connection_is_listed_with_its_translation() {
    helped_scenario(Setup::default(), |lab, _, _| {
        lab.limit_buffers()?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/large");
        let digest = payload::write(&server.file(&remote), 4 << 20, 1)?;
        let addresses = lab.setup.addresses;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let listener = control.listen()?;
        let data = control.begin(&listener, &remote)?;

        let outside = server
            .announcements()?
            .pop()
            .expect("the server received PORT");
        let entries = lab.gateway.must(&format!(
            "conntrack -L -p tcp --orig-src {} --orig-dst {} --orig-port-dst {}",
            addresses.server, addresses.wan, outside.port
        ))?;
        let entries: Vec<_> = entries.lines().collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        for part in [
            "ESTABLISHED".to_owned(),
            format!(
                "src={} dst={} sport=20 dport={}",
                addresses.server, addresses.wan, outside.port
            ),
            format!(
                "src={} dst={} sport={} dport=20",
                addresses.client, addresses.server, listener.announcement.port
            ),
        ] {
            assert!(entries[0].contains(&part), "no {part:?} in {}", entries[0]);
        }

        let bytes = control.receive(data)?;
        assert_eq!(payload::digest_of(&bytes), digest);
        Ok(())
    });
}
