//! A small API server of Kubernetes: Services and Nodes, to list and to watch.
//!
//! It speaks as the documentation of the API says (concepts, "Efficient detection of
//! changes"): HTTPS with a certificate of the cluster's authority and the token of a
//! ServiceAccount, lists with a version, and watches that are one line of JSON per
//! event, with bookmarks, with `410 Gone` for versions that are forgotten, and with
//! connections that end in the middle. Objects are those of `tests/api`, written as
//! the API shows them.
//!
//! * [`store`]: what there is, and what has happened to it.
//! * [`answer`]: what a request gets.
//! * [`access`]: certificates and the files of a ServiceAccount.

mod access;
mod answer;
mod store;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as ready},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener as AsyncListener, TcpStream},
    runtime,
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use self::access::Access;
pub use self::store::Store;
use crate::{duet, host::Host};

/// Longest wait for the thread.
const LIMIT: Duration = Duration::from_secs(10);

/// Where it answers, on the host that it is put on.
const ADDRESS: &str = "127.0.0.1:6443";

/// The server; on a thread of its own, which ends with this value.
#[derive(Debug)]
pub struct ApiStub {
    store: Arc<Mutex<Store>>,
    access: Access,
    orders: mpsc::UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    /// Answer here.
    Listen(TcpListener),
    /// Answer nobody any more, and end all connections. Says when that is so.
    Leave(ready::Sender<()>),
}

impl ApiStub {
    /// Starts the thread, so it has to be called before a lab is made. Nobody can ask
    /// it yet.
    pub fn start() -> Result<Self> {
        let address: SocketAddr = ADDRESS.parse()?;
        let access = Access::new(address.ip())?;
        let store = Arc::new(Mutex::new(Store::new(access.token())));
        let (orders, received) = mpsc::unbounded_channel();
        let acceptor = access.acceptor()?;
        let shared = Arc::clone(&store);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("api".to_owned())
            .spawn(move || runtime.block_on(serve(acceptor, shared, received)))?;
        Ok(Self {
            store,
            access,
            orders,
        })
    }

    /// Answers on this host from now on.
    pub fn listen(&self, host: &Host) -> Result<()> {
        self.order(Order::Listen(duet::listen(host, ADDRESS.parse()?)?))
    }

    /// Goes away, as far as everybody else can see.
    pub fn leave(&self) -> Result<()> {
        let (sender, done) = ready::channel();
        self.order(Order::Leave(sender))?;
        done.recv_timeout(LIMIT).context("the API stays")
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).ok().context("the API has ended")
    }

    /// Puts the files of a ServiceAccount where a pod has them; for the thread of a
    /// lab. Returns what its environment says.
    pub fn mount(&self) -> Result<[String; 2]> {
        self.access.mount()?;
        Ok(self
            .environment()?
            .map(|(name, value)| format!("{name}={value}")))
    }

    /// The files of a ServiceAccount, for a container, and where they are mounted.
    pub fn files(&self) -> (&'static str, Vec<(String, String)>) {
        self.access.files()
    }

    /// Variables that every container has.
    pub fn environment(&self) -> Result<[(String, String); 2]> {
        let address: SocketAddr = ADDRESS.parse()?;
        let host = ("KUBERNETES_SERVICE_HOST", address.ip().to_string());
        let port = ("KUBERNETES_SERVICE_PORT", address.port().to_string());
        Ok([host, port].map(|(name, value)| (name.to_owned(), value)))
    }

    /// What there is, and how it is answered.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an object, or changes it.
    pub fn apply(&self, object: Value) {
        self.store().apply(object);
    }
}

/// An object of `tests/api`.
pub fn recorded(name: &str) -> Result<Value> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "api", name].iter().collect();
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Sets an annotation of an object, or removes it.
pub fn annotate(object: &mut Value, name: &str, text: Option<&str>) -> Result<()> {
    let Some(annotations) = object["metadata"]["annotations"].as_object_mut() else {
        bail!("{object:#} has no annotations");
    };
    match text {
        Some(text) => annotations.insert(name.to_owned(), text.into()),
        None => annotations.remove(name),
    };
    Ok(())
}

async fn serve(
    acceptor: TlsAcceptor,
    store: Arc<Mutex<Store>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut connections = JoinSet::new();
    let mut listener: Option<AsyncListener> = None;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Listen(socket)) => listener = AsyncListener::from_std(socket).ok(),
                Some(Order::Leave(done)) => {
                    listener = None;
                    connections.shutdown().await;
                    // Whoever asked may have given up.
                    let _ = done.send(());
                }
                None => return,
            },
            accepted = accept(listener.as_ref()) => {
                if let Ok(stream) = accepted {
                    connections.spawn(converse(stream, acceptor.clone(), Arc::clone(&store)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&AsyncListener>) -> Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// One connection; its errors are those of a client that went away.
async fn converse(stream: TcpStream, acceptor: TlsAcceptor, store: Arc<Mutex<Store>>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let answer = service_fn(|request| {
        let answer = answer::answer(&request, &store);
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    let _ = connection.await;
}
