//! What there is, and what has happened to it.

use std::{collections::BTreeMap, io};

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Lines of a watch that was asked for, up to the loss of its connection.
pub(super) type Lines = mpsc::UnboundedReceiver<io::Result<Bytes>>;

/// The objects, by the resource that they are of and their names.
#[derive(Debug)]
pub struct Store {
    objects: BTreeMap<(String, String), Value>,
    events: Vec<Event>,
    /// Of the last change.
    version: u64,
    /// Versions before this one are forgotten.
    known_since: u64,
    watches: Vec<Watch>,
    refused: BTreeMap<String, u16>,
    token: String,
    requests: Vec<String>,
}

#[derive(Clone, Debug)]
struct Event {
    version: u64,
    resource: String,
    kind: &'static str,
    object: Value,
}

#[derive(Debug)]
struct Watch {
    resource: String,
    /// The only object that is asked for.
    name: Option<String>,
    /// It is told how far it is.
    bookmarks: bool,
    lines: mpsc::UnboundedSender<io::Result<Bytes>>,
}

impl Store {
    pub(super) fn new(token: &str) -> Self {
        Self {
            objects: BTreeMap::new(),
            events: Vec::new(),
            // As if there had been something before.
            version: 1000,
            known_since: 1000,
            watches: Vec::new(),
            refused: BTreeMap::new(),
            token: token.to_owned(),
            requests: Vec::new(),
        }
    }

    /// Makes an object, or changes it.
    pub fn apply(&mut self, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let key = (resource_of(&object), name_of(&object));
        let known = self.objects.insert(key, object.clone());
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        self.happened(kind, object);
    }

    /// Removes an object, as it was last.
    pub fn delete(&mut self, object: &Value) {
        let key = (resource_of(object), name_of(object));
        if let Some(mut object) = self.objects.remove(&key) {
            self.version += 1;
            object["metadata"]["resourceVersion"] = self.version.to_string().into();
            self.happened("DELETED", object);
        }
    }

    fn happened(&mut self, kind: &'static str, object: Value) {
        let event = Event {
            version: self.version,
            resource: resource_of(&object),
            kind,
            object,
        };
        self.watches.retain(|watch| watch.tell(&event).is_ok());
        self.events.push(event);
    }

    /// Tells every watch that wants it how far it is, without anything having happened to what it
    /// watches. Returns the version that is told.
    pub fn bookmark(&mut self) -> u64 {
        self.version += 10;
        for watch in self.watches.iter().filter(|watch| watch.bookmarks) {
            let kind = kind_of(&watch.resource);
            watch.line(&json!({"type": "BOOKMARK", "object": {
                "kind": kind, "apiVersion": "v1",
                "metadata": {"resourceVersion": self.version.to_string(),
                             "creationTimestamp": null},
            }}));
        }
        self.version
    }

    /// Forgets what has happened so far: watches end with an error, and none can go on
    /// from an old version.
    pub fn forget(&mut self) {
        for watch in std::mem::take(&mut self.watches) {
            watch.line(&gone(self.known_since, self.version));
        }
        self.version += 1;
        self.known_since = self.version;
        self.events.clear();
    }

    /// Ends the connections of all watches, in the middle of an event.
    pub fn cut(&mut self) {
        for watch in self.watches.drain(..) {
            // Who is gone has no connection either.
            let _ = watch.lines.send(Ok(Bytes::from("{\"type\":\"MODI")));
            let _ = watch.lines.send(Err(io::ErrorKind::ConnectionReset.into()));
        }
    }

    /// Ends all watches as they are ended after some minutes.
    pub fn time_out(&mut self) {
        self.watches.clear();
    }

    /// Answers requests for this resource with an error from now on, or no longer.
    pub fn refuse(&mut self, resource: &str, code: Option<u16>) {
        match code {
            Some(code) => self.refused.insert(resource.to_owned(), code),
            None => self.refused.remove(resource),
        };
        let refused = &self.refused;
        self.watches
            .retain(|watch| !refused.contains_key(&watch.resource));
    }

