//! Meta-variables: what a request's head and connection become in the script's environment.

use axum::Router;
use http::{Method, Request, StatusCode};
use tower_wcgi::{RemoteUser, WcgiService};
use wcgi_tests::{Reply, Server, are_components, ask as ask_service, builder, get as get_service, request, service};

use crate::wire::{ask, get, post, send, send2};

async fn env_server() -> Server {
    Server::start(service("env")).await
}

/// What the script sees of a GET with these more header fields.
async fn variables_of(fields: &str) -> crate::wire::Answer {
    ask(&env_server().await, "GET", "/", fields).await
}

fn h2_request(method: &str, uri: &str) -> Request<()> {
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

#[tokio::test]
async fn gateway_interface_and_server_software() {
    let reply = get(&env_server().await, "/").await;
    assert_eq!(reply.variable("GATEWAY_INTERFACE").unwrap(), "CGI/1.1");
    assert!(reply.variable("SERVER_SOFTWARE").unwrap().starts_with("tower-wcgi/"));
    let named = builder("env").server_software("mine/2").build().unwrap();
    assert_eq!(get_service(&named, "/").await.variable("SERVER_SOFTWARE").unwrap(), "mine/2");
}

#[tokio::test]
async fn server_protocol_is_the_requests() {
    let server = env_server().await;
    let old = send(&server, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.variable("SERVER_PROTOCOL").unwrap(), "HTTP/1.0");
    assert_eq!(get(&server, "/").await.variable("SERVER_PROTOCOL").unwrap(), "HTTP/1.1");
    let new = send2(&server, h2_request("GET", "http://localhost/"), &[]).await;
    assert_eq!(new.variable("SERVER_PROTOCOL").unwrap(), "HTTP/2.0");
}

#[tokio::test]
async fn server_name_and_port_are_the_host_headers() {
    let server = env_server().await;
    for (host, name, port) in [
        ("example.com", "example.com", "80"),
        ("example.com:8080", "example.com", "8080"),
        ("[2001:db8::1]:8080", "[2001:db8::1]", "8080"),
        ("[::1]", "[::1]", "80"),
        ("127.0.0.1:1", "127.0.0.1", "1"),
    ] {
        let reply = send(&server, format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        let got = ["SERVER_NAME", "SERVER_PORT", "HTTP_HOST"].map(|name| reply.variable(name).unwrap());
        assert_eq!(got, [name, port, host]);
    }
}

#[tokio::test]
async fn server_name_and_port_are_the_authority_of_http_2() {
    let server = env_server().await;
    let reply = send2(&server, h2_request("GET", "http://example.com:8080/a?b"), &[]).await;
    let got = ["SERVER_NAME", "SERVER_PORT", "REQUEST_URI"].map(|name| reply.variable(name).unwrap());
    assert_eq!(got, ["example.com", "8080", "/a?b"]);
}

#[tokio::test]
async fn server_name_and_port_without_a_host_are_the_settings() {
    let server = Server::start(builder("env").server_name("fallback").server_port(8443).build().unwrap()).await;
    for head in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost:\r\n\r\n"] {
        let reply = send(&server, head).await;
        let got = ["SERVER_NAME", "SERVER_PORT"].map(|name| reply.variable(name).unwrap());
        assert_eq!(got, ["fallback", "8443"]);
    }
}

#[tokio::test]
async fn request_method_is_as_sent() {
    let server = env_server().await;
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "get"] {
        let reply = ask(&server, method, "/", "").await;
        assert_eq!(reply.variable("REQUEST_METHOD").unwrap(), method);
    }
}

#[tokio::test]
async fn query_string_is_undecoded_and_empty_when_absent() {
    let server = env_server().await;
    for (target, query) in
        [("/", ""), ("/?", ""), ("/?a=%41+%2f&b", "a=%41+%2f&b"), ("/?x?y=%00", "x?y=%00"), ("/?%zz", "%zz")]
    {
        assert_eq!(get(&server, target).await.variable("QUERY_STRING").as_deref(), Some(query), "{target}");
    }
}

