//! Announcements that are not to be helped pass as they are, and are counted.

use ftp_helper_tests::{
    control::Control,
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::Setup,
};
use serde_json::Value;

#[test]
fn each_has_its_reason() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let server = Server::start(lab, ServerKind::Pyftpdlib)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let cases = [
            ("PORT 10,0,0,99,200,1", "third_party"),
            ("PORT 203,0,113,2,200,1", "third_party"),
            ("PORT 10,0,0,2,0,25", "low_port"),
            ("PORT 10,0,0,2,200", "bad_syntax"),
            ("PORT 10,0,0,2,0,0", "bad_port"),
        ];
        for (number, (line, reason)) in cases.into_iter().enumerate() {
            let before = agent.count(reason)?;
            let reply = control.command(line)?;
            assert!(reply.code >= 500, "{line}: {}", reply.text);
            let received = server.commands()?.pop();
            assert_eq!(received.as_deref(), Some(line));
            assert_eq!(agent.count(reason)?, before + 1, "{line}");
            let list = agent.json(&["session", "list"])?;
            let session = &list[0];
            assert_eq!(session["refused"], number + 1, "{session:#}");
            assert_eq!(session["last_refusal"], reason, "{session:#}");
            assert_eq!(
                agent.json(&["expect", "list"])?,
                Value::Array(Vec::new()),
                "{line}"
            );
            running.says(reason)?;
        }
        assert_eq!(agent.count("announcement_rewritten")?, 0);
        // And a good one is helped still.
        let listener = control.listen()?;
        control
            .command(&listener.announcement.to_string())?
            .expect_code(200)?;
        assert_eq!(agent.count("announcement_rewritten")?, 1);
        Ok(())
    });
}
