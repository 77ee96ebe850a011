//! What answers a registry that asks for a password or a token.

use docker_credential::DockerCredential;
use http_auth::parse_challenges;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};

use super::auth::{Authorization, Credentials, Scope};
use super::body::{Progress, unless_silent, whole};
use super::host::Host;
use super::limits::LARGEST_ANSWER;
use crate::error::{Error, ErrorKind, content};

impl Host {
    pub(super) async fn answer_challenge(
        &self,
        response: &Response,
        scope: &Scope,
    ) -> Result<Option<Authorization>, Error> {
        let credentials = self.credentials.get_or_init(|| Credentials::find(self.docker_config.as_deref(), &self.name));
        answer(self, response, credentials.as_ref(), scope).await
    }
}

/// What answers the challenge of a 401; nothing when there is no answer to it.
async fn answer(
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