#[tokio::test]
async fn script_name_and_path_info_are_decoded_and_normalised() {
    let app = Router::new().nest_service("/x", service("env"));
    let server = Server::start(app).await;
    for (target, script_name, path_info) in [
        ("/x", "/x", ""),
        ("/x/", "/x", "/"),
        ("/x/a%20b", "/x", "/a b"),
        ("/x/a/./b//c/../d/", "/x", "/a/b/d/"),
        ("/x/a%2fb", "/x", "/a/b"),
        ("/x/%C3%BC", "/x", "/ü"),
    ] {
        let reply = get(&server, target).await;
        let got = ["SCRIPT_NAME", "PATH_INFO", "REQUEST_URI"].map(|name| reply.variable(name));
        assert_eq!(got, [script_name, path_info, target].map(|value| Some(value.to_owned())));
    }
    let server = Server::start(builder("env").mount("/my app").build().unwrap()).await;
    let reply = get(&server, "/my%20app/a").await;
    assert_eq!(["SCRIPT_NAME", "PATH_INFO"].map(|name| reply.variable(name).unwrap()), ["/my app", "/a"]);
}

#[tokio::test]
async fn path_translated_is_there_only_with_path_info_and_without_script_filename() {
    let env = || builder("env").env("DOCUMENT_ROOT", "/srv/www").mount("/x");
    let server = Server::start(env().build().unwrap()).await;
    assert_eq!(get(&server, "/x/a%20b").await.variable("PATH_TRANSLATED").unwrap(), "/srv/www/a b");
    assert_eq!(get(&server, "/x").await.variable("PATH_TRANSLATED"), None);
    let server = Server::start(env().env("SCRIPT_FILENAME", "/srv/www/a.php").build().unwrap()).await;
    assert_eq!(get(&server, "/x/a%20b").await.variable("PATH_TRANSLATED"), None);
}

#[tokio::test]
async fn content_length_is_there_only_with_a_body_and_true() {
    let server = env_server().await;
    assert_eq!(get(&server, "/").await.variable("CONTENT_LENGTH"), None);
    assert_eq!(post(&server, "/", "").await.variable("CONTENT_LENGTH"), None);
    assert_eq!(post(&server, "/", "12345").await.variable("CONTENT_LENGTH").unwrap(), "5");
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = send(&server, format!("{head}3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")).await;
    assert_eq!(chunked.variable("CONTENT_LENGTH").unwrap(), "7");
    assert_eq!(chunked.variable("HTTP_TRANSFER_ENCODING"), None);
    let empty = send(&server, format!("{head}0\r\n\r\n")).await;
    assert_eq!(empty.variable("CONTENT_LENGTH"), None);
    let h2 = send2(&server, h2_request("POST", "http://x/"), &[b"abc", b"de"]).await;
    assert_eq!(h2.variable("CONTENT_LENGTH").unwrap(), "5");
}

