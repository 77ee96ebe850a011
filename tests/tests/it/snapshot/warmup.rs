//! Warm-up requests of a manifest: what a start-up is told of each.

use std::fs;

use tower_wcgi::{Access, ErrorKind, WcgiBuilder, WcgiService};
use wcgi_tests::get;

use super::{Scene, warnings_about};
use crate::log;

/// A site whose start-up keeps what it has been given to warm up with.
fn site(scene: &Scene, requests: &str, more: &str) -> WcgiBuilder {
    let manifest = format!(
        "[[module]]\nname = 'm'\nsource = {:?}\n[[command]]\nname = 'm'\nmodule = 'm'\nrunner = 'wcgi'\n\
         [command.annotations.wasi]\nenv = ['CONSTANT=1']\n\
         [command.annotations.wcgi.site]\nroot = '/d'\nscripts = ['.cgi']\nfallback = '/a.cgi'\n\
         [command.annotations.wcgi.snapshot]\nwarmup = {requests}\n{more}\n[fs]\n'/d' = 'd'\n",
        scene.module("warmup")
    );
    for file in ["d/a.cgi", "d/page.txt"] {
        scene.write(file, "");
    }
    fs::write(scene.0.path().join("wasmer.toml"), manifest).unwrap();
    WcgiService::builder().package(scene.0.path()).engine(scene.engine())
}

async fn kept(builder: WcgiBuilder) -> String {
    kept_at("/", builder).await
}

async fn kept_at(target: &str, builder: WcgiBuilder) -> String {
    let text = get(&builder.build().unwrap(), target).await.text();
    text.split_once("\nkept=").unwrap().1.trim_end().to_owned()
}

const ENV: &str = "env = ['START=warmup']";

#[tokio::test]
async fn a_start_up_is_told_the_variables_that_each_request_would_have() {
    let scene = Scene::new();
    let builder =
        site(&scene, "['/a.cgi/x%20y?q=1', 'GET /']", ENV).mount("/m").server_port(12345).server_software("s/1");
    let kept = kept_at("/m/", builder).await;
    let lines: Vec<Vec<_>> = kept.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2, "{kept}");
    let expected = [
        "GATEWAY_INTERFACE=CGI/1.1",
        "SERVER_PROTOCOL=HTTP/1.1",
        "REQUEST_METHOD=GET",
        "QUERY_STRING=q=1",
        "REQUEST_URI=/m/a.cgi/x%20y?q=1",
        "SCRIPT_NAME=/m/a.cgi",
        "PATH_INFO=/x y",
        "REMOTE_ADDR=127.0.0.1",
        "REMOTE_HOST=127.0.0.1",
        "SERVER_SOFTWARE=s/1",
        "SERVER_NAME=localhost",
        "SERVER_PORT=80",
        "REQUEST_SCHEME=http",
        "REDIRECT_STATUS=200",
        "SCRIPT_FILENAME=/d/a.cgi",
        "DOCUMENT_ROOT=/d",
        "HTTP_HOST=localhost",
    ];
    assert_eq!(lines[0], expected);
    let fallback = ["QUERY_STRING=", "REQUEST_URI=/m/", "SCRIPT_FILENAME=/d/a.cgi", "PATH_INFO="];
    assert!(fallback.iter().all(|variable| lines[1].contains(variable)), "{kept}");
}

#[tokio::test]
async fn what_no_script_answers_is_left_out_with_a_word() {
    log::capture();
    let scene = Scene::new();
    let requests = "['/page.txt', '/.hidden', '/../a.cgi', '/a.cgi/%09', '/a.cgi?last']";
    let kept = kept(site(&scene, requests, ENV)).await;
    assert!(kept.lines().count() == 1 && kept.contains("QUERY_STRING=last\t"), "{kept}");
    for request in ["/page.txt", "/.hidden", "/../a.cgi", "/a.cgi/%09"] {
        let about = |line: &log::Line| line.message().contains(&format!("request {request} is left out"));
        assert!(log::about("").iter().any(about), "{request}");
    }
    assert!(warnings_about(&scene.module("warmup")).is_empty());
}

#[tokio::test]
async fn other_requests_make_another_snapshot_and_none_make_no_file() {
    let scene = Scene::new();
    for (requests, snapshots) in [("['/a.cgi']", 1), ("['/a.cgi?other']", 2), ("[]", 3)] {
        for _ in 0..2 {
            let kept = kept(site(&scene, requests, ENV)).await;
            assert_eq!(kept.is_empty(), requests == "[]", "{kept}");
            assert_eq!(scene.cached().len(), 1 + snapshots, "and the instrumented module");
        }
    }
}

#[tokio::test]
async fn the_package_can_name_a_file_of_its_own() {
    let scene = Scene::new();
    let more = "env = ['START=warmup', 'WCGI_WARMUP=/d/a']";
    assert_eq!(kept(site(&scene, "['/a.cgi']", more)).await, "alpha");
    let more = "env = ['START=php-warmup', 'WCGI_WARMUP=/d/a']";
    assert!(kept(site(&scene, "['/a.cgi']", more)).await.starts_with("GATEWAY_INTERFACE="));
    // A mount in the place of /tmp has no room for it.
    let builder = site(&scene, "['/a.cgi']", ENV).map_dir("/tmp", scene.writable(), Access::ReadWrite);
    assert_eq!(kept(builder).await, "");
}

#[test]
fn what_is_no_request_is_a_mistake_in_the_manifest() {
    let scene = Scene::new();
    for (entry, why) in [
        ("a.cgi", "is not a request such as \"/path?query\" or \"GET /path\""),
        ("POST /a.cgi", "is not a request such as \"/path?query\" or \"GET /path\""),
        ("http://localhost/", "is not a request such as \"/path?query\" or \"GET /path\""),
        ("/a b", "has characters that must be percent-encoded in a URL"),
        ("/a%2", "has characters that must be percent-encoded in a URL"),
        ("/ä", "has characters that must be percent-encoded in a URL"),
    ] {
        let error = site(&scene, &format!("['/',\n{entry:?}]"), "").build().unwrap_err();
        let place = "wasmer.toml:16: command.annotations.wcgi.snapshot.warmup: ";
        assert!(error.to_string().ends_with(&format!("{place}{entry:?} {why}")), "{error}");
        assert_eq!(error.kind(), ErrorKind::Package);
    }
}
