//! One kind of objects, followed through lists and watches.
//!
//! kube's watcher does what the API asks of a client: it lists in pages, goes on from
//! bookmarks, and lists again when it is too far behind. What it does not tell is that
//! a connection is there again on which nothing happens. So when one could not be had,
//! everything is listed anew, which also tells what has gone meanwhile.

use std::{fmt::Debug, pin::Pin};

use futures_util::{Stream, StreamExt as _};
use kube::{
    Api, Resource,
    runtime::watcher::{self, DefaultBackoff, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::trouble::Trouble;

type Events<K> = Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>;

/// What a feed tells.
#[derive(Debug)]
pub enum Told<K, T> {
    /// These are all, and no others.
    List(Vec<T>),
    /// An object is like this now; nothing when it does not count.
    Changed(Box<K>, Option<T>),
    /// An object is gone.
    Gone(Box<K>),
    /// There is no connection, and why.
    Failed(String),
}

/// Follows one kind of objects.
pub struct Feed<K, T> {
    api: Api<K>,
    config: watcher::Config,
    /// The word for the kind, as in rules of access.
    resource: &'static str,
    read: fn(&K) -> Option<T>,
    events: Option<Events<K>>,
    /// What a list that is not complete yet has brought.
    listed: Vec<T>,
    backoff: DefaultBackoff,
    /// Nothing is asked before that.
    pause: Option<Instant>,
}

impl<K, T> Feed<K, T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// Follows what `config` selects; of each object only what `read` finds is kept.
    pub fn new(
        api: Api<K>,
        config: watcher::Config,
        resource: &'static str,
        read: fn(&K) -> Option<T>,
    ) -> Self {
        Self {
            api,
            // A list from the API server's own memory costs the cluster little, and
            // the watch brings what is missing from it.
            config: config.any_semantic(),
            resource,
            read,
            events: None,
            listed: Vec::new(),
            backoff: DefaultBackoff::default(),
            pause: None,
        }
    }

    /// The next thing to know; nothing is lost when the caller waits no longer.
    pub async fn next(&mut self) -> Told<K, T> {
        loop {
            if let Some(end) = self.pause {
                sleep_until(end).await;
                self.pause = None;
            }
            let events = self
                .events
                .get_or_insert_with(|| Box::pin(watcher(self.api.clone(), self.config.clone())));
            match events.next().await {
                Some(Ok(event)) => {
                    if let Some(told) = self.take(event) {
                        return told;
                    }
                }
                Some(Err(error)) => {
                    self.pause = self.backoff.next().map(|delay| Instant::now() + delay);
                    match Trouble::of(error, self.resource) {
                        Trouble::Over(why) => debug!("the watch of {} ended: {why}", self.resource),
                        Trouble::Failed(why) => {
                            self.events = None;
                            return Told::Failed(why);
                        }
                    }
                }
                // It never ends by itself.
                None => self.events = None,
            }
        }
    }

    fn take(&mut self, event: Event<K>) -> Option<Told<K, T>> {
        match event {
            Event::Init => {
                self.listed.clear();
                None
            }
            Event::InitApply(object) => {
                self.listed.extend((self.read)(&object));
                None
            }
            Event::InitDone => Some(Told::List(std::mem::take(&mut self.listed))),
            Event::Apply(object) => {
                let read = (self.read)(&object);
                Some(Told::Changed(Box::new(object), read))
            }
            Event::Delete(object) => Some(Told::Gone(Box::new(object))),
        }
    }
}
