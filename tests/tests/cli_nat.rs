//! The announced address of an interface, changed by hand.

use anyhow::Result;
use ftp_helper_tests::{
    agent::Agent,
    control::Control,
    scenario::helped_scenario,
    server::{DOWNLOADS, Server, ServerKind},
    setup::Setup,
};
use nix::sys::signal::Signal;

fn origin(agent: &Agent) -> Result<String> {
    let list = agent.json(&["nat", "list"])?;
    assert_eq!(list[0]["type"], "interface", "{list:#}");
    let advertised = &list[0]["advertised"];
    let address = advertised["address"].as_str().unwrap_or("-");
    Ok(format!(
        "{address} {}",
        advertised["origin"].as_str().unwrap_or_default()
    ))
}

#[test]
fn it_is_announced_until_the_agent_starts_again() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let wan = lab.setup.addresses.wan.to_string();
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        // What the server receives for an announcement.
        let mut announce = || {
            let listener = control.listen()?;
            control.command(&listener.announcement.to_string())?;
            let received = server.announcements()?.pop();
            let address = received.and_then(|received| received.address);
            anyhow::Ok(
                address
                    .map(|address| address.to_string())
                    .unwrap_or_default(),
            )
        };
        assert_eq!(announce()?, wan);
        assert_eq!(origin(agent)?, "- packet");

        let said = agent.table(&["nat", "add", "wan0", "198.51.100.9"])?;
        assert!(said.contains("until the agent starts again"), "{said}");
        assert_eq!(announce()?, "198.51.100.9");
        assert_eq!(origin(agent)?, "198.51.100.9 command");
        // It needs no agent either.
        running.stop(Signal::SIGKILL)?;
        agent.table(&["nat", "add", "wan0", "198.51.100.10"])?;
        assert_eq!(announce()?, "198.51.100.10");
        agent.table(&["nat", "del", "wan0"])?;
        assert_eq!(announce()?, wan);
        agent.table(&["nat", "add", "wan0", "198.51.100.11"])?;

        let arguments = ["run", "-i", "wan0", "--advertise", "wan0=198.51.100.12"];
        let mut second = agent.start_with(&arguments)?;
        assert_eq!(origin(agent)?, "198.51.100.12 configuration");
        assert_eq!(announce()?, "198.51.100.12");
        second.stop(Signal::SIGTERM)?;
        let _third = agent.start()?;
        assert_eq!(origin(agent)?, "- packet");

        // Transfers are as before.
        let remote = format!("{DOWNLOADS}/file");
        std::fs::write(server.file(&remote), b"content")?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        assert_eq!(control.retrieve(&remote)?, b"content");
        Ok(())
    });
}
