//! Sites of PHP on the real php-cgi.

use axum::Router;
use http::StatusCode;
use tower_wcgi::{Access, Site, WcgiBuilder, WcgiService};
use wcgi_tests::{Server, engine, get, root};

use super::files;
use crate::wire;

fn php(dir: &std::path::Path) -> WcgiBuilder {
    let interpreter = root().join("examples/php/php-cgi.wasm");
    WcgiService::builder()
        .package(interpreter)
        .snapshot(false)
        .engine(engine().build().unwrap())
        .map_dir("/app", dir, Access::ReadOnly)
        .site(Site::new("/app").scripts([".php"]).fallback("/index.php"))
}

const TELL: &str = "<?php $s = $_SERVER; echo json_encode([$s['SCRIPT_NAME'], $s['PATH_INFO'] ?? null, $s['PHP_SELF'], \
    $s['SCRIPT_FILENAME'], $s['DOCUMENT_ROOT'], $s['REQUEST_URI'], __FILE__, getcwd()], JSON_UNESCAPED_SLASHES);";

#[tokio::test]
async fn php_agrees_on_what_runs() {
    let dir = files(&[("index.php", TELL), ("sub/page.php", TELL), ("style.css", "css")]);
    let server = Server::start(Router::new().nest_service("/blog", php(dir.path()).build().unwrap())).await;
    for (path, expected) in [
        (
            "/blog/sub/page.php/x/y?q=1",
            r#"["/blog/sub/page.php","/x/y","/blog/sub/page.php/x/y","/app/sub/page.php","/app","/blog/sub/page.php/x/y?q=1","/app/sub/page.php","/app/sub"]"#,
        ),
        (
            "/blog/",
            r#"["/blog/index.php",null,"/blog/index.php","/app/index.php","/app","/blog/","/app/index.php","/app"]"#,
        ),
        (
            "/blog/2026/hello/",
            r#"["/blog/index.php",null,"/blog/index.php","/app/index.php","/app","/blog/2026/hello/","/app/index.php","/app"]"#,
        ),
    ] {
        let answer = wire::get(&server, path).await;
        assert_eq!(answer.text().replace("\"\"", "null"), expected, "{path}");
    }
    let css = wire::get(&server, "/blog/style.css").await;
    assert_eq!((css.status, css.text().as_str()), (StatusCode::OK, "css"));
}

/// What is beside a page is found by it, and nothing runs that is not asked for.
#[tokio::test]
async fn a_page_includes_what_may_not_be_asked_for() {
    let dir = files(&[
        ("index.php", "<?php require __DIR__ . '/includes/lib.php'; echo hello();"),
        ("includes/lib.php", "<?php function hello() { return 'included'; }"),
    ]);
    let site = Site::new("/app").scripts([".php"]).deny(["/includes/*"]);
    let service = php(dir.path()).site(site).build().unwrap();
    assert_eq!(get(&service, "/").await.text(), "included");
    assert_eq!(get(&service, "/includes/lib.php").await.status, StatusCode::NOT_FOUND);
}
