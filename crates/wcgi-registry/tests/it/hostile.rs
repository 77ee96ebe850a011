//! What was altered, on either machine, is noticed, and what is too large is not taken in.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use wcgi_registry::{ErrorKind, Limits, Options};

use crate::server::Server;
use crate::{MODULE, Machine, blog, directory, read, reference};

#[test]
fn a_blob_that_was_altered_in_the_registry_is_refused() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    let machine = Machine::new();
    machine.registry().push(blog("x").path(), &name, None).unwrap();
    let pulled = machine.registry().pull(&name).unwrap();
    for digest in [&pulled.mounts[0].digest, &pulled.modules[0].digest] {
        let file = blob_of(&server, digest.hex());
        let whole = fs::read(&file).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        fs::write(&file, &altered).unwrap();
        let elsewhere = Machine::new();
        let error = elsewhere.registry().pull(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Content, "{error}");
        assert!(error.to_string().contains(digest.hex()), "{error}");
        assert!(!elsewhere.blob(digest.hex()).exists());
        fs::write(&file, &whole).unwrap();
        elsewhere.registry().pull(&name).unwrap();
    }
}

#[test]
fn what_was_altered_in_the_store_is_fetched_again() {
    let storage = tempfile::tempdir().unwrap();
    let mut server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    Machine::new().registry().push(blog("x").path(), &name, None).unwrap();
    let machine = Machine::new();
    let pulled = machine.registry().pull(&name).unwrap();
    let module = pulled.path.join("m.wasm");
    // Also the blob, of which it is another name.
    fs::write(&module, "altered").unwrap();
    machine.registry().pull(&name).unwrap();
    assert_eq!(fs::read(&module).unwrap(), MODULE);

    server.kill();
    fs::write(&module, "altered").unwrap();
    let error = machine.registry().pull(&name).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(!module.exists());
}

#[test]
fn limits_hold_for_what_is_pulled() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    Machine::new().registry().push(blog(&"x".repeat(10_000)).path(), &name, None).unwrap();
    for (limits, option) in [
        (Limits::default().package_bytes(9_000), "--max-package"),
        (Limits::default().files(0), "--max-files"),
        (Limits::default().module_bytes(7), "--max-module"),
    ] {
        let error = Machine::new().with(Options::new().limits(limits)).pull(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        assert!(error.hint().unwrap().contains(option), "{error}");
    }
    let few = Limits::default().manifest_bytes(100);
    assert_eq!(Machine::new().with(Options::new().limits(few)).pull(&name).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn a_container_image_is_no_package() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let files = directory(&[("m.wasm", MODULE)]);
    let name = reference(&server.name("me/m:1"));
    Machine::new().registry().push(&files.path().join("m.wasm"), &name, None).unwrap();
    // The same manifest with another configuration: what Docker makes.
    let pushed = Machine::new().registry().pull(&name).unwrap();
    let manifest = blob_of(&server, pushed.digest.hex());
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("application/vnd.wasm.config.v0+json"), "{text}");
    let answer = text.replace("application/vnd.wasm.config.v0+json", "application/vnd.oci.image.config.v1+json");
    let fake = Fake::answering(move |_| response("200 OK", answer.as_bytes()));
    let error = Machine::new().registry().pull(&reference(&format!("{}/me/m:1", fake.address))).unwrap_err();
    assert!(error.to_string().contains("is no package"), "{error}");
}

#[test]
fn an_answer_without_end_is_cut_off() {
    for status in ["200 OK", "400 Bad Request", "404 Not Found", "503 Service Unavailable"] {
        let head = format!("HTTP/1.1 {status}\r\nRetry-After: 0\r\nConnection: close\r\n\r\n").into_bytes();
        let fake = Fake::answering(move |_| {
            let mut endless = head.clone();
            endless.resize(6 << 20, b' ');
            endless
        });
        let error = Machine::new().registry().pull(&reference(&format!("{}/me/m:1", fake.address))).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::Store, "{error}");
    }
}

