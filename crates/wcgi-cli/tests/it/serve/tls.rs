//! TLS: certificates, HTTP/2, redirects.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::admin::{self, value};
use super::{configured, serve, variable};
use crate::process::{PATIENCE, Serving, address, text, wcgi};

/// Writes a certificate of its own for `localhost`, and its key.
pub(crate) fn certify(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "a.example".to_owned()]).unwrap();
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.into()
}

pub(crate) fn client(trusted: &CertificateDer<'static>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let mut config =
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// GETs by HTTP/1.1.
pub(crate) fn get(addr: SocketAddr, config: &Arc<ClientConfig>, target: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", addr.port())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// A server of `env` by TLS, with its plain listener first where it has one.
fn start(dir: &Path) -> (Serving, SocketAddr) {
    let serving = serve(dir, &[]);
    let second = serving.lines.recv_timeout(PATIENCE).unwrap();
    assert!(second.starts_with("listening on https://"), "{second}");
    (serving, address(&second))
}

const BOTH: &str = "[server]\nlisten = ['127.0.0.1:0']\n[tls]\nlisten = ['127.0.0.1:0']\ncert = 'cert.pem'\n\
                    key = 'key.pem'\n[engine]\nCACHE\n[[site]]\npackage = GUEST(env)\n";

#[test]
fn scripts_know_what_the_connection_is() {
    let dir = configured(BOTH);
    let certificate = certify(dir.path());
    let (serving, secure) = start(dir.path());
    let response = get(secure, &client(&certificate, &[]), "/").unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert_eq!(variable(&response, "HTTPS"), Some("on"));
    assert_eq!(variable(&response, "REQUEST_SCHEME"), Some("https"));
    assert_eq!(variable(&response, "SERVER_PORT"), Some(&*secure.port().to_string()));
    assert_eq!(variable(&serving.get("/"), "HTTPS"), None);
    // What speaks no TLS there ends its own connection alone.
    let mut stream = TcpStream::connect(secure).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(get(secure, &client(&certificate, &[]), "/").unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn http_2_is_chosen_by_alpn_and_spoken_without_tls_too() {
    let dir = configured(BOTH);
    let certificate = certify(dir.path());
    let (serving, secure) = start(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (status, body) = runtime.block_on(async {
        let connector = tokio_rustls::TlsConnector::from(client(&certificate, &["h2", "http/1.1"]));
        let stream = tokio::net::TcpStream::connect(secure).await.unwrap();
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        get_h2(stream, "https://localhost/").await
    });
    assert_eq!(status, 200);
    assert_eq!(variable(&body, "SERVER_PROTOCOL"), Some("HTTP/2.0"), "{body}");
    assert_eq!(variable(&body, "HTTPS"), Some("on"));
    let (status, body) = runtime.block_on(async {
        get_h2(tokio::net::TcpStream::connect(serving.addr).await.unwrap(), "http://localhost/").await
    });
    assert_eq!((status, variable(&body, "SERVER_PROTOCOL")), (200, Some("HTTP/2.0")), "{body}");
    for protocols in [&["http/1.1"][..], &[]] {
        let response = get(secure, &client(&certificate, protocols), "/").unwrap();
        assert_eq!(variable(&response, "SERVER_PROTOCOL"), Some("HTTP/1.1"), "{response}");
    }
}

async fn get_h2<S>(stream: S, uri: &str) -> (u16, String)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(uri).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let response = response.await.unwrap();
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    (status, String::from_utf8(bytes).unwrap())
}

#[test]
fn plain_requests_are_sent_to_the_first_tls_port() {
    let config = BOTH
        .replace("key = ", "redirect = true\nkey = ")
        .replace("listen = ['127.0.0.1:0']\ncert", "listen = ['127.0.0.1:0', '127.0.0.1:0']\ncert");
    let dir = configured(&config);
    let certificate = certify(dir.path());
    let (serving, secure) = start(dir.path());
    for method in ["GET", "POST"] {
        let request = format!("{method} /a%20b?c=d HTTP/1.1\r\nHost: A.example:1\r\nConnection: close\r\n\r\n");
        let response = serving.ask(&request);
        assert!(response.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{response}");
        let location = format!("\r\nlocation: https://a.example:{}/a%20b?c=d\r\n", secure.port());
        assert!(response.contains(&location), "{response}");
    }
    assert!(
        serving.ask("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 400")
            || serving.ask("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 400")
    );
    assert!(get(secure, &client(&certificate, &[]), "/").unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_key_of_another_certificate_is_said() {
    let dir = configured(BOTH);
    certify(dir.path());
    let key = fs::read(dir.path().join("key.pem")).unwrap();
    certify(dir.path());
    for (broken, line, expected) in [(key, 6, "tls.key"), (b"no key".to_vec(), 6, "tls.key")] {
        fs::write(dir.path().join("key.pem"), broken).unwrap();
        let output = wcgi(&["serve"]).current_dir(dir.path()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("error: wcgi.toml:{line}: {expected}: ")), "{said}");
    }
}

#[test]
fn ten_lines_are_two_sites_with_tls() {
    let text = "[tls]\nlisten = [\"127.0.0.1:0\"]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
                [[site]]\nhosts = [\"localhost\"]\npackage = GUEST(hello)\n[[site]]\npackage = GUEST(env)\n";
    let dir = configured(text);
    let certificate = certify(dir.path());
    let mut command = wcgi(&["serve"]);
    command.current_dir(dir.path()).env("XDG_CACHE_HOME", dir.path());
    let serving = Serving::spawn(command);
    let response = get(serving.addr, &client(&certificate, &[]), "/?name=Ada").unwrap();
    assert!(response.contains("Hello"), "{response}");
}

#[test]
fn a_handshake_that_fails_is_counted() {
    let dir = configured(
        "[server]\nadmin = '127.0.0.1:0'\n[tls]\nlisten = ['127.0.0.1:0']\ncert = 'cert.pem'\nkey = 'key.pem'\n\
         [engine]\nCACHE\n[[site]]\npackage = GUEST(hello)\n",
    );
    certify(dir.path());
    let serving = serve(dir.path(), &[]);
    let admin = address(&serving.lines.recv_timeout(PATIENCE).unwrap());
    let failed = || value(&admin::get(admin, "/metrics", "*/*"), "wcgi_tls_handshakes_failed_total");
    assert_eq!(failed(), 0.0);
    let mut plain = serving.connect();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let begin = Instant::now();
    while failed() < 1.0 {
        assert!(begin.elapsed() < PATIENCE);
    }
}
