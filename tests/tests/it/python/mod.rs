//! CPython with its imports in a snapshot: a Flask application, and scripts that show what is kept of a start-up.
//!
//! It takes minutes to build, so this is left out where `cargo xtask python` was not run.

#[cfg(python_clients)]
mod clients;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tower_wcgi::{Access, Cause, RequestId, WcgiBuilder, WcgiService};
use tracing::Level;
use wcgi_tests::{Server, ask, engine, get, post, read_until, request, root};

use crate::log;

#[tokio::test]
async fn the_example_answers_as_its_readme_says() {
    let engine = engine().max_concurrency(2).build().unwrap();
    let builder = || WcgiService::builder().package(root().join("examples/flask")).engine(engine.clone());
    let report = builder().check_snapshot().unwrap();
    assert!(report.captured().iter().all(|captured| captured.cause() != Cause::Randomness), "{report:?}");

    let service = builder().build().unwrap();
    assert!(get(&service, "/?name=%3CAda%3E").await.text().contains("Hello, &lt;Ada&gt;!"));
    let missing = get(&service, "/missing").await;
    assert_eq!((missing.status, missing.header("content-type")), (StatusCode::NOT_FOUND, "text/html; charset=utf-8"));
    assert_ne!(get(&service, "/random").await.text(), get(&service, "/random").await.text());
}

