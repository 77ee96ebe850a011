//! The forms of the access line: text for people, JSON for machines, combined for the tools of other servers.

use std::fmt::{self, Display, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Uri, Version};
use tower_wcgi::RequestId;

/// What there is to say about a request that is over.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Of a server of many; empty where none is meant.
    pub(super) site: Option<&'a str>,
    pub(super) request_id: Option<&'a RequestId>,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
    pub(super) client: Option<SocketAddr>,
    pub(super) host: &'a str,
    pub(super) user_agent: Option<&'a str>,
    pub(super) referer: Option<&'a str>,
    /// None where the client left before there was one.
    pub(super) status: Option<StatusCode>,
    pub(super) bytes: u64,
    pub(super) took: Duration,
    /// How it ended, if not well.
    pub(super) end: String,
}

impl Line<'_> {
    pub(super) fn text(&self) {
        let Self { site, method, uri, version, bytes, .. } = self;
        let (client, uri, status, millis) = (self.client(), Quotable(uri), self.status(), self.millis());
        let id = self.request_id.map(tracing::field::display);
        let space = if self.end.is_empty() { "" } else { " " };
        tracing::info!(
            target: "wcgi::access",
            site,
            id,
            "{client} \"{method} {uri} {version:?}\" {status} {bytes} {millis:.1}ms{space}{}", self.end
        );
    }

    pub(super) fn json(&self) {
        let Self { method, uri, bytes, host, user_agent, referer, .. } = self;
        let comma = if self.end.is_empty() { "" } else { ", " };
        tracing::info!(
            target: "wcgi::access",
            site = self.site.unwrap_or_default(),
            request_id = self.request_id.map(tracing::field::display),
            method = %method,
            path = %uri,
            status = self.status.map(|status| status.as_u16()),
            bytes,
            duration_ms = self.millis(),
            remote = self.client(),
            host,
            protocol = ?self.version,
            user_agent,
            referer,
            "{method} {uri}{comma}{}", self.end
        );
    }

    /// As Apache and nginx write it.
    pub(super) fn combined(&self) -> String {
        let Self { method, version, bytes, .. } = self;
        let remote = self.client.map_or_else(|| "-".to_owned(), |client| client.ip().to_string());
        // `Sun, 06 Nov 1994 08:49:37 GMT`
        let now = httpdate::fmt_http_date(SystemTime::now());
        let mut parts = now.split(' ').skip(1);
        let [day, month, year, time] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let (uri, status) = (Quotable(self.uri), self.status());
        let (referer, agent) = (Quotable(self.referer.unwrap_or("-")), Quotable(self.user_agent.unwrap_or("-")));
        format!(
            "{remote} - - [{day}/{month}/{year}:{time} +0000] \"{method} {uri} {version:?}\" {status} {bytes} \
             \"{referer}\" \"{agent}\""
        )
    }

    fn status(&self) -> String {
        self.status.map_or_else(|| "-".to_owned(), |status| status.as_u16().to_string())
    }

    fn millis(&self) -> f64 {
        self.took.as_secs_f64() * 1e3
    }

    fn client(&self) -> String {
        match self.client {
            None => "-".to_owned(),
            // Only a proxy has seen its port.
            Some(client) if client.port() == 0 => client.ip().to_string(),
            Some(client) => client.to_string(),
        }
    }
}

/// A text, for between quotes.
struct Quotable<T>(T);

impl<T: Display> Display for Quotable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        Ok(())
    }
}
