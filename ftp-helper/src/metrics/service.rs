//! Answers to requests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    body::Bytes,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tokio::{sync::Mutex, task::spawn_blocking};
use tracing::debug;

use super::{
    attachments,
    observer::Observed,
    source::Source,
    text::{self, Form},
};
use crate::{failure::one_line, pins::PinDirectory};

/// How long the maps are not walked again.
const FRESH: Duration = Duration::from_secs(1);

/// The loop turns once a second; longer than a walk through full tables takes.
const STUCK: Duration = Duration::from_secs(15);

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// What requests are answered from.
pub(super) struct Service {
    pins: PinDirectory,
    observed: Arc<Observed>,
    source: Arc<Source>,
    /// The last scrape; locked while one is made, so that there is one at a time.
    scraped: Mutex<Option<(Instant, Arc<str>)>>,
    /// Locked by whoever looks at the attachments.
    looking: Mutex<()>,
}

impl Service {
    pub(super) fn new(pins: &PinDirectory, observed: Arc<Observed>) -> Result<Self> {
        Ok(Self {
            source: Arc::new(Source::open(pins)?),
            pins: pins.clone(),
            observed,
            scraped: Mutex::new(None),
            looking: Mutex::new(()),
        })
    }

    /// The answer to a request.
    pub(super) async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        }
        match path {
            "/metrics" => self.metrics(headers).await,
            "/healthz" => health(self.observed.since_turn()),
            "/readyz" => self.readiness().await,
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /metrics, /healthz and /readyz\n",
            ),
        }
    }

    async fn metrics(&self, headers: &HeaderMap) -> Answer {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let form = Form::accepted(accept.unwrap_or_default());
        let rendered = self.scrape().await.and_then(|rendered| match form {
            Form::OpenMetrics => Ok(rendered.to_string()),
            Form::Classic => Ok(text::classic(&rendered)?),
        });
        match rendered {
            Ok(rendered) => answer(StatusCode::OK, form.content_type(), rendered),
            Err(error) => failed(&error),
        }
    }

    async fn scrape(&self) -> Result<Arc<str>> {
        let mut scraped = self.scraped.lock().await;
        if let Some((time, rendered)) = &*scraped
            && time.elapsed() < FRESH
        {
            return Ok(Arc::clone(rendered));
        }
        let (source, observed) = (Arc::clone(&self.source), Arc::clone(&self.observed));
        let rendered = spawn_blocking(move || {
            let snapshot = source.read(&observed)?;
            text::render(snapshot).context("can not write the metrics")
        });
        let rendered: Arc<str> = rendered.await.context("a thread ended")??.into();
        *scraped = Some((Instant::now(), Arc::clone(&rendered)));
        Ok(rendered)
    }

    async fn readiness(&self) -> Answer {
        let _looking = self.looking.lock().await;
        let (pins, observed) = (self.pins.clone(), Arc::clone(&self.observed));
        let looked = spawn_blocking(move || {
            let selected = observed.selected.borrow().clone();
            attachments::look(&pins, &selected)
        });
        let looked = looked.await.context("a thread ended");
        match looked.and_then(|looked| looked) {
            Ok(looked) => {
                let ready = !looked.is_empty() && looked.iter().all(|it| it.fault.is_none());
                let lines: Vec<String> = looked.iter().map(ToString::to_string).collect();
                let lines = lines.join("\n");
                if ready {
                    plain(StatusCode::OK, &format!("ready\n{lines}\n"))
                } else if lines.is_empty() {
                    let why = "not ready\nno interface is selected\n";
                    plain(StatusCode::SERVICE_UNAVAILABLE, why)
                } else {
                    let why = format!("not ready\n{lines}\n");
                    plain(StatusCode::SERVICE_UNAVAILABLE, &why)
                }
            }
            Err(error) => failed(&error),
        }
    }
}

fn health(since_turn: Duration) -> Answer {
    if since_turn < STUCK {
        plain(StatusCode::OK, "ok\n")
    } else {
        let seconds = since_turn.as_secs();
        let why = format!("the agent's loop stands still for {seconds} seconds\n");
        plain(StatusCode::SERVICE_UNAVAILABLE, &why)
    }
}

fn failed(error: &anyhow::Error) -> Answer {
    let why = one_line(error);
    debug!("a request failed: {why}");
    plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}\n"))
}

fn plain(status: StatusCode, text: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", text.to_owned())
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_not_healthy() {
        assert_eq!(health(Duration::from_secs(2)).status(), StatusCode::OK);
        let stuck = health(Duration::from_secs(16));
        assert_eq!(stuck.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