#[test]
fn a_registry_that_is_short_of_something_is_asked_three_times() {
    for (status, kind) in [
        ("429 Too Many Requests", ErrorKind::Unreachable),
        ("503 Service Unavailable", ErrorKind::Unreachable),
        ("404 Not Found", ErrorKind::NotFound),
        ("403 Forbidden", ErrorKind::Denied),
        ("301 Moved Permanently", ErrorKind::Content),
    ] {
        let fake = Fake::answering(move |_| {
            format!("HTTP/1.1 {status}\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .into_bytes()
        });
        let error = Machine::new().registry().pull(&reference(&format!("{}/me/m:1", fake.address))).unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        let tries = if kind == ErrorKind::Unreachable { 3 } else { 1 };
        assert_eq!(fake.requests().len(), tries, "{status}");
    }
}

#[test]
fn passwords_are_for_the_registry_and_not_for_where_it_leads() {
    let other = Fake::answering(|_| response("404 Not Found", b""));
    let target = other.address.clone();
    let fake = Fake::answering(move |request| {
        if !request.contains("authorization: Basic") {
            return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{target}/elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
    });
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, fake.address);
    let docker = directory(&[("config.json", config.as_bytes())]);
    let machine = Machine::new();
    let registry = machine.with(Options::new().docker_config(docker.path()));
    registry.pull(&reference(&format!("{}/me/m:1", fake.address))).unwrap_err();
    let requests = other.requests();
    assert_eq!(requests.len(), 1);
    assert!(!requests[0].to_lowercase().contains("authorization"), "{requests:?}");
}

#[test]
fn an_index_leads_to_the_entry_that_is_a_package() {
    let storage = tempfile::tempdir().unwrap();
    let server = Server::start(storage.path());
    let name = reference(&server.name("me/blog:1"));
    let pushed = Machine::new().registry().push(blog("x").path(), &name, None).unwrap();
    let manifest = fs::read(blob_of(&server, pushed.digest.hex())).unwrap();
    let entry = |platform: &str, digest: &str| {
        let size = manifest.len();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{platform}"}}}}"#
        )
    };
    let absent = format!("sha256:{}", "0".repeat(64));
    let ours = pushed.digest.to_string();
    for (entries, works) in
        [(vec![entry("amd64", &absent), entry("wasm", &ours)], true), (vec![entry("amd64", &absent)], false)]
    {
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
            entries.join(",")
        );
        let upstream = server.address.clone();
        let fake = Fake::answering(move |request| {
            let line = request.lines().next().unwrap_or_default();
            if line.contains("/manifests/1 ") {
                return response("200 OK", if line.starts_with("HEAD") { b"" } else { index.as_bytes() });
            }
            relay(&upstream, request)
        });
        let machine = Machine::new();
        let pulled = machine.registry().pull(&reference(&format!("{}/me/blog:1", fake.address)));
        match pulled {
            Ok(pulled) => assert!(works && read(&pulled.path, "app/index.php") == "x"),
            Err(error) => assert!(!works && error.to_string().contains("without a package"), "{error}"),
        }
    }
}

/// Where the registry keeps a blob.
fn blob_of(server: &Server, hex: &str) -> PathBuf {
    let two = hex.get(..2).unwrap();
    server.storage.join("docker/registry/v2/blobs/sha256").join(two).join(hex).join("data")
}

/// A server that answers as it likes. Its thread ends with the test's process.
struct Fake {
    address: String,
    requests: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Fake {
    fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let requests = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&requests);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let head = head.join("\n");
                seen.lock().unwrap().push(head.clone());
                // The client may have had enough.
                let _ = stream.write_all(&answer(&head));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn response(status: &str, body: &[u8]) -> Vec<u8> {
    let mut response =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(body);
    response
}

/// The answer of another server to the same request.
fn relay(server: &str, head: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(server.replace("localhost", "127.0.0.1")).unwrap();
    let line = head.lines().next().unwrap();
    write!(stream, "{line}\r\nHost: x\r\nAccept: */*\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    answer
}
