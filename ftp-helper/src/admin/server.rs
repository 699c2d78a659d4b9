//! Answers to those who connect.

use std::{future, io, sync::Arc, time::Duration};

use nix::unistd::geteuid;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, broadcast, mpsc, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    hub::{Hub, Line, Source},
    listener::Listener,
    protocol::{LONGEST_REQUEST, Message, Place, Reloaded, Request},
};
use crate::{kubernetes::Reports, pins::PinDirectory};

/// Clients at a time.
const CLIENTS: u32 = 64;

/// Clients that may watch: some room is left for requests.
const WATCHERS: usize = 48;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long clients get to read the last messages when the agent ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// A request to read the settings again, to be answered.
pub(crate) type ReloadRequest = oneshot::Sender<Reloaded>;

/// The socket, served.
#[derive(Debug)]
pub struct Server {
    served: Option<Served>,
    requests: mpsc::Receiver<ReloadRequest>,
}

#[derive(Debug)]
struct Served {
    /// Its file goes away with it.
    _listener: Listener,
    accepting: JoinHandle<()>,
    slots: Arc<Semaphore>,
}

/// What every client's task has.
#[derive(Clone)]
struct Context {
    source: Source,
    requests: mpsc::Sender<ReloadRequest>,
    watchers: Arc<Semaphore>,
    reports: Reports,
}

impl Server {
    /// Answers from now on; needs an event loop around it. Without a listener
    /// nobody ever asks.
    pub fn new(
        listener: Option<Listener>,
        hub: &Hub,
        reports: Reports,
        pins: &PinDirectory,
    ) -> Self {
        let (sender, requests) = mpsc::channel(1);
        let context = Context {
            source: hub.source(),
            requests: sender,
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            reports,
        };
        if let Some(Err(error)) = listener.as_ref().map(|listener| listener.follow(pins)) {
            warn!("only root can connect to the agent: {error:#}");
        }
        let served = listener.and_then(|listener| {
            Served::start(listener, context)
                .inspect_err(|error| warn!("nobody can connect to the agent: {error}"))
                .ok()
        });
        Self { served, requests }
    }

    /// The next request to read the settings again.
    pub async fn request(&mut self) -> ReloadRequest {
        match self.requests.recv().await {
            Some(request) => request,
            None => future::pending().await,
        }
    }

    /// Takes no more clients, and waits a moment until those that are there have
    /// got the last messages; to be called when the hub is gone.
    pub async fn finish(self) {
        drop(self.requests);
        if let Some(Served {
            accepting, slots, ..
        }) = self.served
        {
            accepting.abort();
            // What somebody does not read by then is lost, as with any end.
            let _ = timeout(FAREWELL, slots.acquire_many(CLIENTS)).await;
        }
    }
}

impl Served {
    fn start(listener: Listener, context: Context) -> io::Result<Self> {
        let slots = Arc::new(Semaphore::new(CLIENTS as usize));
        let socket = UnixListener::from_std(listener.socket.try_clone()?)?;
        Ok(Self {
            accepting: tokio::spawn(accept(socket, context, Arc::clone(&slots))),
            _listener: listener,
            slots,
        })
    }
}

