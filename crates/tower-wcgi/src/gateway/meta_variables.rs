//! Stage 3: a request's head becomes the meta-variables of RFC 3875 §4.1.
//!
//! In: the facts about the request, its [`Target`] and the settings of the service. Out: one [`Environ`]. It
//! must not know wasm, tokio, or where the script's files are.

use std::net::SocketAddr;

use http::{HeaderMap, Method, Uri, Version, header};

use super::authority::{self, Authority};
use super::request_headers::push_headers;
use super::target::Target;
use crate::environ::{Environ, InvalidVariable};
use crate::error::{Error, ErrorKind};

/// All facts about a request that CGI needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    /// As the client sent it, before any router stripped a prefix; has an authority in HTTP/2.
    pub(crate) uri: &'a Uri,
    pub(crate) target: &'a Target,
    /// The script's own path as the guest sees it; `None` if the script is not a file of a site.
    pub(crate) script_filename: Option<&'a str>,
    /// The true length of the body; `None` if there is no body.
    pub(crate) content_length: Option<u64>,
    /// The client's address; `None` if unknown.
    pub(crate) remote_addr: Option<SocketAddr>,
    /// Whether the request came over TLS; `None` if unknown. The settings have precedence.
    pub(crate) https: Option<bool>,
    /// Scheme and user that an authentication layer has established.
    pub(crate) remote_user: Option<(&'a str, &'a str)>,
}

/// The operator's settings for every request's meta-variables.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) server_software: String,
    /// The server's name if the request has none.
    pub(crate) server_name: String,
    /// The server's port if the request has no authority. Without it the scheme's port.
    pub(crate) server_port: Option<u16>,
    /// Whether all clients use TLS, if that is set. The constants have precedence.
    pub(crate) https: Option<bool>,
    /// Whether scripts see `Authorization` and `Proxy-Authorization`.
    pub(crate) pass_authorization: bool,
    /// The root of the site as the guest sees it.
    pub(crate) document_root: Option<String>,
    /// The same for every request: the package's variables and the operator's, each name once.
    pub(crate) constants: Environ,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server_software: concat!("tower-wcgi/", env!("CARGO_PKG_VERSION")).to_owned(),
            server_name: "localhost".to_owned(),
            server_port: None,
            https: None,
            pass_authorization: false,
            document_root: None,
            constants: Environ::default(),
        }
    }
}

/// The environment of one exchange: the request's variables, then the operator's constants; no name twice.
///
/// A constant wins over a value derived from the request (`HTTP_*`, `SERVER_NAME`, `SCRIPT_NAME` …). So no client can
/// override the operator. Only names that are [`is_per_request`] never come from a constant.
///
/// # Errors
///
/// `MalformedRequest` for a request with a bad or ambiguous `Host`, several `Content-Type`s, or more than 1 MiB of
/// variables. `Host` for a setting with a NUL.
pub(crate) fn environ(request: &Request<'_>, settings: &Settings) -> Result<Environ, Error> {
    let constants = &settings.constants;
    let authority = Authorities::of(request)?;
    let mut environ = with_enough_capacity(request, settings);

    push_request_line(&mut environ, request, constants).map_err(in_request)?;
    push_content(&mut environ, request)?;
    push_remote(&mut environ, request).map_err(in_request)?;
    push_server(&mut environ, request, settings, &authority).map_err(in_settings)?;
    push_site(&mut environ, request, settings)?;
    if let Some(host) = authority.http_host.filter(|_| !constants.contains("HTTP_HOST")) {
        environ.push("HTTP_HOST", host).map_err(in_request)?;
    }
    push_headers(&mut environ, request.headers, settings.pass_authorization, constants, MAX_REQUEST_BYTES)
        .map_err(in_request)?;
    if environ.block().len() > MAX_REQUEST_BYTES {
        return Err(Error::new(ErrorKind::MalformedRequest, "the request's headers are too large for an environment"));
    }

    environ.push_all(constants, |name| !is_per_request(name)).map_err(in_settings)?;
    Ok(environ)
}

/// Names that belong to each request, and so cannot be constants.
pub(crate) fn is_per_request(name: &str) -> bool {
    matches!(
        name,
        "AUTH_TYPE"
            | "CONTENT_LENGTH"
            | "CONTENT_TYPE"
            | "GATEWAY_INTERFACE"
            | "PATH_INFO"
            | "PATH_TRANSLATED"
            | "QUERY_STRING"
            | "REQUEST_METHOD"
            | "REQUEST_URI"
            | "SERVER_PROTOCOL"
    ) || name.starts_with("REMOTE_")
}

