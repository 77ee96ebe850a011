//! Warm-up requests: a start-up may answer them before there is any real request.
//!
//! In: the paths that a manifest lists, and the settings and site of its service. Out: a file with the meta-variables of each,
//! one line a request. Nothing here is an error: a package runs without warm-up too. It must not know wasm or tokio.

use std::net::{Ipv4Addr, SocketAddr};

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use crate::error::{Error, ErrorKind};
use crate::gateway::{self, Settings};
use crate::mount::{Mount, TMP};
use crate::site::{Accepted, Route, Routes};

/// For each of `requests` a line of `NAME=VALUE`, with tabs between them. They are the variables of the request itself, without
/// the package's constants. A request that no script answers is left out, and the log says why.
pub(crate) fn file(
    requests: &[String],
    mount: &str,
    settings: &Settings,
    site: Option<&Routes>,
    mounts: &[Mount],
) -> Vec<u8> {
    if !requests.is_empty() && mounts.iter().any(|mount| mount.guest == TMP) {
        tracing::warn!("the warm-up requests are left out, because their place is /tmp, which is a mount");
        return Vec::new();
    }
    // The address of this service must not be in a snapshot.
    let settings = Settings { server_name: NAME.to_owned(), server_port: None, ..settings.clone() };
    let mut file = Vec::new();
    for request in requests {
        match line(&format!("{mount}{request}"), mount, &settings, site) {
            Ok(line) => file.extend_from_slice(&line),
            Err(error) => tracing::warn!("the warm-up request {request} is left out: {error}"),
        }
    }
    file
}

fn line(request: &str, mount: &str, settings: &Settings, site: Option<&Routes>) -> Result<Vec<u8>, Error> {
    let malformed = |message| Error::new(ErrorKind::MalformedRequest, message);
    let uri: Uri = request.parse().map_err(|error| malformed("it is no URL").with_source(error))?;
    let mut target = gateway::split(uri.path(), uri.path(), Some(mount))?;
    let mut script_filename = None;
    if let Some(site) = site {
        let Route::Script(script) = site.route(&target.path_info, &Accepted::default())? else {
            return Err(Error::new(ErrorKind::NotFound, "no script answers it"));
        };
        target.script_name.extend_from_slice(script.name.as_bytes());
        target.path_info = script.path_info;
        script_filename = Some(script.filename);
    }
    let environ = gateway::environ(
        &gateway::Request {
            method: &Method::GET,
            version: Version::HTTP_11,
            headers: &HeaderMap::from_iter([(HOST, HeaderValue::from_static(NAME))]),
            uri: &uri,
            target: &target,
            script_filename: script_filename.as_deref(),
            content_length: None,
            remote_addr: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            https: Some(false),
            remote_user: None,
        },
        settings,
    )?;
    let mut line = Vec::new();
    for (name, value) in environ.iter().filter(|(name, _)| !settings.constants.contains(name)) {
        if value.iter().any(|byte| matches!(byte, b'\t' | b'\r' | b'\n')) {
            return Err(malformed("a variable of it has a tab or the end of a line"));
        }
        let separator: &[u8] = if line.is_empty() { b"" } else { b"\t" };
        line.extend_from_slice(&[separator, name.as_bytes(), b"=", value].concat());
    }
    line.push(b'\n');
    Ok(line)
}

const NAME: &str = "localhost";
