//! Other settings while the agent runs.

use anyhow::Result;
use tracing::{info, warn};

use super::{Agent, Settings, change_over::change_over, changes::changes};
use crate::{admin::protocol::Reloaded, datapath::NewPins, failure::one_line, pins::PinDirectory};

impl Agent {
    /// Changes over to other settings, and says what became of it, to the log too.
    /// When it fails, the settings that are there stay.
    pub(super) fn reload(
        &mut self,
        read_again: &dyn Fn() -> Result<Settings>,
        pins: &PinDirectory,
    ) -> Reloaded {
        self.supervisor.reloading();
        let result = read_again().and_then(|mut settings| {
            if settings.kubernetes == self.settings.kubernetes {
                settings.discovered = self.settings.discovered.clone();
            }
            let new = NewPins::default();
            change_over(&settings, &mut self.datapath, pins, new).inspect_err(|_| {
                let old = change_over(&self.settings, &mut self.datapath, pins, NewPins::default());
                if let Err(error) = old {
                    warn!(
                        "the old settings are not complete either: {}",
                        one_line(&error)
                    );
                }
            })?;
            Ok(settings)
        });
        let reloaded = match result {
            Ok(settings) => self.accept(settings),
            Err(error) => {
                let error = one_line(&error);
                warn!("the settings stay as they are: {error}");
                Reloaded {
                    error: Some(error),
                    interfaces: self.settings.present.to_string(),
                    ..Reloaded::default()
                }
            }
        };
        self.supervisor.ready(&self.status());
        reloaded
    }

    /// The settings are in force.
    fn accept(&mut self, settings: Settings) -> Reloaded {
        self.observer.select(settings.present.selected());
        let mut later = Vec::new();
        let limit = self.datapath.maps.sessions.capacity();
        if usize::try_from(settings.session_limit) != Ok(limit) {
            later.push(format!(
                "the session limit stays {limit} until the next start, which keeps what is known"
            ));
        }
        if settings.metrics != self.at_start.metrics {
            later.push("metrics stay where they are served until the next start".to_owned());
        }
        if settings.group != self.at_start.group {
            later.push("who may read what is pinned stays until the next start".to_owned());
        }
        for line in &later {
            warn!("{line}");
        }
        info!("settings read again: helping FTP on {}", settings.present);
        for absent in &settings.present.absent {
            warn!("{absent}");
        }
        let reloaded = Reloaded {
            error: None,
            interfaces: settings.present.to_string(),
            changed: changes(&self.settings, &settings),
            later,
        };
        self.settings = settings;
        self.discovery.follow(self.settings.kubernetes.as_ref());
        self.expiry.settings_changed();
        reloaded
    }
}