/// 200,000 bytes are more than is kept in memory, so they come back from disk; one byte over the limit is refused.
#[tokio::test]
async fn content_length_of_a_chunked_body_is_known_because_it_was_spooled() {
    let server = Server::start(builder("count").max_body(200_000).build().unwrap()).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000));
    let all = format!("{head}{}0\r\n\r\n", chunk.repeat(4));
    assert_eq!(send(&server, all).await.text(), "bytes=200000\ncontent_length=200000\n");
    let one_more = format!("{head}{}1\r\nx\r\n0\r\n\r\n", chunk.repeat(4));
    send(&server, one_more).await.expect_only(StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn content_type_is_as_sent() {
    let reply = variables_of("Content-Type: text/x; charset=\"a=b\"\r\n").await;
    assert_eq!(reply.variable("CONTENT_TYPE").unwrap(), "text/x; charset=\"a=b\"");
    assert_eq!(variables_of("").await.variable("CONTENT_TYPE"), None);
}

#[tokio::test]
async fn remote_addr_port_and_host_are_the_connections_or_unset() {
    let server = env_server().await;
    let mut stream = server.connect().await;
    let port = stream.local_addr().unwrap().port().to_string();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let seen = wcgi_tests::read_until(&mut stream, "REDIRECT_STATUS").await;
    for line in ["REMOTE_ADDR=127.0.0.1\n", "REMOTE_HOST=127.0.0.1\n", &format!("REMOTE_PORT={port}\n")] {
        assert!(seen.contains(line), "{line} {seen}");
    }
    assert!(!get_service(&service("env"), "/").await.text().contains("REMOTE_"), "unknown is unset");
}

#[tokio::test]
async fn remote_addr_is_that_of_axums_connect_info() {
    let mut connected = request(Method::GET, "/", "");
    let address: std::net::SocketAddr = "[::ffff:192.0.2.7]:1234".parse().unwrap();
    connected.extensions_mut().insert(axum::extract::ConnectInfo(address));
    let reply = ask_service(&service("env"), connected).await;
    let got = ["REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT"].map(|name| reply.variable(name).unwrap());
    assert_eq!(got, ["192.0.2.7", "192.0.2.7", "1234"]);
}

#[tokio::test]
async fn remote_user_and_auth_type_come_only_from_an_extension() {
    let env = service("env");
    let mut authenticated = request(Method::GET, "/", "");
    authenticated.extensions_mut().insert(RemoteUser::new("Bearer", "alice"));
    let reply = ask_service(&env, authenticated).await;
    assert_eq!(["REMOTE_USER", "AUTH_TYPE"].map(|name| reply.variable(name).unwrap()), ["alice", "Bearer"]);
    let claimed = "Authorization: Basic YWxpY2U6eA==\r\nRemote-User: alice\r\nAuth-Type: Basic\r\n";
    let reply = ask(&Server::start(env).await, "GET", "/", claimed).await;
    assert_eq!(["REMOTE_USER", "AUTH_TYPE"].map(|name| reply.variable(name)), [None, None]);
    assert_eq!(reply.variable("HTTP_REMOTE_USER").unwrap(), "alice", "a name of its own");
}

#[tokio::test]
async fn every_other_header_is_joined_in_order() {
    let fields = "X-One: a\r\nAccept: x/y\r\nCookie: a=1\r\nx-one: b\r\nCookie: b=2\r\nX-Empty:\r\nX-ONE: a\r\n";
    let reply = variables_of(fields).await;
    for (name, value) in [("X_ONE", "a, b, a"), ("ACCEPT", "x/y"), ("COOKIE", "a=1; b=2"), ("X_EMPTY", "")] {
        assert_eq!(reply.variable(&format!("HTTP_{name}")).as_deref(), Some(value), "{name}");
    }
}

/// RFC 9113 §8.2.3: HTTP/2 clients send cookies one by one.
#[tokio::test]
async fn cookies_of_http_2_are_one_variable() {
    let mut cookies = h2_request("GET", "http://x/");
    for cookie in ["a=1", "b=2", "c=3"] {
        cookies.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let reply = send2(&env_server().await, cookies, &[]).await;
    assert_eq!(reply.variable("HTTP_COOKIE").unwrap(), "a=1; b=2; c=3");
}

#[tokio::test]
async fn request_uri_is_undecoded_and_whole_also_under_nest() {
    let app = Router::new().nest("/a", Router::new().nest_service("/b", service("env")));
    let reply = get(&Server::start(app).await, "/a/b/%41/../c%2Fd?x=%41").await;
    assert_eq!(reply.variable("REQUEST_URI").unwrap(), "/a/b/%41/../c%2Fd?x=%41");
    let absolute = "GET http://example.com/a%20b?c HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(send(&env_server().await, absolute).await.variable("REQUEST_URI").unwrap(), "/a%20b?c");
}

#[tokio::test]
async fn request_scheme_and_https_are_not_invented() {
    let reply = variables_of("X-Forwarded-Proto: https\r\nForwarded: proto=https\r\n").await;
    assert_eq!(reply.variable("HTTPS"), None);
    assert_ne!(reply.variable("REQUEST_SCHEME").as_deref(), Some("https"));
}

#[tokio::test]
async fn document_root_script_filename_and_redirect_status_are_the_sites() {
    let site = builder("env").env("DOCUMENT_ROOT", "/app").env("SCRIPT_FILENAME", "/app/x.php");
    let reply = get_service(&site.env("SCRIPT_NAME", "/x.php").build().unwrap(), "/p").await;
    for (name, value) in [
        ("DOCUMENT_ROOT", "/app"),
        ("SCRIPT_FILENAME", "/app/x.php"),
        ("SCRIPT_NAME", "/x.php"),
        ("REDIRECT_STATUS", "200"),
    ] {
        assert_eq!(reply.variable(name).as_deref(), Some(value), "{name}");
        assert_eq!(reply.text().matches(&format!("\n{name}=")).count(), 1, "{name} is there once");
    }
    assert_eq!(reply.variable("PATH_TRANSLATED"), None);
}

#[tokio::test]
async fn what_is_never_passed() {
    let fields = "Proxy: http://evil/\r\nAuthorization: Basic eDp5\r\nProxy-Authorization: Basic eDp5\r\n\
        Keep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: x\r\nProxy-Connection: close\r\nConnection: x-named\r\n\
        X-Named: 1\r\nX_Under: 1\r\nX.Dot: 1\r\nX!Bang: 1\r\nContent-Type: a/b\r\nContent-Length: 0\r\nX-Kept: 1\r\n";
    let reply = variables_of(fields).await;
    let text = reply.text();
    let mut passed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("HTTP_")?.split_once('=')).collect();
    passed.sort_unstable();
    assert_eq!(passed, [("HOST", "localhost"), ("X_KEPT", "1")], "{text}");
}

#[tokio::test]
async fn authorization_is_passed_when_that_is_set() {
    let server = Server::start(builder("env").pass_authorization(true).build().unwrap()).await;
    let reply = ask(&server, "GET", "/", "Authorization: Basic eDp5\r\nProxy-Authorization: Basic eDp6\r\n").await;
    assert_eq!(reply.variable("HTTP_AUTHORIZATION").unwrap(), "Basic eDp5");
    assert_eq!(reply.variable("HTTP_PROXY_AUTHORIZATION").unwrap(), "Basic eDp6");
}

#[tokio::test]
async fn values_that_are_not_utf8_pass_byte_for_byte() {
    let head = b"GET /%ff%C3?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Bytes: a\xff\xfe\xc3b\r\n\r\n";
    let reply = send(&env_server().await, head).await;
    let contains = |wanted: &[u8]| reply.body.windows(wanted.len()).any(|window| window == wanted);
    let (field, path): (&[u8], &[u8]) = if are_components() {
        // WASI 0.2 has strings.
        ("\nHTTP_X_BYTES=a\u{fffd}\u{fffd}\u{fffd}b\n".as_bytes(), "\nPATH_INFO=/\u{fffd}\u{fffd}\n".as_bytes())
    } else {
        (b"\nHTTP_X_BYTES=a\xff\xfe\xc3b\n", b"\nPATH_INFO=/\xff\xc3\n")
    };
    assert!(contains(field) && contains(path), "{}", reply.text());
    assert!(contains(b"\nREQUEST_URI=/%ff%C3?q\n"));
}

#[tokio::test]
async fn argv_is_fixed_by_the_package() {
    let server = Server::start(service("args")).await;
    for target in ["/", "/?-s", "/?-d+allow_url_include=1", "/?a+b+c", "/?--", "/-x/--/y?%2d%2dversion", "/?%ADs"] {
        assert_eq!(get(&server, target).await.text(), "argc=1\nargs\n", "{target}");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(wcgi_tests::guest("args"), dir.path().join("args.wasm")).unwrap();
    let manifest = "[[module]]\nname = \"args\"\nsource = \"args.wasm\"\n[[command]]\nname = \"args\"\nmodule = \"args\"\n\
        runner = \"wcgi\"\n[command.annotations.wasi]\nmain-args = [\"-c\", \"/app\"]\n";
    std::fs::write(dir.path().join("wasmer.toml"), manifest).unwrap();
    let engine = wcgi_tests::engine().build().unwrap();
    let package = WcgiService::builder().package(dir.path()).engine(engine).build().unwrap();
    assert_eq!(get_service(&package, "/?-s").await.text(), "argc=3\nargs\n-c\n/app\n");
}

#[tokio::test]
async fn no_variable_appears_twice_and_none_is_the_hosts_own() {
    let mut all = request(Method::POST, "/p?q", "body");
    for (name, value) in [("content-type", "a/b"), ("x-a", "1"), ("x-a", "2"), ("path", "/evil"), ("home", "/evil")] {
        all.headers_mut().append(name, value.parse().unwrap());
    }
    all.extensions_mut().insert(RemoteUser::new("Basic", "u"));
    let env = builder("env").env("HTTP_X_A", "mine").env("DOCUMENT_ROOT", "/r").env("PATH", "/bin").build().unwrap();
    let reply: Reply = ask_service(&env, all).await;
    let text = reply.text();
    let mut names: Vec<_> = text.lines().map(|line| line.split_once('=').unwrap().0).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{text}");
    assert_eq!((reply.variable("PATH").unwrap(), reply.variable("HTTP_X_A").unwrap()), ("/bin".into(), "mine".into()));
    assert!(!names.contains(&"HOME") && !text.contains(env!("CARGO_MANIFEST_DIR")), "{text}");
}