#[tokio::test]
async fn flask_has_routes_forms_sessions_and_cookies() {
    let package = Package::flask();
    let service = package.builder().build().unwrap();
    assert_eq!(get(&service, "/?name=%3Cb%3E").await.text(), "<p>&lt;b&gt;, 0</p>");
    let page = get(&service, "/pages/a%20b/%C3%A4?q").await;
    assert_eq!(page.header("content-type"), "application/json");
    assert_eq!(
        page.text(),
        "{\"page\":\"a b/\\u00e4\",\"path\":\"/pages/a b/\\u00e4\",\"root\":\"\",\"url\":\"/pages/a%20b/%C3%A4\"}\n"
    );
    assert_eq!(post(&service, "/greeting", "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&service, "/greeting").await.text(), "Hello, nobody");

    let mut form = request(Method::POST, "/form", "name=J%C3%B6rg+A");
    form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let sent = ask(&service, form).await;
    assert_eq!((sent.status, sent.header("location")), (StatusCode::FOUND, "/greeting"));
    let (session, attributes) = sent.header("set-cookie").split_once(';').unwrap();
    assert!(session.starts_with("session=") && attributes.contains("HttpOnly"), "{attributes}");
    let greeted = |cookie: String| {
        let mut greeting = request(Method::GET, "/greeting", "");
        greeting.headers_mut().insert("cookie", cookie.parse().unwrap());
        ask(&service, greeting)
    };
    let known = greeted(session.to_owned()).await;
    assert_eq!((known.text().as_str(), known.header("set-cookie")), ("Hello, Jörg A", "seen=1; HttpOnly; Path=/"));
    assert_eq!(greeted(format!("{session}x")).await.text(), "Hello, nobody", "its signature is wrong");
}

#[tokio::test]
async fn flask_knows_where_it_is_mounted() {
    let package = Package::flask();
    let app = axum::Router::new().nest_service("/shop", package.builder().build().unwrap());
    let server = Server::start(app).await;
    let expected = r#"{"page":"1","path":"/pages/1","root":"/shop","url":"/shop/pages/1"}"#;
    let text = server.get("/shop/pages/1").await;
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn flask_takes_uploads_streams_and_reports_errors_to_the_log_alone() {
    log::capture();
    let package = Package::flask();
    let service = package.builder().build().unwrap();
    // No period that a buffer's size could hide a lost or repeated piece in; above what Flask keeps in memory.
    let content: Vec<u8> = (0..3_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let head = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"gr\u{f6}\u{df}e.bin\"\r\nContent-Type: a/b\r\n\r\n";
    let body = [head.as_bytes(), &content, b"\r\n--XX--\r\n"].concat();
    let mut upload = request(Method::POST, "/upload", body);
    upload.headers_mut().insert("content-type", "multipart/form-data; boundary=XX".parse().unwrap());
    let text = ask(&service, upload).await.text();
    assert!(text.contains(&format!("\"size\":{}", content.len())) && text.contains("\"type\":\"a/b\""), "{text}");
    assert!(text.contains("gr\\u00f6\\u00dfe.bin") && text.contains(UPLOADED_SHA256), "{text}");

    assert_eq!(get(&service, "/stream").await.text(), "0\n1\n2\n");
    // The beginning is here while the script goes on for ever; it ends with its reader.
    let server = Server::start(service.clone()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /stream?endless=1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut stream, "2\n").await;
    drop(stream);

    let mut failing = request(Method::GET, "/error?reason=a-secret", "");
    failing.extensions_mut().insert(RequestId::new("flask-error"));
    let failed = ask(&service, failing).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!failed.text().contains("secret") && !failed.text().contains("ValueError"), "{}", failed.text());
    let line = log::wait_for("flask-error", |line| line.contains("ValueError: the reason is a-secret")).await;
    assert_eq!(line.target, "wcgi::stderr");
    assert!(log::about("flask-error").iter().any(|line| line.contains("/app/app.py")), "a whole traceback");
}

#[tokio::test]
async fn nothing_of_one_request_is_in_the_next() {
    let package = Package::flask();
    let service = package.builder().build().unwrap();
    let first = get(&service, "/left").await.text();
    assert!(first.contains("\"found\":[]"), "{first}");
    for _ in 0..2 {
        assert_eq!(get(&service, "/left").await.text(), first, "the seed of hashes is the same, and known");
    }
    let environment = |name| {
        let mut asked = request(Method::GET, "/environment?a=1", "");
        asked.headers_mut().insert(name, "1".parse().unwrap());
        ask(&service, asked)
    };
    let (one, other) = (environment("x-one").await.text(), environment("x-other").await.text());
    assert!(
        one.contains("HTTP_X_ONE") && one.contains("\"QUERY_STRING\":\"a=1\"") && one.contains("SECRET_KEY"),
        "{one}"
    );
    assert!(
        other.contains("HTTP_X_OTHER") && !other.contains("HTTP_X_ONE") && !other.contains("WCGI_WARMUP"),
        "{other}"
    );
    for visits in 1..=3 {
        assert_eq!(get(&service, "/visits").await.text(), visits.to_string());
    }
}

/// A warm-up has drawn from every source.
#[tokio::test]
async fn random_numbers_are_each_requests_own() {
    let package = Package::flask();
    let service = package.builder().build().unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let text = get(&service, "/random").await.text();
        let values: Vec<_> = text.lines().map(str::to_owned).collect();
        assert_eq!(values.len(), 8, "{text}");
        for value in values {
            assert!(!seen.contains(&value), "{value} again, after {seen:?}");
            seen.push(value);
        }
    }
}

/// A warm-up was `/?name=` and this, eight times.
#[tokio::test]
async fn a_built_package_has_nothing_of_its_warm_up_requests_and_answers_alike() {
    let package = Package::flask();
    let out = package.0.path().join("out");
    assert!(package.builder().export(&out).unwrap().is_snapshot());
    let image = fs::read(out.join("app.wasm")).unwrap();
    let contains = |text: &str| image.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("What the tests ask a Flask application for."), "the application is in the image");
    assert!(!contains(WARM_UP_SECRET), "in memory that was freed, or kept");

    let engine = engine().max_concurrency(2).build().unwrap();
    let builder = WcgiService::builder().package(&out).engine(engine);
    let built = builder.map_dir("/data", package.data(), Access::ReadWrite).build().unwrap();
    assert_eq!(get(&built, "/?name=x").await.text(), "<p>x, 0</p>");
    assert_eq!(get(&built, "/visits").await.text(), "1");
}

#[tokio::test]
async fn a_script_begins_where_the_start_up_ended() {
    log::capture();
    let package = Package::script(STARTED, "env = ['WCGI_PYTHON_IMPORTS=started']");
    let service = package.builder().build().unwrap();
    let plain = package.builder().snapshot(false).build().unwrap();
    assert_eq!(get(&service, "/?a=1").await.text(), "None GET a=1 kept ['/app/script.py'] []\n");
    assert_eq!(get(&plain, "/?a=1").await.text(), "GET GET a=1 kept ['/app/script.py'] []\n");
    for service in [&service, &plain] {
        assert!(post(service, "/", "body").await.text().ends_with(" POST  kept ['/app/script.py'] ['body']\n"));
    }
    let mut failing = request(Method::GET, "/?fail", "");
    failing.extensions_mut().insert(RequestId::new("python-fails"));
    assert_eq!(ask(&service, failing).await.status, StatusCode::BAD_GATEWAY);
    log::wait_for("python-fails", |line| line.contains("ValueError: as it was told to")).await;

    let edited = format!("{SCRIPT}print('edited')\n");
    fs::write(package.0.path().join("app/script.py"), edited).unwrap();
    assert_eq!(get(&service, "/").await.text(), "None GET  kept ['/app/script.py'] []\nedited\n");
}

/// It imports the module, which so has seen the warm-up's variables; what that set in the environment was the warm-up's alone.
#[tokio::test]
async fn a_script_is_warmed_up_as_if_a_request_had_come() {
    let package = Package::script(STARTED, "warmup = ['/?a-warm-up']");
    let service = package.builder().build().unwrap();
    for _ in 0..2 {
        assert_eq!(get(&service, "/?a=1").await.text(), "GET GET a=1 None ['/app/script.py'] []\n");
    }
}

#[tokio::test]
async fn a_secret_that_was_drawn_at_the_start_up_is_in_no_snapshot() {
    log::capture();
    let module = format!("{STARTED}key = os.urandom(16)\n");
    let package = Package::script(&module, "env = ['WCGI_PYTHON_IMPORTS=started']");
    let service = package.builder().build().unwrap();
    assert_eq!(get(&service, "/").await.text(), "GET GET  kept ['/app/script.py'] []\n", "it is run as it is");
    let warnings: Vec<_> = log::about("").into_iter().filter(|line| line.level == Level::WARN).collect();
    assert!(warnings.iter().any(|line| line.contains("random")), "{warnings:#?}");
    assert!(package.builder().export(package.0.path().join("out")).is_err());
}

/// A package with `/app`, and `/data` to write to. Its files always have the same times, so that its snapshot is found again
/// in the cache.
struct Package(TempDir);

impl Package {
    fn flask() -> Self {
        let package = Self::with(&[("app.py", include_str!("app.py"))]);
        // The numbers of /random have other lengths each time, and so objects other places.
        let warmup = format!("reseeds = true\nwarmup = ['/?name={WARM_UP_SECRET}', '/random', '/greeting']");
        package.manifest("app", "app:app", "'SECRET_KEY=of the package'", &warmup);
        package
    }

    fn script(module: &str, snapshot: &str) -> Self {
        let package = Self::with(&[("script.py", SCRIPT), ("started.py", module)]);
        package.manifest("script", "/app/script.py", "", snapshot);
        package
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let package = Self(tempfile::tempdir().unwrap());
        for directory in ["app", "data"] {
            fs::create_dir(package.0.path().join(directory)).unwrap();
        }
        for (name, text) in files {
            let path = package.0.path().join("app").join(name);
            fs::write(&path, text).unwrap();
            let file = File::options().append(true).open(&path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
        }
        package
    }

    fn manifest(&self, command: &str, argument: &str, env: &str, snapshot: &str) {
        let flask = root().join("examples/flask");
        let manifest = format!(
            "[[module]]\nname = 'python'\nsource = {:?}\n\
             [[command]]\nname = {command:?}\nmodule = 'python'\nrunner = 'wcgi'\n\
             [command.annotations.wasi]\nmain-args = [{argument:?}]\nenv = ['PYTHONPATH=/app:/site-packages', {env}]\n\
             [command.annotations.wcgi.snapshot]\n{snapshot}\n\
             [fs]\n'/app' = 'app'\n'/python' = {:?}\n'/site-packages' = {:?}\n",
            flask.join("python.wasm"),
            flask.join("python"),
            flask.join("site-packages"),
        );
        fs::write(self.0.path().join("wasmer.toml"), manifest).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn builder(&self) -> WcgiBuilder {
        let engine = engine().max_concurrency(2).build().unwrap();
        WcgiService::builder().package(self.0.path()).engine(engine).map_dir("/data", self.data(), Access::ReadWrite)
    }
}

const WARM_UP_SECRET: &str = "q7Zt4vXw9LkB2nRs";

/// Of what the test uploads.
const UPLOADED_SHA256: &str = "689ead2b477045595dd62d682932723deebcfd922b9fa00fc55aa3aaa64e7e50";

/// What the script imports.
const STARTED: &str = "import os\nmethod = os.environ.get('REQUEST_METHOD')\nos.environ['OWN'] = 'kept'\n";

const SCRIPT: &str = "\
import os, sys
import started
query = os.environ['QUERY_STRING']
if query == 'fail': raise ValueError('as it was told to')
print('Content-Type: text/plain\\n')
print(started.method, os.environ['REQUEST_METHOD'], query, os.environ.get('OWN'), sys.argv, sys.stdin.readlines())
";