/// The server's name according to the request.
struct Authorities<'a> {
    /// Validated; `None` if the request has none.
    server: Option<Authority<'a>>,
    /// The bytes of `HTTP_HOST`.
    http_host: Option<&'a [u8]>,
}

impl<'a> Authorities<'a> {
    fn of(request: &Request<'a>) -> Result<Self, Error> {
        let malformed = |message| Error::new(ErrorKind::MalformedRequest, message);
        let mut fields = request.headers.get_all(header::HOST).iter();
        let field = fields.next().map(http::HeaderValue::as_bytes);
        // RFC 9112 §3.2: several Host fields, or a bad one, are answered 400.
        if fields.next().is_some() {
            return Err(malformed("the request has several Host headers"));
        }
        let from_field = match field {
            None | Some(b"") => None,
            Some(text) => Some(authority::parse(text).ok_or_else(|| malformed("the request's Host is malformed"))?),
        };
        // The target's authority replaces the Host field (RFC 9112 §3.2.2, RFC 9113 §8.3.1). It replaces HTTP_HOST as
        // well: a script that reads both variables must not see two hosts.
        let Some(authority) = request.uri.authority() else {
            return Ok(Self { server: from_field, http_host: field });
        };
        let text = authority.as_str().as_bytes();
        let server = authority::parse(text).ok_or_else(|| malformed("the request's authority is malformed"))?;
        Ok(Self { server: Some(server), http_host: Some(text) })
    }
}

fn push_request_line(environ: &mut Environ, request: &Request<'_>, constants: &Environ) -> Result<(), InvalidVariable> {
    let Request { method, uri, target, .. } = request;
    environ.push("GATEWAY_INTERFACE", "CGI/1.1")?; // §4.1.4
    environ.push_display("SERVER_PROTOCOL", format_args!("{:?}", request.version))?; // §4.1.16
    environ.push("REQUEST_METHOD", method.as_str())?; // §4.1.12
    environ.push("QUERY_STRING", uri.query().unwrap_or_default())?; // §4.1.7: set, if empty, without a query too
    match uri.path_and_query() {
        // Its Display gives `/` for the empty path of `http://host?query`.
        Some(path_and_query) => environ.push_display("REQUEST_URI", path_and_query)?,
        None => environ.push("REQUEST_URI", "")?,
    }
    if !constants.contains("SCRIPT_NAME") {
        environ.push("SCRIPT_NAME", &target.script_name)?; // §4.1.13
    }
    environ.push("PATH_INFO", &target.path_info) // §4.1.5
}

fn push_content(environ: &mut Environ, request: &Request<'_>) -> Result<(), Error> {
    // §4.1.2: set if, and only if, there is a body.
    if let Some(length) = request.content_length {
        environ.push_display("CONTENT_LENGTH", length).map_err(in_request)?;
    }
    let mut types = request.headers.get_all(header::CONTENT_TYPE).iter();
    if let Some(content_type) = types.next() {
        environ.push("CONTENT_TYPE", content_type.as_bytes()).map_err(in_request)?; // §4.1.3
    }
    // The field is not a list. A proxy that has checked one of them may not have checked the other.
    if types.next().is_some() {
        return Err(Error::new(ErrorKind::MalformedRequest, "the request has several Content-Type headers"));
    }
    Ok(())
}

fn push_remote(environ: &mut Environ, request: &Request<'_>) -> Result<(), InvalidVariable> {
    if let Some(address) = request.remote_addr {
        // A dual-stack listener shows an IPv4 client as ::ffff:1.2.3.4, which no script's allow-list has.
        let ip = address.ip().to_canonical();
        environ.push_display("REMOTE_ADDR", ip)?; // §4.1.8
        environ.push_display("REMOTE_HOST", ip)?; // §4.1.9: the address where the name is not known
        if address.port() != 0 {
            environ.push_display("REMOTE_PORT", address.port())?;
        }
    }
    if let Some((scheme, user)) = request.remote_user {
        environ.push("AUTH_TYPE", scheme)?; // §4.1.1
        environ.push("REMOTE_USER", user)?; // §4.1.11
    }
    Ok(())
}

