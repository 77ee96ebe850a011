//! Who asks: passwords from Docker's configuration, and tokens that a registry gives for them.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use reqwest::RequestBuilder;

/// What a request is about to do, and to which repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) push: bool,
    /// Another repository whose blobs are to be seen.
    pub(super) from: Option<String>,
}

impl Scope {
    pub(super) fn texts(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let own = format!("repository:{}:{actions}", self.name);
        let from = self.from.as_ref().map(|name| format!("repository:{name}:pull"));
        std::iter::once(own).chain(from).collect()
    }
}

/// A user's, from Docker's configuration.
pub(super) struct Credentials(pub(super) DockerCredential);

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
