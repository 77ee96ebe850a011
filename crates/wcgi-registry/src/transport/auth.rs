//! Who asks: passwords from Docker's configuration, and tokens that a registry gives for them.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use http_auth::parse_challenges;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

use super::LARGEST_ANSWER;
use super::body::{Progress, unless_silent, whole};
use super::host::Host;
use crate::error::{Error, ErrorKind, content};

/// What a request is about to do, and to which repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) push: bool,
    /// Another repository whose blobs are to be seen.
    pub(super) from: Option<String>,
}

impl Scope {
    fn texts(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{actions}", self.name);
        let from = self.from.as_ref().map(|name| format!("repository:{name}:pull"));
        std::iter::once(own).chain(from).collect()
    }
}

/// A user's, from Docker's configuration.
pub(super) struct Credentials(DockerCredential);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Looks in `config.json` of `folder`, and asks the helper that it names.
    pub(super) fn find(folder: Option<&Path>, host: &str) -> Option<Self> {
        let file = folder?.join("config.json");
        let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
        let reader = File::open(&file).ok()?.take(LARGEST_CONFIG);
        match docker_credential::get_credential_from_reader(reader, server) {
            Ok(credential) => Some(Self(credential)),
            Err(CredentialRetrievalError::NoCredentialConfigured) => None,
            // Helpers say so on stdout, by convention in these words.
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("not found") => None,
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                tracing::warn!("{helper} does not give a password for {host}; asking without one");
                None
            }
            Err(error) => {
                tracing::warn!("{}: {error}; asking {host} without a password", file.display());
                None
            }
        }
    }
}

/// How a request says who asks.
#[derive(Clone)]
pub(super) enum Authorization {
    Basic(String, String),
    Bearer(String),
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic(..) => "Basic(…)",
            Self::Bearer(..) => "Bearer(…)",
        })
    }
}

impl Authorization {
    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic(user, password) => request.basic_auth(user, Some(password)),
            Self::Bearer(token) => request.bearer_auth(token),
        }
    }
}

/// What was found out for each scope.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<Scope, Authorization>>);

impl Tokens {
    pub(super) fn of(&self, scope: &Scope) -> Option<Authorization> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned()
    }

    pub(super) fn set(&self, scope: &Scope, authorization: Authorization) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), authorization);
    }
}

/// What answers the challenge of a 401; nothing when there is no answer to it.
pub(super) async fn answer(
    host: &Host,
    response: &Response,
    credentials: Option<&Credentials>,
    scope: &Scope,
) -> Result<Option<Authorization>, Error> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    let texts: Vec<_> = headers.iter().filter_map(|value| HeaderValue::to_str(value).ok()).collect();
    let challenges: Vec<_> = texts.iter().filter_map(|text| parse_challenges(text).ok()).flatten().collect();
    if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("Bearer")) {
        let parameter = |name: &str| {
            let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let realm = parameter("realm").unwrap_or_default();
        let token = token(host, response.url(), &realm, parameter("service"), credentials, scope).await?;
        return Ok(Some(Authorization::Bearer(token)));
    }
    let is_basic = challenges.iter().any(|challenge| challenge.scheme.eq_ignore_ascii_case("Basic"));
    match credentials {
        Some(Credentials(DockerCredential::UsernamePassword(user, password))) if is_basic => {
            Ok(Some(Authorization::Basic(user.clone(), password.clone())))
        }
        _ => Ok(None),
    }
}

async fn token(
    host: &Host,
    registry: &Url,
    realm: &str,
    service: Option<String>,
    credentials: Option<&Credentials>,
    scope: &Scope,
) -> Result<String, Error> {
    let name = &host.name;
    let mut url = Url::parse(realm)
        .map_err(|error| content(format!("{name} names an authentication server that is none")).with_source(error))?;
    if url.scheme() != "https" && (registry.scheme() == "https" || url.scheme() != "http") {
        return Err(content(format!("{name} names an authentication server without TLS")));
    }
    let request = match credentials {
        Some(Credentials(DockerCredential::IdentityToken(token))) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
            form.append_pair("client_id", "wcgi").append_pair("scope", &scope.texts().join(" "));
            if let Some(service) = &service {
                form.append_pair("service", service);
            }
            let request = host.client.post(url).body(form.finish());
            request.header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        }
        other => {
            for text in scope.texts() {
                url.query_pairs_mut().append_pair("scope", &text);
            }
            if let Some(service) = &service {
                url.query_pairs_mut().append_pair("service", service);
            }
            let request = host.client.get(url);
            match other {
                Some(Credentials(DockerCredential::UsernamePassword(user, password))) => {
                    request.basic_auth(user, Some(password))
                }
                _ => request,
            }
        }
    };
    let sent = unless_silent(&Progress::default(), request.send()).await.map_err(|silent| silent.error(name))?;
    let response = sent.map_err(|error| host.unreachable(error))?;
    if response.status() != StatusCode::OK {
        return Err(host.refused(response, &format!("a token for {}", scope.name)).await);
    }
    #[derive(serde::Deserialize)]
    struct Given {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer = whole(name, response, LARGEST_ANSWER).await?;
    let given = serde_json::from_slice(&answer).ok().and_then(|given: Given| given.token.or(given.access_token));
    given.ok_or_else(|| Error::new(ErrorKind::Denied, format!("{name} gives no token")))
}

const LARGEST_CONFIG: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_by_the_name_of_the_registry() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Credentials::find(None, "a.b").is_none());
        assert!(Credentials::find(Some(folder.path()), "a.b").is_none());
        // me:secret
        let config = r#"{"auths":{"a.b:5000":{"auth":"bWU6c2VjcmV0"}}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let found = Credentials::find(Some(folder.path()), "a.b:5000").unwrap();
        assert_eq!(found.0, DockerCredential::UsernamePassword("me".to_owned(), "secret".to_owned()));
        assert!(!format!("{found:?}").contains("secret"));
        assert!(Credentials::find(Some(folder.path()), "other").is_none());
        std::fs::write(folder.path().join("config.json"), "{").unwrap();
        assert!(Credentials::find(Some(folder.path()), "a.b:5000").is_none());
    }

    #[test]
    fn a_scope_names_the_repository_and_what_is_done() {
        let mut scope = Scope { name: "me/blog".to_owned(), push: false, from: None };
        assert_eq!(scope.texts(), ["repository:me/blog:pull"]);
        scope.push = true;
        scope.from = Some("php".to_owned());
        assert_eq!(scope.texts(), ["repository:me/blog:pull,push", "repository:php:pull"]);
    }
}
