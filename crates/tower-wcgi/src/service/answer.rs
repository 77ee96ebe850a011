//! Responses: a script's output, a file, a redirect, or a status.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

use super::asked::Asked;
use super::dev_page::{self, Form};
use crate::body::ResponseBody;
use crate::error::{Error, ErrorKind};
use crate::exchange::Exchange;
use crate::gateway::ResponseHead;
use crate::observe::{self, Observed};
use crate::request::RequestId;
use crate::sendfile::{self, SendFile};
use crate::site::StaticFile;
use crate::stdio::FileReader;
use crate::tree::Facts;

/// The script's answer: `head`, and the `rest` that came with it and goes on. Or the file that the script sends.
pub(super) async fn script(
    asked: &Asked<'_>,
    mut head: ResponseHead,
    rest: Bytes,
    exchange: Exchange,
) -> Result<Response<ResponseBody>, Error> {
    if let Some(send_file) = &asked.release.send_file
        && let Some(path) = sendfile::take(&mut head.headers)?
        && head.has_body
    {
        exchange.let_go_on();
        let opened = asked.within(open(asked, send_file, path)).await?;
        return Ok(opened_file(asked, head.status, head.headers, opened));
    }
    Ok(written(asked, head, rest, exchange))
}

/// A file of the site.
///
/// # Errors
///
/// [`ErrorKind::MethodNotAllowed`] for another method than GET and HEAD.
pub(super) fn file(asked: &Asked<'_>, file: StaticFile) -> Result<Response<ResponseBody>, Error> {
    if asked.method() != Method::GET && asked.method() != Method::HEAD {
        return Err(Error::method_not_allowed("the request's path names a file that is no script", "GET, HEAD"));
    }
    let StaticFile { file, facts, headers, .. } = file;
    Ok(opened_file(asked, StatusCode::OK, headers, (file, facts)))
}

/// Redirects to the directory's path with a slash. Without the slash the links of its index would lead elsewhere.
///
/// The path is spelled anew from the routed path, so it names no other host, whatever the request's path began with.
pub(super) fn directory(asked: &Asked<'_>) -> Response<ResponseBody> {
    let (target, method) = (&asked.target, asked.method());
    let name = percent_encode(&target.script_name, IN_PATH);
    let below = percent_encode(&target.path_info, IN_PATH);
    let mut location = format!("{name}{below}/");
    if let Some(query) = asked.uri.query() {
        location.push('?');
        location.extend(utf8_percent_encode(query, CONTROLS));
    }
    let location = HeaderValue::try_from(location).expect("all that a header cannot have is escaped");
    // 301 may make a POST a GET.
    let keeps_method = method != Method::GET && method != Method::HEAD;
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = if keeps_method { StatusCode::PERMANENT_REDIRECT } else { StatusCode::MOVED_PERMANENTLY };
    response.headers_mut().insert(LOCATION, location);
    response.extensions_mut().insert(asked.id.clone());
    response
}

/// The response of an exchange, which is observed until its body is over.
pub(super) fn observed(
    result: Result<Response<ResponseBody>, Error>,
    mut observed: Observed,
) -> Result<Response<ResponseBody>, Error> {
    match result {
        Ok(mut response) => {
            observed.answered(response.status().as_u16());
            response.extensions_mut().insert(observed.info().clone());
            response.body_mut().observe(observed);
            Ok(response)
        }
        Err(error) => {
            observed.answered(error.kind().status().as_u16());
            observed.failed(error.kind());
            Err(error)
        }
    }
}

/// The status of `error`, and nothing else of it; the log has the rest. Unless there is a developer to show it to.
pub(super) fn error(request_id: &RequestId, error: &Error, dev_page: Option<Form>) -> Response<ResponseBody> {
    if !error.is_logged() {
        observe::log(error, request_id, "");
    }
    let status = error.kind().status();
    let (body, content_type) = match dev_page {
        Some(form) => (dev_page::page(request_id, error, form).into(), form.content_type()),
        None => (ResponseBody::text(status.canonical_reason().unwrap_or("Error")), "text/plain; charset=utf-8"),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if dev_page.is_some() {
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    if error.is_overload() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(methods) = error.allow() {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    response.extensions_mut().insert(request_id.clone());
    response
}

fn written(asked: &Asked<'_>, head: ResponseHead, rest: Bytes, exchange: Exchange) -> Response<ResponseBody> {
    let is_head = asked.method() == Method::HEAD;
    let ResponseHead { status, headers, content_length, has_body } = head;
    // RFC 9110 §6.4.1: these have no content, whatever the script writes.
    let has_body = has_body && !is_head && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let body = if has_body {
        ResponseBody::script(asked.id.clone(), exchange, rest, content_length)
    } else {
        exchange.let_go_on();
        ResponseBody::empty()
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(length) = content_length.filter(|_| has_body || is_head) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response.extensions_mut().insert(asked.id.clone());
    response
}

/// Opens the file that a script sends.
async fn open(asked: &Asked<'_>, send_file: &Arc<SendFile>, path: String) -> Result<(File, Facts), Error> {
    let send_file = Arc::clone(send_file);
    let opening = asked.release.engine.threads().spawn_blocking(move || send_file.open(&path));
    opening.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Host, "cannot open the file that the script sends").with_source(error))
    })
}

fn opened_file(
    asked: &Asked<'_>,
    status: StatusCode,
    mut headers: HeaderMap,
    (file, facts): (File, Facts),
) -> Response<ResponseBody> {
    let engine = &asked.release.engine;
    let plan = sendfile::plan(asked.method(), asked.headers(), status, &facts, &mut headers);
    let reader = FileReader::new(file, plan.part, engine.threads().clone());
    let mut response = Response::new(ResponseBody::file(asked.id.clone(), reader, engine.clone()));
    *response.status_mut() = plan.status;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(asked.id.clone());
    response
}

/// Characters of a path that need no escape.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
