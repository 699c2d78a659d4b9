//! Events as log lines, one line each.

use ftp_helper_common::{
    event::Event,
    grammar::Kind,
    reason::{Class, Reason},
};
use tracing::{Level, enabled, info, warn};

use crate::{
    device::Names,
    output::{endpoint, known_endpoint},
};

/// Logs an event: normal work as information, everything else as a warning.
pub(super) fn log(event: &Event, names: &mut Names) {
    let Some(reason) = Reason::from_number(event.reason) else {
        warn!("event of the unknown reason {}", event.reason);
        return;
    };
    let is_work = reason.class() == Class::Work;
    if is_work && !enabled!(Level::INFO) {
        return;
    }
    // A busy gateway has thousands of them a second, and one text costs much less than a
    // field for each of its parts.
    let mut line = String::with_capacity(256);
    let mut add = |parts: &[&str]| line.extend(parts.iter().copied());
    add(&[reason.word()]);
    let kind = Kind(event.kind);
    if kind != Kind::OTHER {
        add(&[" kind=", kind.word()]);
    }
    add(&[" interface=", names.of(event.ifindex)]);
    if let Some(near) = known_endpoint(&event.session.outside) {
        let far = endpoint(&event.session.peer);
        add(&[" session=", &near, "<->", &far]);
    }
    for (name, value) in [(" inside=", &event.inside), (" outside=", &event.outside)] {
        if let Some(value) = known_endpoint(value) {
            add(&[name, &value]);
        }
    }
    if is_work {
        info!("{line}");
    } else {
        add(&[" help=\"", reason.help(), "\""]);
        warn!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
    };

    use ftp_helper_common::{
        address::{Address, Endpoint},
        session::SessionKey,
    };

    use super::*;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sink.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(event: &Event) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .finish();
        let mut names = Names::default();
        tracing::subscriber::with_default(subscriber, || log(event, &mut names));
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn at(address: [u8; 4], port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4(address), port)
    }

    fn event(reason: Reason) -> Event {
        Event {
            session: SessionKey {
                outside: at([203, 0, 113, 1], 40000),
                peer: at([203, 0, 113, 2], 21),
            },
            inside: at([10, 0, 0, 2], 45678),
            outside: at([203, 0, 113, 1], 45678),
            reason: reason as u8,
            kind: Kind::PORT.0,
            ifindex: 0x7fff_0000,
            ..Event::default()
        }
    }

    #[test]
    fn work_is_information() {
        assert_eq!(
            logged(&event(Reason::AnnouncementRewritten)),
            " INFO announcement_rewritten kind=PORT interface=if2147418112 \
             session=203.0.113.1:40000<->203.0.113.2:21 inside=10.0.0.2:45678 \
             outside=203.0.113.1:45678\n"
        );
    }

    #[test]
    fn a_refusal_is_a_warning_that_explains_itself() {
        let mut refusal = event(Reason::LowPort);
        refusal.outside = Endpoint::default();
        assert_eq!(
            logged(&refusal),
            " WARN low_port kind=PORT interface=if2147418112 \
             session=203.0.113.1:40000<->203.0.113.2:21 inside=10.0.0.2:45678 \
             help=\"an announced port is below 1024\"\n"
        );
    }

    #[test]
    fn an_unknown_reason_is_said_so() {
        let mut unknown = event(Reason::LowPort);
        unknown.reason = 250;
        assert_eq!(logged(&unknown), " WARN event of the unknown reason 250\n");
    }
}
