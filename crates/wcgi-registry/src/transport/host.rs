//! A registry: how it is spoken to, and a request to it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};

use super::auth::{Credentials, Scope, Tokens};
use super::body::{Progress, beginning, unless_silent};
use super::limits::{CONNECT, LARGEST_ANSWER, LONGEST_PAUSE, PAUSE, TRIES};
use crate::error::{Error, ErrorKind, content};
use crate::reference::is_loopback;

/// One registry.
#[derive(Debug)]
pub(super) struct Host {
    /// As references name it.
    pub(super) name: String,
    pub(super) client: Client,
    /// `http://…` or `https://…`, without a slash at the end.
    base: Mutex<String>,
    pub(super) docker_config: Option<PathBuf>,
    pub(super) credentials: OnceLock<Option<Credentials>>,
    tokens: Tokens,
}

impl Host {
    pub(super) fn new(name: &str, plain_http: bool, docker_config: Option<PathBuf>) -> Result<Self, Error> {
        // The one registry whose references name another host than it has.
        let address = if name == "docker.io" { "registry-1.docker.io" } else { name };
        let loopback = is_loopback(name);
        let scheme = if loopback || plain_http { "http" } else { "https" };
        let mut client = Client::builder()
            .user_agent(concat!("wcgi/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(Policy::custom(|attempt| {
                let from_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
                if attempt.previous().len() >= MOST_REDIRECTS {
                    attempt.error("too many redirects")
                } else if from_tls && attempt.url().scheme() != "https" {
                    attempt.error("a redirect that leaves TLS")
                } else {
                    attempt.follow()
                }
            }))
            .tls_backend_preconfigured(tls()?);
        if loopback {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| {
            Error::new(ErrorKind::Unreachable, format!("cannot connect to {name}")).with_source(error)
        })?;
        let base = Mutex::new(format!("{scheme}://{address}"));
        let (credentials, tokens) = (OnceLock::new(), Tokens::default());
        Ok(Self { name: name.to_owned(), client, base, docker_config, credentials, tokens })
    }

    /// The address of `path`, which begins with a slash.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An address that the registry has named: absolute, or a path of its own.
    pub(super) fn location(&self, location: &str) -> Result<Url, Error> {
        let base = Url::parse(&self.url("/")).map_err(|error| self.no_url(error))?;
        let url = base.join(location).map_err(|error| self.no_url(error))?;
        if !matches!(url.scheme(), "https" | "http") || base.scheme() == "https" && url.scheme() != "https" {
            return Err(content(format!("{} names an upload address that leaves TLS", self.name)));
        }
        Ok(url)
    }

    fn no_url(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        content(format!("{} names an address that is none", self.name)).with_source(error)
    }

    /// Makes a request to `path`, with a password or token if that is asked for.
    pub(super) async fn send(
        &self,
        scope: &Scope,
        method: Method,
        path: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let make = || {
            let url = Url::parse(&self.url(path)).map_err(|error| self.no_url(error))?;
            Ok((url.clone(), with(self.client.request(method.clone(), url))))
        };
        let response = self.send_to(scope, &Progress::default(), make).await?;
        // Loopback is taken for plain; a server that wants TLS says so.
        if response.status() != StatusCode::BAD_REQUEST || !is_loopback(&self.name) || response.url().scheme() != "http"
        {
            return Ok(response);
        }
        // An answer to HEAD has nothing to say.
        let response = if method == Method::HEAD {
            self.send_to(scope, &Progress::default(), || {
                let url = Url::parse(&self.url("/v2/")).map_err(|error| self.no_url(error))?;
                Ok((url.clone(), self.client.get(url)))
            })
            .await?
        } else {
            response
        };
        let answer = beginning(&self.name, response, LARGEST_ANSWER).await;
        if !String::from_utf8_lossy(&answer).contains("HTTPS") {
            return Err(self.failure(StatusCode::BAD_REQUEST, &answer, path));
        }
        let secure = self.url("").replacen("http:", "https:", 1);
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = secure;
        self.send_to(scope, &Progress::default(), make).await
    }

    /// Makes the request to an address that `make` gives, again and again if the registry is short of something.
    pub(super) async fn send_to(
        &self,
        scope: &Scope,
        progress: &Progress,
        make: impl Fn() -> Result<(Url, RequestBuilder), Error>,
    ) -> Result<Response, Error> {
        let mut tries = 0;
        let mut challenged = false;
        loop {
            let (url, mut request) = make()?;
            // Passwords and tokens are for the registry itself, and not for where it keeps its blobs.
            let own = Url::parse(&self.url("/")).map_err(|error| self.no_url(error))?;
            if let Some(authorization) = self.tokens.of(scope).filter(|_| url.origin() == own.origin()) {
                request = authorization.apply(request);
            }
            let sent = unless_silent(progress, request.send()).await.map_err(|silent| silent.error(&self.name))?;
            let response = sent.map_err(|error| self.unreachable(error))?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && !challenged {
                challenged = true;
                if let Some(authorization) = self.answer_challenge(&response, scope).await? {
                    self.tokens.set(scope, authorization);
                    continue;
                }
            }
            tries += 1;
            let busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            if !busy || tries == TRIES {
                return Ok(response);
            }
            let pause = retry_after(&response).unwrap_or(PAUSE * 2_u32.pow(tries - 1));
            tracing::debug!("{} answers {status}; trying again in {pause:?}", self.name);
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    /// The error for an answer that is none of those that were expected.
    pub(super) async fn refused(&self, response: Response, what: &str) -> Error {
        let status = response.status();
        let answer = beginning(&self.name, response, LARGEST_ANSWER).await;
        self.failure(status, &answer, what)
    }

    fn failure(&self, status: StatusCode, answer: &[u8], what: &str) -> Error {
        let name = &self.name;
        let said = said(answer);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let missing = self.credentials.get().is_none_or(Option::is_none);
                let error = Error::new(ErrorKind::Denied, format!("{name} denies access to {what}{said}"));
                if missing {
                    error.with_hint(format!("`docker login {name}` or `skopeo login {name}` stores a password"))
                } else {
                    error.with_hint("the stored user may not do that, or its password has changed")
                }
            }
            StatusCode::NOT_FOUND => Error::new(ErrorKind::NotFound, format!("{name} has no {what}{said}")),
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Error::new(ErrorKind::Unreachable, format!("{name} answers {} for {what}{said}", status.as_u16()))
            }
            status => content(format!("{name} answers {} for {what}{said}", status.as_u16())),
        }
    }

    pub(super) fn unreachable(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let chain = std::iter::successors(std::error::Error::source(&error), |error| error.source());
        let causes: Vec<_> = chain.map(ToString::to_string).collect();
        let is_certificate = causes.iter().any(|cause| cause.contains("certificate"));
        let is_plain =
            causes.iter().any(|cause| cause.contains("InvalidContentType") || cause.contains("corrupt message"));
        // The causes of a request that was not made are long, and each repeats the next.
        let cause = causes.last().cloned().unwrap_or_else(|| error.to_string());
        let failure = Error::new(ErrorKind::Unreachable, format!("cannot reach {}: {cause}", self.name));
        if is_certificate {
            failure.with_hint("SSL_CERT_FILE names a file of the certificates to trust")
        } else if is_plain {
            failure.with_hint("--plain-http speaks to registries without TLS")
        } else {
            failure
        }
    }
}

