//! Our own php-cgi (`guests/php`): what its README says of it, asked of its test pages.
//!
//! Left out where it has not been built: `cargo xtask php` does that.

use std::fs;
use std::pin::pin;

use futures_util::future::{Either, join_all, select};
use http::{Method, StatusCode};
use tempfile::TempDir;
use tower_wcgi::{Access, WcgiBuilder, WcgiService};
use wcgi_tests::{ask, engine, get, guest, request, root};

#[tokio::test]
async fn everything_that_is_compiled_in_works() {
    let site = Site::new(&[], "");
    let text = get(&site.service().await, "/extensions.php").await.text();
    let mut lines = text.lines().skip_while(|line| !line.contains(": "));
    for extension in ["gd", "dom", "SimpleXML", "xmlreader", "zlib", "mbstring", "pdo_sqlite", "Zend OPcache"] {
        assert!(text.contains(extension), "{extension} is not in {text}");
    }
    assert!(lines.clone().count() > 20, "{text}");
    assert!(lines.all(|line| line.ends_with(": ok")), "{text}");
}

#[tokio::test]
async fn a_warm_up_leaves_no_secret_in_the_image() {
    let secrets = ["q7Zt4vXw9LkB2nRs", "H3yJ8mPc5DfG6aQe", "u1TrVb0NiWoK7xYz", "pA9sWd4EcF6rTg2h"];
    let env = format!("env = ['PHP_WARMUP=/etc/php/secret.txt', 'WARM_UP_SECRET={}']", secrets[3]);
    let site = Site::new(&[], &env);
    // Headers can only be in a file of the package's own.
    let line = format!(
        "REQUEST_METHOD=GET\tREDIRECT_STATUS=200\tGATEWAY_INTERFACE=CGI/1.1\tSERVER_PROTOCOL=HTTP/1.1\t\
         SCRIPT_FILENAME=/app/secret.php\tSCRIPT_NAME=/secret.php\tQUERY_STRING=token={}\tHTTP_AUTHORIZATION=Bearer {}\t\
         HTTP_COOKIE=c={}\n",
        secrets[0], secrets[1], secrets[2]
    );
    fs::write(site.0.path().join("etc/secret.txt"), line).unwrap();
    let out = site.0.path().join("out");
    assert!(site.builder().export(&out).unwrap().is_snapshot());
    // The file itself is part of the package, the module must not have it.
    let image = fs::read(out.join("php.wasm")).unwrap();
    let contains = |text: &str| image.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("CREATE TABLE IF NOT EXISTS kept"), "the page that keeps them was not asked for");
    for secret in secrets {
        for form in [secret.to_owned(), secret.to_uppercase(), secret.chars().rev().collect()] {
            assert!(!contains(&form), "{form} of {secret}");
        }
    }
}

#[tokio::test]
async fn no_value_that_should_be_random_comes_twice() {
    let site = Site::new(&["/random.php", "/upload.php"], "");
    let service = site.service().await;
    let mut seen: Vec<serde_json::Value> = Vec::new();
    for _ in 0..4 {
        let values: serde_json::Map<_, _> = serde_json::from_str(&get(&service, "/random.php").await.text()).unwrap();
        assert!(values.len() >= 8, "{values:?}");
        for (name, value) in values {
            assert!(!seen.contains(&value), "{name} is {value} again");
            seen.push(value);
        }
    }
}

/// Natively some of these end in a segmentation fault.
#[tokio::test]
async fn recursion_of_any_depth_is_answered_by_php() {
    let site = Site::new(&[], "");
    let service = site.service().await;
    let page = fs::read_to_string(root().join("guests/php/tests/nesting.php")).unwrap();
    let named = |before: &'static str, after: &'static str| {
        page.lines().filter_map(move |line| line.strip_prefix(before)?.split_once(after)).map(|(name, _)| name)
    };
    let alone = named("    '", "' =>").map(str::to_owned);
    let within = named("        case '", "':").map(|kind| format!("through&kind={kind}"));
    let kinds: Vec<String> = alone.chain(within).collect();
    assert!(kinds.len() > 40, "{kinds:?}");
    for what in kinds {
        for depth in [500, 1000, 2000, 5000, 20_000] {
            let reply = get(&service, &format!("/nesting.php?what={what}&depth={depth}")).await;
            let answered = matches!(reply.status, StatusCode::OK | StatusCode::INTERNAL_SERVER_ERROR);
            assert!(answered && reply.failure.is_none(), "{what} {depth}: {} {:?}", reply.status, reply.failure);
        }
    }
}

