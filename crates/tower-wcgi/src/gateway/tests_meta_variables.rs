//! The rows of the contract's table of meta-variables, but for those about `HTTP_*`.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::{Request, Settings, Target, environ, is_per_request};
use crate::environ::Environ;
use crate::error::{Error, ErrorKind};

/// A request that a test changes where it matters.
pub(super) struct Case {
    method: Method,
    version: Version,
    uri: Uri,
    pub(super) headers: HeaderMap,
    target: Target,
    script_filename: Option<&'static str>,
    content_length: Option<u64>,
    remote_addr: Option<&'static str>,
    https: Option<bool>,
    remote_user: Option<(&'static str, &'static str)>,
    pub(super) settings: Settings,
}

impl Case {
    pub(super) fn new(uri: &str) -> Self {
        let uri: Uri = uri.parse().unwrap();
        let target = super::split(uri.path(), uri.path(), None).unwrap();
        Self {
            method: Method::GET,
            version: Version::HTTP_11,
            uri,
            headers: HeaderMap::new(),
            target,
            script_filename: None,
            content_length: None,
            remote_addr: None,
            https: None,
            remote_user: None,
            settings: Settings::default(),
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    pub(super) fn constant(mut self, name: &str, value: &str) -> Self {
        self.settings.constants.push(name, value).unwrap();
        self
    }

    pub(super) fn run(&self) -> Result<Environ, Error> {
        let request = Request {
            method: &self.method,
            version: self.version,
            headers: &self.headers,
            uri: &self.uri,
            target: &self.target,
            script_filename: self.script_filename,
            content_length: self.content_length,
            remote_addr: self.remote_addr.map(|address| address.parse().unwrap()),
            https: self.https,
            remote_user: self.remote_user,
        };
        let environ = environ(&request, &self.settings);
        if let Ok(environ) = &environ {
            let mut names: Vec<_> = environ.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            assert!(names.is_sorted_by(|a, b| a < b), "a variable never appears twice: {names:?}");
        }
        environ
    }

    #[track_caller]
    pub(super) fn expect(&self, expected: &[(&str, Option<&str>)]) {
        let environ = self.run().unwrap();
        for (name, value) in expected {
            let actual = environ.get(name).map(String::from_utf8_lossy);
            assert_eq!(actual.as_deref(), *value, "{name} of {environ:?}");
        }
    }

    #[track_caller]
    pub(super) fn expect_malformed(&self) {
        assert_eq!(self.run().unwrap_err().kind(), ErrorKind::MalformedRequest);
    }
}

#[test]
fn gateway_interface_server_software_and_redirect_status() {
    let mut case = Case::new("/");
    let software = concat!("tower-wcgi/", env!("CARGO_PKG_VERSION"));
    let expected = [("GATEWAY_INTERFACE", Some("CGI/1.1")), ("REDIRECT_STATUS", Some("200"))];
    case.expect(&expected);
    case.expect(&[("SERVER_SOFTWARE", Some(software))]);
    case.settings.server_software = "mine/1".into();
    case.expect(&[("SERVER_SOFTWARE", Some("mine/1"))]);
}

#[test]
fn server_protocol() {
    let mut case = Case::new("/");
    for (version, text) in [
        (Version::HTTP_09, "HTTP/0.9"),
        (Version::HTTP_10, "HTTP/1.0"),
        (Version::HTTP_11, "HTTP/1.1"),
        (Version::HTTP_2, "HTTP/2.0"),
        (Version::HTTP_3, "HTTP/3.0"),
    ] {
        case.version = version;
        case.expect(&[("SERVER_PROTOCOL", Some(text))]);
    }
}

#[test]
fn server_name_and_port() {
    // Host header, URI, https, port setting → name, port, HTTP_HOST
    for (host, uri, https, setting, name, port, http_host) in [
        (None, "/", None, None, "localhost", "80", None),
        (None, "/", Some(true), None, "localhost", "443", None),
        (None, "/", Some(false), Some(8080), "localhost", "8080", None),
        (Some(""), "/", None, None, "localhost", "80", Some("")),
        (Some("a.example"), "/", None, None, "a.example", "80", Some("a.example")),
        (Some("a.example"), "/", Some(true), None, "a.example", "443", Some("a.example")),
        (Some("a.example"), "/", Some(true), Some(8443), "a.example", "443", Some("a.example")),
        (Some("a.example:81"), "/", Some(true), Some(8443), "a.example", "81", Some("a.example:81")),
        (Some("[::1]:81"), "/", None, None, "[::1]", "81", Some("[::1]:81")),
        (Some("[::1]"), "/", None, None, "[::1]", "80", Some("[::1]")),
        (None, "https://b.example/", Some(true), None, "b.example", "443", Some("b.example")),
        (None, "http://b.example:82/", None, None, "b.example", "82", Some("b.example:82")),
        // The authority replaces the Host header.
        (Some("a.example"), "http://b.example:82/", None, None, "b.example", "82", Some("b.example:82")),
    ] {
        let mut case = Case::new(uri);
        if let Some(host) = host {
            case = case.header("host", host);
        }
        case.https = https;
        case.settings.server_port = setting;
        case.expect(&[("SERVER_NAME", Some(name)), ("SERVER_PORT", Some(port)), ("HTTP_HOST", http_host)]);
    }
}

#[test]
fn a_malformed_or_second_host_is_malformed() {
    for host in ["a b", "a/b", "user@a", "a:0", "a:99999", "[::1", "..", "a,b", "ü"] {
        Case::new("/").header("host", host).expect_malformed();
        Case::new("http://a.example/").header("host", host).expect_malformed();
    }
    Case::new("/").header("host", "a").header("host", "a").expect_malformed();
    Case::new("http://a.example/").header("host", "a").header("host", "").expect_malformed();
    Case::new("http://user:secret@a.example/").expect_malformed();
}

#[test]
fn request_method_query_string_and_request_uri_are_as_sent() {
    let mut case = Case::new("/a%20b/?x=%41&y=a+b%00");
    case.method = Method::from_bytes(b"PROPFIND").unwrap();
    case.expect(&[
        ("REQUEST_METHOD", Some("PROPFIND")),
        ("QUERY_STRING", Some("x=%41&y=a+b%00")),
        ("REQUEST_URI", Some("/a%20b/?x=%41&y=a+b%00")),
    ]);
    Case::new("/").expect(&[("QUERY_STRING", Some("")), ("REQUEST_URI", Some("/"))]);
    Case::new("/?").expect(&[("QUERY_STRING", Some("")), ("REQUEST_URI", Some("/?"))]);
    Case::new("http://a.example").expect(&[("REQUEST_URI", Some("/"))]);
    Case::new("http://a.example?q").expect(&[("REQUEST_URI", Some("/?q")), ("QUERY_STRING", Some("q"))]);
    Case::new("*").expect(&[("REQUEST_URI", Some("*")), ("PATH_INFO", Some("")), ("SCRIPT_NAME", Some(""))]);
}

#[test]
fn script_name_and_path_info() {
    let mut case = Case::new("/php/a%20b?q");
    case.target = super::split("/php/a%20b", "/a%20b", None).unwrap();
    let expected = [("SCRIPT_NAME", Some("/php")), ("PATH_INFO", Some("/a b")), ("REQUEST_URI", Some("/php/a%20b?q"))];
    case.expect(&expected);
    case.target = super::split("/php", "/", None).unwrap();
    case.expect(&[("SCRIPT_NAME", Some("/php")), ("PATH_INFO", Some("")), ("PATH_TRANSLATED", None)]);
}

#[test]
fn document_root_and_path_translated() {
    let mut case = Case::new("/a");
    case.expect(&[("DOCUMENT_ROOT", None), ("PATH_TRANSLATED", None), ("SCRIPT_FILENAME", None)]);
    case.settings.document_root = Some("/srv/".into());
    case.expect(&[("DOCUMENT_ROOT", Some("/srv/")), ("PATH_TRANSLATED", Some("/srv/a"))]);
    case.target.path_info.clear();
    case.expect(&[("DOCUMENT_ROOT", Some("/srv/")), ("PATH_TRANSLATED", None)]);
    let mut case = Case::new("/a").constant("DOCUMENT_ROOT", "/app");
    case.expect(&[("DOCUMENT_ROOT", Some("/app")), ("PATH_TRANSLATED", Some("/app/a"))]);
    case.settings.document_root = Some("/srv".into());
    case.expect(&[("DOCUMENT_ROOT", Some("/app")), ("PATH_TRANSLATED", Some("/app/a"))]);
}

#[test]
fn no_path_translated_beside_script_filename() {
    let case = Case::new("/.env").constant("DOCUMENT_ROOT", "/app").constant("SCRIPT_FILENAME", "/app/index.php");
    case.expect(&[
        ("SCRIPT_FILENAME", Some("/app/index.php")),
        ("PATH_TRANSLATED", None),
        ("PATH_INFO", Some("/.env")),
    ]);
    let mut case = Case::new("/.env");
    case.settings.document_root = Some("/app".into());
    case.script_filename = Some("/app/index.php");
    case.expect(&[
        ("SCRIPT_FILENAME", Some("/app/index.php")),
        ("PATH_TRANSLATED", None),
        ("PATH_INFO", Some("/.env")),
    ]);
}

#[test]
fn content_length_and_content_type() {
    let mut case = Case::new("/").header("content-length", "7");
    case.expect(&[("CONTENT_LENGTH", None), ("CONTENT_TYPE", None), ("HTTP_CONTENT_LENGTH", None)]);
    case.content_length = Some(0);
    case.expect(&[("CONTENT_LENGTH", Some("0"))]);
    case.content_length = Some(u64::MAX);
    case.expect(&[("CONTENT_LENGTH", Some("18446744073709551615"))]);
    let case = Case::new("/").header("content-type", "text/plain; charset=\"x\"");
    case.expect(&[("CONTENT_TYPE", Some("text/plain; charset=\"x\"")), ("HTTP_CONTENT_TYPE", None)]);
    case.header("content-type", "text/plain").expect_malformed();
}

#[test]
fn remote_addr_host_and_port() {
    let mut case = Case::new("/");
    case.expect(&[("REMOTE_ADDR", None), ("REMOTE_HOST", None), ("REMOTE_PORT", None)]);
    for (address, ip, port) in
        [("1.2.3.4:5", "1.2.3.4", "5"), ("[2001:db8::1]:6", "2001:db8::1", "6"), ("[::ffff:1.2.3.4]:7", "1.2.3.4", "7")]
    {
        case.remote_addr = Some(address);
        case.expect(&[("REMOTE_ADDR", Some(ip)), ("REMOTE_HOST", Some(ip)), ("REMOTE_PORT", Some(port))]);
    }
    // Behind a proxy nothing is known of the port.
    case.remote_addr = Some("1.2.3.4:0");
    case.expect(&[("REMOTE_ADDR", Some("1.2.3.4")), ("REMOTE_PORT", None)]);
}

#[test]
fn remote_user_and_auth_type() {
    let mut case = Case::new("/").header("authorization", "Basic dTpw").header("remote-user", "root");
    case.expect(&[("REMOTE_USER", None), ("AUTH_TYPE", None), ("HTTP_REMOTE_USER", Some("root"))]);
    case.remote_user = Some(("Basic", "ann"));
    case.expect(&[("REMOTE_USER", Some("ann")), ("AUTH_TYPE", Some("Basic")), ("HTTP_AUTHORIZATION", None)]);
    case.remote_user = Some(("Basic", "a\0b"));
    case.expect_malformed();
}

#[test]
fn request_scheme_and_https() {
    let mut case = Case::new("https://a.example/");
    case.expect(&[("REQUEST_SCHEME", None), ("HTTPS", None)]);
    case.https = Some(true);
    case.expect(&[("REQUEST_SCHEME", Some("https")), ("HTTPS", Some("on"))]);
    case.https = Some(false);
    case.expect(&[("REQUEST_SCHEME", Some("http")), ("HTTPS", None)]);
}

#[test]
fn scheme_https_and_port_agree() {
    let secure = [("HTTPS", Some("on")), ("REQUEST_SCHEME", Some("https")), ("SERVER_PORT", Some("443"))];
    let plain = [("HTTPS", None), ("REQUEST_SCHEME", Some("http")), ("SERVER_PORT", Some("80"))];
    let host = || Case::new("/").header("host", "shop.example");
    // What is said for all requests wins over what is known of one.
    for known in [None, Some(false), Some(true)] {
        for mut case in [host().constant("HTTPS", "on"), host().constant("REQUEST_SCHEME", "HTTPS")] {
            case.https = known;
            case.settings.https = Some(false);
            case.expect(&[("HTTPS", Some("on")), ("SERVER_PORT", Some("443"))]);
        }
        let mut case = host();
        (case.https, case.settings.https) = (known, Some(true));
        case.expect(&secure);
        case.settings.https = Some(false);
        case.expect(&plain);
        for value in ["off", "OFF", ""] {
            let mut case = host().constant("HTTPS", value);
            (case.https, case.settings.https) = (known, Some(true));
            case.expect(&[("HTTPS", Some(value)), ("REQUEST_SCHEME", Some("http")), ("SERVER_PORT", Some("80"))]);
        }
        let mut case = host().constant("HTTPS", "1");
        case.https = known;
        case.expect(&[("HTTPS", Some("1")), ("REQUEST_SCHEME", Some("https")), ("SERVER_PORT", Some("443"))]);
    }
    let mut case = host();
    case.https = Some(true);
    case.expect(&secure);
    // A port that is said is the port.
    let case = Case::new("/").header("host", "shop.example:8443").constant("HTTPS", "on");
    case.expect(&[("SERVER_PORT", Some("8443")), ("REQUEST_SCHEME", Some("https"))]);
    let case = host().constant("HTTPS", "on").constant("SERVER_PORT", "444");
    case.expect(&[("SERVER_PORT", Some("444"))]);
}

#[test]
fn constants_win_over_the_request() {
    let overriding: Vec<_> =
        "DOCUMENT_ROOT SCRIPT_FILENAME SCRIPT_NAME SERVER_NAME SERVER_PORT SERVER_SOFTWARE REQUEST_SCHEME \
        HTTPS REDIRECT_STATUS HTTP_HOST HTTP_X_REAL_IP HTTP_COOKIE MY_OWN"
            .split_whitespace()
            .collect();
    let mut case =
        Case::new("/a").header("host", "a").header("x-real-ip", "6.6.6.6").header("cookie", "a").header("x-real", "1");
    case.https = Some(true);
    case.settings.document_root = Some("/srv".into());
    for name in &overriding {
        case = case.constant(name, "constant");
    }
    for name in &overriding {
        case.expect(&[(name, Some("constant"))]);
    }
    case.expect(&[("HTTP_X_REAL", Some("1"))]);
    let environ = case.run().unwrap();
    let names: Vec<_> = environ.iter().map(|(name, _)| name).collect();
    assert!(names.ends_with(&overriding), "constants come last: {names:?}");
}

#[test]
fn constants_never_replace_what_is_per_request() {
    let per_request = "AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE GATEWAY_INTERFACE PATH_INFO PATH_TRANSLATED QUERY_STRING \
        REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_PORT REMOTE_USER REQUEST_METHOD REQUEST_URI SERVER_PROTOCOL";
    let mut case = Case::new("/a?b");
    for name in per_request.split_whitespace() {
        assert!(is_per_request(name), "{name}");
        case = case.constant(name, "constant");
    }
    assert!(case.run().unwrap().iter().all(|(_, value)| value != b"constant"));
    assert!(
        !["SCRIPT_NAME", "DOCUMENT_ROOT", "SERVER_NAME", "HTTP_HOST", "HTTPS", "PATH"].into_iter().any(is_per_request)
    );
}

#[test]
fn a_setting_with_nul_is_the_hosts_fault() {
    let mut case = Case::new("/");
    case.settings.server_name = "a\0b".into();
    assert_eq!(case.run().unwrap_err().kind(), ErrorKind::Host);
}

#[test]
fn cve_2012_1823_and_cve_2024_4577_the_query_is_only_a_variable() {
    for query in ["-s", "-d+allow_url_include%3d1", "%ADs", "%2Ds"] {
        let environ = Case::new(&format!("/?{query}")).run().unwrap();
        let holders = environ.iter().filter(|(_, value)| value.windows(query.len()).any(|w| w == query.as_bytes()));
        assert_eq!(holders.map(|(name, _)| name).collect::<Vec<_>>(), ["QUERY_STRING", "REQUEST_URI"]);
    }
}

#[test]
fn a_large_constant_environment_is_not_the_requests_fault() {
    Case::new("/").constant("BIG", &"v".repeat(2 * 1024 * 1024)).run().unwrap();
}