/// Trusts what the system trusts, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` say.
fn tls() -> Result<ClientConfig, Error> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some certificates cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    });
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Unreachable, "cannot use TLS").with_source(error))?;
    Ok(config.with_root_certificates(Arc::clone(roots)).with_no_client_auth())
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(reqwest::header::RETRY_AFTER)?;
    Some(Duration::from_secs(value.to_str().ok()?.parse().ok()?))
}

/// What the body of an error says, if it is one of the specification's: `: MANIFEST_UNKNOWN, manifest unknown`.
fn said(answer: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Answer {
        errors: Vec<Reason>,
    }
    #[derive(serde::Deserialize)]
    struct Reason {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(Answer { errors }) = serde_json::from_slice(answer) else { return String::new() };
    let Some(Reason { code, message }) = errors.into_iter().next() else { return String::new() };
    let text: String = format!(": {code}, {message}").chars().take(200).collect();
    text.escape_debug().to_string()
}

const MOST_REDIRECTS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_cut_and_escaped() {
        assert_eq!(said(br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m"}]}"#), r": DENIED, no\u{1b}[31m");
        for answer in [&b""[..], b"<html>", b"{}", br#"{"errors":[]}"#] {
            assert_eq!(said(answer), "");
        }
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(1000));
        assert!(said(long.as_bytes()).len() < 300);
    }

    #[test]
    fn loopback_is_plain_and_everything_else_is_not() {
        let base = |name: &str, plain| Host::new(name, plain, None).unwrap().url("/v2/");
        assert_eq!(base("localhost:5000", false), "http://localhost:5000/v2/");
        assert_eq!(base("[::1]:5000", false), "http://[::1]:5000/v2/");
        assert_eq!(base("registry.example", false), "https://registry.example/v2/");
        assert_eq!(base("registry.example", true), "http://registry.example/v2/");
        assert_eq!(base("docker.io", false), "https://registry-1.docker.io/v2/");
    }

    #[test]
    fn an_upload_does_not_leave_tls() {
        let host = Host::new("registry.example", false, None).unwrap();
        assert_eq!(host.location("/v2/x?y").unwrap().as_str(), "https://registry.example/v2/x?y");
        assert_eq!(host.location("https://blobs.example/x").unwrap().as_str(), "https://blobs.example/x");
        for location in ["http://registry.example/x", "file:///etc/passwd", "http://["] {
            assert!(host.location(location).is_err(), "{location}");
        }
    }
}