    /// What was asked so far: paths with their queries.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// How many watches there are.
    pub fn watches(&mut self) -> usize {
        self.watches.retain(|watch| !watch.lines.is_closed());
        self.watches.len()
    }

    pub(super) fn asked(&mut self, request: String) {
        self.requests.push(request);
    }

    /// Whether a request with this header is answered, and if not, how.
    pub(super) fn admit(&self, resource: &str, header: Option<&str>) -> Result<(), Value> {
        if header != Some(&format!("Bearer {}", self.token)) {
            return Err(status(401, "Unauthorized", "Unauthorized"));
        }
        match self.refused.get(resource) {
            None => Ok(()),
            Some(403) => Err(status(
                403,
                "Forbidden",
                &format!(
                    "{resource} is forbidden: User \
                     \"system:serviceaccount:ftp-helper:ftp-helper\" cannot list resource \
                     \"{resource}\" in API group \"\" at the cluster scope"
                ),
            )),
            Some(code) => Err(status(*code, "InternalError", "etcdserver: no leader")),
        }
    }

    /// A list, as it is now.
    pub(super) fn list(&self, resource: &str, name: Option<&str>) -> Value {
        let all = self.objects.iter();
        let items: Vec<Value> = all
            .filter(|((of, _), object)| of == resource && is_selected(object, name))
            .map(|(_, object)| {
                // Items have neither, as the list has told it.
                let mut object = object.clone();
                if let Some(object) = object.as_object_mut() {
                    object.remove("kind");
                    object.remove("apiVersion");
                }
                object
            })
            .collect();
        json!({
            "kind": format!("{}List", kind_of(resource)),
            "apiVersion": "v1",
            "metadata": {"resourceVersion": self.version.to_string()},
            "items": items,
        })
    }

    /// Everything that happens after this version.
    pub(super) fn watch(
        &mut self,
        resource: &str,
        name: Option<&str>,
        version: u64,
        bookmarks: bool,
    ) -> Lines {
        let (lines, told) = mpsc::unbounded_channel();
        let watch = Watch {
            resource: resource.to_owned(),
            name: name.map(ToOwned::to_owned),
            bookmarks,
            lines,
        };
        if version < self.known_since {
            watch.line(&gone(version, self.known_since));
            return told;
        }
        for event in self.events.iter().filter(|event| event.version > version) {
            // The receiver is here.
            let _ = watch.tell(event);
        }
        self.watches.push(watch);
        told
    }
}

impl Watch {
    /// An error when nobody listens any more.
    fn tell(&self, event: &Event) -> Result<(), ()> {
        if self.lines.is_closed() {
            return Err(());
        }
        if event.resource == self.resource && is_selected(&event.object, self.name.as_deref()) {
            self.line(&json!({"type": event.kind, "object": event.object}));
        }
        Ok(())
    }

    fn line(&self, event: &Value) {
        // Who is gone needs to be told nothing.
        let _ = self.lines.send(Ok(Bytes::from(format!("{event}\n"))));
    }
}

fn is_selected(object: &Value, name: Option<&str>) -> bool {
    name.is_none_or(|name| object["metadata"]["name"] == name)
}

fn resource_of(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default();
    format!("{}s", kind.to_lowercase())
}

fn kind_of(resource: &str) -> &'static str {
    if resource == "nodes" {
        "Node"
    } else {
        "Service"
    }
}

fn name_of(object: &Value) -> String {
    let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    format!("{}/{}", word("namespace"), word("name"))
}

/// The event that ends a watch whose version is forgotten.
fn gone(version: u64, known: u64) -> Value {
    let message = format!("too old resource version: {version} ({known})");
    json!({"type": "ERROR", "object": status(410, "Expired", &message)})
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}
