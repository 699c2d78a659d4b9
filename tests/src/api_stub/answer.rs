//! What a request gets.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::store::{Lines, Store};

/// Whole at once, or a line at a time until the watch ends.
pub(super) struct Answer(Lines);

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let line = self.0.poll_recv(context);
        line.map(|line| line.map(|line| line.map(Frame::data)))
    }
}

/// The answer to a request for Services or Nodes of the whole cluster; nothing else is
/// asked for.
pub(super) fn answer(request: &Request<Incoming>, store: &Mutex<Store>) -> Response<Answer> {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let (path, query) = (request.uri().path(), request.uri().query());
    let query = query.unwrap_or_default();
    store.asked(format!("{} {path}?{query}", request.method()));
    let resource = match (request.method(), path) {
        (&Method::GET, "/api/v1/services") => "services",
        (&Method::GET, "/api/v1/nodes") => "nodes",
        _ => return whole(StatusCode::NOT_FOUND, &Value::Null),
    };
    let header = request.headers().get(AUTHORIZATION);
    let header = header.and_then(|header| header.to_str().ok());
    if let Err(status) = store.admit(resource, header) {
        let code = status["code"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok());
        let code = code.and_then(|code| StatusCode::from_u16(code).ok());
        return whole(code.unwrap_or_default(), &status);
    }
    // `metadata.name=...`, with the sign escaped or not.
    let selector = parameter(query, "fieldSelector").map(|it| it.replace("%3D", "="));
    let name = selector
        .as_deref()
        .and_then(|it| it.strip_prefix("metadata.name="));
    if matches!(parameter(query, "watch"), Some("true" | "1")) {
        let version = parameter(query, "resourceVersion").and_then(|it| it.parse().ok());
        let bookmarks = matches!(parameter(query, "allowWatchBookmarks"), Some("true" | "1"));
        let lines = store.watch(resource, name, version.unwrap_or_default(), bookmarks);
        return response(StatusCode::OK, lines);
    }
    whole(StatusCode::OK, &store.list(resource, name))
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn whole(code: StatusCode, content: &Value) -> Response<Answer> {
    let (sender, lines) = mpsc::unbounded_channel();
    // The receiver is here.
    let _ = sender.send(Ok(Bytes::from(content.to_string())));
    response(code, lines)
}

fn response(code: StatusCode, lines: Lines) -> Response<Answer> {
    let mut response = Response::new(Answer(lines));
    *response.status_mut() = code;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
