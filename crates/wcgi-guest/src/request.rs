//! The request, from the variables that describe it (RFC 3875 §4.1).
//!
//! In: variables and stdin. Out: the request that the service sees. It must not know what becomes of it.

use std::io::Read;

use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};

use crate::body::RequestBody;
use crate::failure::Failure;
use crate::meta_variables::MetaVariables;
use crate::{response, url};

/// The request these variables describe, with `input` for its body.
pub(crate) fn read(
    variables: MetaVariables,
    input: impl Read + Send + 'static,
) -> Result<Request<RequestBody>, Failure> {
    let length = content_length(&variables)?;
    let mut request = Request::new(RequestBody::new(input, length.unwrap_or(0)));
    *request.method_mut() = method(&variables)?;
    *request.uri_mut() = uri(&variables)?;
    *request.version_mut() = version(&variables);
    *request.headers_mut() = headers(&variables, length);
    request.extensions_mut().insert(variables);
    Ok(request)
}

fn method(variables: &MetaVariables) -> Result<Method, Failure> {
    let method = variables.bytes("REQUEST_METHOD");
    if method.is_empty() {
        return Err(Failure::new("REQUEST_METHOD is not set: this is a CGI program, to be called by a web server"));
    }
    Method::from_bytes(method).map_err(|error| Failure::new("REQUEST_METHOD is no method").because(error))
}

/// The part of the URI below the program. It is as the client has sent it, if that means the same as `PATH_INFO`: the latter is
/// decoded, and does not tell `%2F` from `/`.
fn uri(variables: &MetaVariables) -> Result<Uri, Failure> {
    let path_info = variables.bytes("PATH_INFO");
    let (sent, _) = url::split(variables.bytes("REQUEST_URI"));
    let below = url::below(sent, variables.bytes("SCRIPT_NAME"), path_info);

    let mut target = String::new();
    match below.filter(|path| path.first() == Some(&b'/')) {
        Some(path) => url::encode(&mut target, path, url::in_encoded_path),
        None => {
            if path_info.first() != Some(&b'/') {
                target.push('/');
            }
            url::encode(&mut target, path_info, url::in_path);
        }
    }
    let query = variables.bytes("QUERY_STRING");
    if !query.is_empty() {
        target.push('?');
        url::encode(&mut target, query, url::in_query);
    }
    let target = PathAndQuery::try_from(target).map_err(|error| {
        Failure::new("PATH_INFO or QUERY_STRING is too long").because(error).with_status(StatusCode::URI_TOO_LONG)
    })?;
    Ok(target.into())
}

/// Unknown versions count as HTTP/1.1.
fn version(variables: &MetaVariables) -> Version {
    match variables.bytes("SERVER_PROTOCOL") {
        b"HTTP/0.9" => Version::HTTP_09,
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/2.0" | b"HTTP/2" => Version::HTTP_2,
        b"HTTP/3.0" | b"HTTP/3" => Version::HTTP_3,
        _ => Version::HTTP_11,
    }
}

fn content_length(variables: &MetaVariables) -> Result<Option<u64>, Failure> {
    match variables.bytes("CONTENT_LENGTH") {
        [] => Ok(None),
        digits if digits.iter().all(u8::is_ascii_digit) => {
            let length = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            length.map(Some).ok_or_else(|| Failure::new("CONTENT_LENGTH is too large"))
        }
        _ => Err(Failure::new("CONTENT_LENGTH is no number")),
    }
}

/// The headers that the server has passed on (RFC 3875 §4.1.18), without those about its connection to the client. Variables
/// that are called like a header and are none are left out.
fn headers(variables: &MetaVariables, length: Option<u64>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in variables.iter() {
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix("HTTP_")) else { continue };
        let name = HeaderName::try_from(name.to_ascii_lowercase().replace('_', "-"));
        let value = HeaderValue::from_bytes(value.as_encoded_bytes());
        // Type and length of the body have their own variables.
        if let (Ok(name), Ok(value)) = (name, value)
            && !response::is_of_connection(&name)
            && name != header::CONTENT_TYPE
            && name != header::CONTENT_LENGTH
        {
            headers.append(name, value);
        }
    }
    let content_type = variables.bytes("CONTENT_TYPE");
    if !content_type.is_empty()
        && let Ok(content_type) = HeaderValue::from_bytes(content_type)
    {
        headers.append(header::CONTENT_TYPE, content_type);
    }
    if let Some(length) = length {
        headers.append(header::CONTENT_LENGTH, length.into());
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Request<RequestBody>, Failure> {
        let method = [("REQUEST_METHOD", "GET")];
        super::read(method.iter().chain(variables).copied().collect(), std::io::empty())
    }

    #[test]
    fn the_uri_is_what_lies_below() {
        let cases = [
            (["", "", "", ""], "/"),
            (["/book", "", "", "/book"], "/"),
            (["/book", "/", "x=1", "/book/?x=1"], "/?x=1"),
            (["/book", "/a/b", "", "/b%6Fok/a%2Fb"], "/a%2Fb"),
            (["/book", "/ü b", "", ""], "/%C3%BC%20b"),
            (["/index.cgi", "/a%2Fb", "q", "/rewritten?other"], "/a%252Fb?q"),
            (["", "/a", "x=\"<>\"", "http://host/a?x"], "/a?x=%22%3C%3E%22"),
            (["", "no-slash", "", ""], "/no-slash"),
        ];
        for ([script_name, path_info, query_string, request_uri], wanted) in cases {
            let request = read(&[
                ("SCRIPT_NAME", script_name),
                ("PATH_INFO", path_info),
                ("QUERY_STRING", query_string),
                ("REQUEST_URI", request_uri),
            ]);
            assert_eq!(*request.unwrap().uri(), wanted);
        }
    }

    #[test]
    fn headers_are_variables_again() {
        let request = read(&[
            ("HTTP_X_REQUEST_ID", "7"),
            ("HTTP_COOKIE", "a=b; c=d"),
            ("HTTP_CONNECTION", "close"),
            ("HTTP_CONTENT_TYPE", "text/other"),
            ("HTTP_BAD(NAME)", "1"),
            ("HTTP_BAD_VALUE", "1\r\n2"),
            ("CONTENT_TYPE", "text/plain"),
            ("CONTENT_LENGTH", "12"),
            ("SERVER_PROTOCOL", "HTTP/2.0"),
        ]);
        let request = request.unwrap();
        let mut headers: Vec<_> = request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        headers.sort_unstable();
        let wanted =
            [("content-length", "12"), ("content-type", "text/plain"), ("cookie", "a=b; c=d"), ("x-request-id", "7")];
        assert_eq!(headers, wanted);
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.extensions().get::<MetaVariables>().unwrap().get("HTTP_CONNECTION"), Some("close"));
    }

    #[test]
    fn what_cannot_be_a_request_is_refused() {
        let status = |variables| read(variables).unwrap_err().status.as_u16();
        assert_eq!(status(&[("CONTENT_LENGTH", "-1")]), 500);
        assert_eq!(status(&[("CONTENT_LENGTH", "99999999999999999999")]), 500);
        assert_eq!(status(&[("PATH_INFO", &format!("/{}", "a".repeat(70_000)))]), 414);
        let unset = super::read(MetaVariables::default(), std::io::empty()).unwrap_err();
        assert!(unset.to_string().starts_with("REQUEST_METHOD is not set"), "{unset}");
        assert!(super::read(MetaVariables::from_iter([("REQUEST_METHOD", "G T")]), std::io::empty()).is_err());
    }
}