async fn accept(socket: UnixListener, context: Context, slots: Arc<Semaphore>) {
    loop {
        // Only fails when it is closed, which nobody does.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, _)) => {
                let context = context.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    // An error here is a client that went away.
                    if let Err(error) = converse(stream, &context).await {
                        debug!("a client of the agent's socket is gone: {error}");
                    }
                });
            }
            Err(error) => {
                warn!("can not take a connection to the agent: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// A request and its answer.
async fn converse(stream: UnixStream, context: &Context) -> io::Result<()> {
    let client = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(LONGEST_REQUEST as u64));
    let mut line = Vec::new();
    let request = match timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await {
        Ok(read) => {
            read?;
            parse(&line)
        }
        Err(_) => Err("no request came within 5 seconds".to_owned()),
    };
    let refused = match request {
        Ok(Request::Watch) => {
            match watch(reader.into_inner().into_inner(), &mut writer, context).await? {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            }
        }
        Ok(Request::Reload) => match reload(client, context).await {
            Ok(reloaded) => return say(&mut writer, &Message::Reloaded(reloaded)).await,
            Err(refused) => refused,
        },
        Ok(Request::Discovery) => {
            let report = context.reports.borrow().as_deref().cloned();
            return say(&mut writer, &Message::Discovery { report }).await;
        }
        Err(refused) => refused,
    };
    say(&mut writer, &Message::Error { error: refused }).await
}

fn parse(line: &[u8]) -> Result<Request, String> {
    if line.last() != Some(&b'\n') {
        return Err(format!(
            "a request is one line of at most {LONGEST_REQUEST} bytes"
        ));
    }
    serde_json::from_slice(line).map_err(|error| {
        format!(
            "no request of this version: {error}; there are {{\"request\":\"watch\"}}, \
                 {{\"request\":\"reload\"}} and {{\"request\":\"discovery\"}}"
        )
    })
}

async fn say(writer: &mut OwnedWriteHalf, message: &Message) -> io::Result<()> {
    writer.write_all(message.line().as_bytes()).await
}

/// Tells everything that happens until the client goes away or the agent ends.
async fn watch(
    reader: OwnedReadHalf,
    writer: &mut OwnedWriteHalf,
    context: &Context,
) -> io::Result<Result<(), String>> {
    let Ok(_slot) = context.watchers.try_acquire() else {
        return Ok(Err(format!("{WATCHERS} clients watch already")));
    };
    let Source { lines, mut lost } = context.source.clone();
    let Some(sender) = lines.upgrade() else {
        return Ok(Err("the agent ends".to_owned()));
    };
    let mut lines = sender.subscribe();
    // Or the channel would never close.
    drop(sender);
    // What was lost before is no news.
    let mut told = *lost.borrow_and_update();
    let hello = Message::Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    say(writer, &hello).await?;
    loop {
        let line: Line = tokio::select! {
            biased;
            () = gone(&reader) => return Ok(Ok(())),
            Ok(()) = lost.changed() => {
                let total = *lost.borrow_and_update();
                let count = total - std::mem::replace(&mut told, total);
                let place = Place::Ring;
                Message::Lost { count, place }.line().into()
            }
            received = lines.recv() => match received {
                Ok(line) => line,
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    let place = Place::Client;
                    Message::Lost { count, place }.line().into()
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(Ok(())),
            },
        };
        writer.write_all(line.as_bytes()).await?;
    }
}

/// Ends when the client does; what it still says is not listened to.
async fn gone(reader: &OwnedReadHalf) {
    let mut ignored = [0; 256];
    loop {
        if reader.readable().await.is_err() {
            return;
        }
        match reader.try_read(&mut ignored) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Has the settings read again.
async fn reload(client: u32, context: &Context) -> Result<Reloaded, String> {
    if client != 0 && client != geteuid().as_raw() {
        return Err(format!(
            "user {client} may watch, but not change settings: use sudo"
        ));
    }
    let (sender, answer) = oneshot::channel();
    let asked = context.requests.send(sender).await;
    match (asked, answer.await) {
        (Ok(()), Ok(reloaded)) => Ok(reloaded),
        _ => Err("the agent ended before it read the settings".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::reason::Reason;

    use super::*;

    #[test]
    fn what_is_no_request_is_refused_with_those_that_there_are() {
        assert_eq!(parse(b"{\"request\":\"watch\"}\n"), Ok(Request::Watch));
        for line in [
            &b""[..],
            b"watch",
            b"{}\n",
            b"\xff\n",
            b"{\"request\":\"stop\"}\n",
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains("request"), "{error}");
        }
    }

    #[tokio::test]
    async fn who_reads_too_slowly_is_still_told_what_the_ring_has_lost() {
        let mut hub = Hub::default();
        let (requests, _receiver) = mpsc::channel(1);
        let context = Context {
            source: hub.source(),
            requests,
            watchers: Arc::new(Semaphore::new(1)),
            reports: tokio::sync::watch::channel(None).1,
        };
        let (client, served) = UnixStream::pair().unwrap();
        let serving = tokio::spawn(async move {
            let (reader, mut writer) = served.into_split();
            watch(reader, &mut writer, &context).await
        });
        let mut lines = BufReader::new(client).lines();
        let hello = lines.next_line().await.unwrap().unwrap();
        assert!(hello.contains("hello"), "{hello}");

        // Nothing is awaited in between: it is all there before any of it is read.
        hub.counted(Reason::EventLost, 1);
        hub.counted(Reason::ClientLimit, 0);
        hub.counted(Reason::EventLost, 8);
        for total in 1..5000 {
            hub.counted(Reason::ClientLimit, total);
        }
        drop(hub);
        let mut told = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("lost") {
                told.push(line);
            }
        }
        let [ring, client] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(ring, r#"{"message":"lost","count":7,"place":"ring"}"#);
        assert!(client.contains(r#""place":"client""#), "{client}");
        assert_eq!(serving.await.unwrap().unwrap(), Ok(()));
    }
}