fn push_server(
    environ: &mut Environ,
    request: &Request<'_>,
    settings: &Settings,
    authority: &Authorities<'_>,
) -> Result<(), InvalidVariable> {
    let unset = |name| !settings.constants.contains(name);
    let https = https(request, settings);
    if unset("SERVER_SOFTWARE") {
        environ.push("SERVER_SOFTWARE", &settings.server_software)?; // §4.1.17
    }
    if unset("SERVER_NAME") {
        let host = authority.server.map_or(&*settings.server_name, |authority| authority.host);
        environ.push("SERVER_NAME", host)?; // §4.1.14
    }
    if unset("SERVER_PORT") {
        let by_scheme = if https == Some(true) { 443 } else { 80 };
        // A client that names a host without a port means the scheme's port, wherever the server really listens.
        let port = match authority.server {
            Some(authority) => authority.port,
            None => settings.server_port,
        };
        environ.push_display("SERVER_PORT", port.unwrap_or(by_scheme))?; // §4.1.15
    }
    if let Some(https) = https {
        if unset("REQUEST_SCHEME") {
            environ.push("REQUEST_SCHEME", if https { "https" } else { "http" })?;
        }
        // PHP takes any value but `off` for on, so plain http leaves it unset.
        if https && unset("HTTPS") {
            environ.push("HTTPS", "on")?;
        }
    }
    // php-cgi built with force-cgi-redirect refuses to run without it.
    if unset("REDIRECT_STATUS") {
        environ.push("REDIRECT_STATUS", "200")?;
    }
    Ok(())
}

/// Whether the client uses TLS: by a constant, else by the setting for all requests, else by the facts about this request. All
/// variables that depend on TLS are made from this result, so that they agree.
fn https(request: &Request<'_>, settings: &Settings) -> Option<bool> {
    if let Some(value) = settings.constants.get("HTTPS") {
        // As PHP reads it.
        return Some(!value.is_empty() && !value.eq_ignore_ascii_case(b"off"));
    }
    match settings.constants.get("REQUEST_SCHEME") {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => Some(true),
        Some(scheme) if scheme.eq_ignore_ascii_case(b"http") => Some(false),
        _ => settings.https.or(request.https),
    }
}

fn push_site(environ: &mut Environ, request: &Request<'_>, settings: &Settings) -> Result<(), Error> {
    let is_constant = settings.constants.contains("SCRIPT_FILENAME");
    if let Some(filename) = request.script_filename.filter(|_| !is_constant) {
        environ.push("SCRIPT_FILENAME", filename).map_err(in_request)?;
    }
    let constant = settings.constants.get("DOCUMENT_ROOT");
    let Some(root) = constant.or(settings.document_root.as_deref().map(str::as_bytes)) else {
        return Ok(());
    };
    if constant.is_none() {
        environ.push("DOCUMENT_ROOT", root).map_err(in_settings)?;
    }
    // §4.1.6: not set if PATH_INFO is empty. Nor if the script is known by its file: PHP with `cgi.fix_pathinfo = 0` would
    // run the file that PATH_TRANSLATED names. The client chooses that file, and no rule of the site covers it.
    let names_its_script = is_constant || request.script_filename.is_some();
    if !request.target.path_info.is_empty() && !names_its_script {
        let root = root.strip_suffix(b"/").unwrap_or(root);
        environ.push_joined("PATH_TRANSLATED", &[root, &request.target.path_info]).map_err(in_request)?;
    }
    Ok(())
}

/// Room for all variables, so that the block is allocated once.
fn with_enough_capacity(request: &Request<'_>, settings: &Settings) -> Environ {
    let headers: usize =
        request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + PER_HEADER_BYTES).sum();
    let uri = request.uri.path_and_query().map_or(0, |text| text.as_str().len());
    let bytes = headers + 3 * uri + settings.server_software.len() + FIXED_BYTES;
    Environ::with_capacity(
        bytes.min(MAX_REQUEST_BYTES) + settings.constants.block().len(),
        request.headers.keys_len() + FIXED_VARIABLES + settings.constants.len(),
    )
}

fn in_request(error: InvalidVariable) -> Error {
    Error::new(ErrorKind::MalformedRequest, "the request cannot be expressed as environment variables")
        .with_source(error)
}

fn in_settings(error: InvalidVariable) -> Error {
    Error::new(ErrorKind::Host, "a setting cannot be expressed as an environment variable").with_source(error)
}

/// The request's share of an environment. HTTP servers allow far less. This limit is for other callers of the
/// service.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// `HTTP_`, `=` and NUL.
const PER_HEADER_BYTES: usize = 7;

/// Room for the variables of every environment, names included, without the request's own texts.
const FIXED_BYTES: usize = 640;
const FIXED_VARIABLES: usize = 24;