#[tokio::test]
async fn fatal_errors_are_500_and_exit_is_not() {
    let site = Site::new(&["/exit.php?status=3", "/fatal.php?how=exception"], "");
    let service = site.service().await;
    for how in ["exception", "function", "user", "memory", "many", "parse", "require", "class", "abstract"] {
        let reply = get(&service, &format!("/fatal.php?how={how}")).await;
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, ""), "{how}");
    }
    for status in [0, 1, 255] {
        let reply = get(&service, &format!("/exit.php?status={status}")).await;
        assert_eq!((reply.status, reply.text().trim()), (StatusCode::OK, "exit"), "{status}");
    }
}

#[tokio::test]
async fn nothing_of_the_start_up_is_seen_by_a_request() {
    let site = Site::new(&["/state.php", "/environment.php"], "env = ['WARM_UP_SECRET=x']");
    let service = site.service().await;
    let first = get(&service, "/state.php").await.text();
    assert!(first.contains("\"static\": 3") || first.contains("\"static\":3"), "{first}");
    assert_eq!(get(&service, "/state.php").await.text(), first);
    let environment = get(&service, "/environment.php?mine").await.text();
    assert!(environment.contains("mine") && !environment.contains("\"x\""), "{environment}");
    let mut post = request(Method::POST, "/descriptors.php", "the body");
    post.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let descriptors = ask(&service, post).await.text();
    let descriptors: serde_json::Value = serde_json::from_str(&descriptors).unwrap();
    for name in ["own directory has this", "own text", "written and read"] {
        assert_eq!(descriptors[name], true, "{name}: {descriptors}");
    }
    assert_eq!((&descriptors["input"], &descriptors["rows of a database in /tmp"]), (&"the body".into(), &1.into()));
}

#[tokio::test]
async fn readers_of_a_data_base_run_together_and_no_row_of_many_writers_is_lost() {
    let site = Site::new(&[], "");
    let service = site.service().await;
    assert_eq!(get(&service, "/locks.php?do=create").await.status, StatusCode::OK);
    let inserts = (0..8).map(|_| get(&service, "/locks.php?do=insert&n=100"));
    for reply in join_all(inserts).await {
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }
    assert_eq!(get(&service, "/locks.php?do=count").await.text().trim(), "800 rows, ok");

    // Whoever reads longer began earlier, and ends later than who comes and goes meanwhile.
    let mut long = pin!(get(&service, "/locks.php?do=read&hold=2000"));
    for _ in 0..3 {
        let short = pin!(get(&service, "/locks.php?do=read&hold=0"));
        match select(&mut long, short).await {
            Either::Right((short, _)) => assert_eq!(short.text().trim(), "800 800"),
            Either::Left((long, _)) => panic!("the others waited for {}", long.text()),
        }
    }
    assert_eq!(long.await.text().trim(), "800 800");
}

/// The pages of guests/php, and a directory they may write to.
pub(crate) struct Site(pub(crate) TempDir);

impl Site {
    /// With what a start-up warms up besides the page that says hello, and more of the manifest's words about it.
    pub(crate) fn new(warmup: &[&str], more: &str) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let directory = site.0.path();
        for name in ["app", "etc", "data"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        for page in fs::read_dir(root().join("guests/php/tests")).unwrap() {
            let page = page.unwrap();
            fs::copy(page.path(), directory.join("app").join(page.file_name())).unwrap();
        }
        fs::copy(root().join("guests/php/php.ini"), directory.join("etc/php.ini")).unwrap();
        fs::write(directory.join("app/cached.php"), CACHED).unwrap();
        let warmup = [&["/hello.php"], warmup].concat();
        let manifest = format!(
            "[[module]]\nname = 'php'\nsource = {:?}\n[[command]]\nname = 'php'\nmodule = 'php'\nrunner = 'wcgi'\n\
             [command.annotations.wasi]\nenv = ['PHPRC=/etc/php']\n\
             [command.annotations.wcgi.site]\nroot = '/app'\nscripts = ['.php']\n\
             [command.annotations.wcgi.snapshot]\nreseeds = true\nwarmup = {warmup:?}\n{more}\n\
             [fs]\n'/app' = 'app'\n'/etc/php' = 'etc'\n",
            guest("snapshot-php")
        );
        fs::write(directory.join("wasmer.toml"), manifest).unwrap();
        site
    }

    pub(crate) fn builder(&self) -> WcgiBuilder {
        let engine = engine().max_concurrency(8).build().unwrap();
        let builder = WcgiService::builder().package(self.0.path()).engine(engine);
        builder.map_dir("/data", self.0.path().join("data"), Access::ReadWrite)
    }

    pub(crate) async fn service(&self) -> WcgiService {
        let service = self.builder().build().unwrap();
        assert_eq!(get(&service, "/cached.php").await.text(), "compiled", "there is no snapshot");
        service
    }
}

const CACHED: &str = "<?php echo opcache_is_script_cached('/app/hello.php') ? 'compiled' : 'not compiled';";
