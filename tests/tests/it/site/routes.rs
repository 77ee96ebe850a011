//! From a path to a script with its `PATH_INFO`, a file, a redirect or nothing.

use axum::Router;
use http::{Method, StatusCode};
use tower_wcgi::WcgiService;
use wcgi_tests::{Server, ask, get, request};

use super::{files, site, summary};
use crate::wire;

fn tree() -> tempfile::TempDir {
    files(&[
        ("index.php", "<?php"),
        ("a.php", "<?php"),
        ("a b.php", "<?php"),
        ("style.css", "css"),
        ("plain/page.html", "page"),
        ("blog/index.html", "blog"),
        ("shop/index.php", "<?php"),
        ("shop/index.html", "not this"),
        ("dir.php/index.html", "in a directory"),
        ("dir.php/deep.php", "<?php"),
    ])
}

async fn expect(service: &WcgiService, cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(summary(&get(service, path).await), *expected, "{path}");
    }
}

#[tokio::test]
async fn a_path_names_a_script_a_file_or_nothing() {
    let dir = tree();
    let service = site(dir.path(), |site| site).build().unwrap();
    expect(
        &service,
        &[
            ("/a.php", "/a.php + \"\""),
            ("/a%20b.php", "/a b.php + \"\""),
            ("/a.php/x/y", "/a.php + \"/x/y\""),
            ("/a.php/", "/a.php + \"/\""),
            ("/a.php/b.php/c", "/a.php + \"/b.php/c\""),
            ("/a.php/style.css", "/a.php + \"/style.css\""),
            ("//a.php//x/", "/a.php + \"/x/\""),
            ("/./plain/../a.php", "/a.php + \"\""),
            ("/a%2ephp%2fx", "/a.php + \"/x\""),
            ("/style.css", "200 css"),
            ("/plain/page.html", "200 page"),
            ("/", "/index.php + \"\""),
            ("/blog/", "200 blog"),
            ("/shop/", "/shop/index.php + \"\""),
            ("/dir.php/", "200 in a directory"),
            ("/dir.php/deep.php/x", "/dir.php/deep.php + \"/x\""),
            ("/nope", "404 Not Found"),
            ("/nope.php", "404 Not Found"),
            ("/nope.php/x", "404 Not Found"),
            ("/plain/", "404 Not Found"),
            ("/plain", "404 Not Found"),
            ("/style.css/", "404 Not Found"),
            ("/style.css/x", "404 Not Found"),
            ("/style.css/x.php", "404 Not Found"),
            ("/%ff", "404 Not Found"),
            ("/../a.php", "400 Bad Request"),
            ("/a.php%00", "400 Bad Request"),
        ],
    )
    .await;
}

#[tokio::test]
async fn path_info_of_a_script_is_bytes() {
    let dir = tree();
    let reply = get(&site(dir.path(), |site| site).build().unwrap(), "/a.php/%ff%C3%BC").await;
    assert!(reply.body.windows(15).any(|part| part == b"PATH_INFO=/\xff\xc3\xbc\n"), "{}", reply.text());
}

#[tokio::test]
async fn what_names_no_file_is_the_fallbacks_with_nothing_but_the_original_uri() {
    let dir = tree();
    let service = site(dir.path(), |site| site.fallback("/index.php")).build().unwrap();
    for path in [
        "/2026/01/hello-world/?preview=1",
        "/nope.php?x",
        "/nope.php/x",
        "/plain/",
        "/plain",
        "/style.css/x",
        "/%ff",
        "/a.php.bak",
    ] {
        let reply = get(&service, path).await;
        assert_eq!(summary(&reply), "/index.php + \"\"", "{path}");
        assert_eq!(reply.variable("REQUEST_URI").as_deref(), Some(path));
        assert_eq!(reply.variable("SCRIPT_FILENAME").as_deref(), Some("/app/index.php"));
        assert_eq!(reply.variable("PATH_TRANSLATED"), None);
    }
    expect(&service, &[("/style.css", "200 css"), ("/a.php/x", "/a.php + \"/x\"")]).await;
    let post = ask(&service, request(Method::POST, "/some/form", "a=1")).await;
    assert_eq!((post.variable("CONTENT_LENGTH").as_deref(), post.status), (Some("3"), StatusCode::OK));
}

#[tokio::test]
async fn a_fallback_can_be_a_page() {
    let dir = files(&[("app.html", "single page"), ("app.js", "js")]);
    let service = site(dir.path(), |site| site.fallback("/app.html")).build().unwrap();
    expect(&service, &[("/some/view", "200 single page"), ("/", "200 single page"), ("/app.js", "200 js")]).await;
}

#[tokio::test]
async fn a_script_is_told_where_it_is() {
    let dir = tree();
    let service = site(dir.path(), |site| site).build().unwrap();
    let reply = get(&service, "/shop/index.php/item/1?x=1").await;
    for (name, value) in [
        ("SCRIPT_NAME", Some("/shop/index.php")),
        ("SCRIPT_FILENAME", Some("/app/shop/index.php")),
        ("DOCUMENT_ROOT", Some("/app")),
        ("PATH_INFO", Some("/item/1")),
        ("PATH_TRANSLATED", None),
        ("REQUEST_URI", Some("/shop/index.php/item/1?x=1")),
        ("QUERY_STRING", Some("x=1")),
        ("REDIRECT_STATUS", Some("200")),
    ] {
        assert_eq!(reply.variable(name).as_deref(), value, "{name}");
    }
    let reply = get(&service, "/shop/").await;
    assert_eq!(reply.variable("SCRIPT_FILENAME").as_deref(), Some("/app/shop/index.php"));
    assert_eq!(reply.variable("REQUEST_URI").as_deref(), Some("/shop/"));
}

/// As before for variables that a package sets: they win.
#[tokio::test]
async fn what_the_operator_sets_wins() {
    let dir = tree();
    let service = site(dir.path(), |site| site).env("DOCUMENT_ROOT", "/other").build().unwrap();
    let reply = get(&service, "/a.php/x").await;
    assert_eq!(reply.variable("DOCUMENT_ROOT").as_deref(), Some("/other"));
    assert_eq!(reply.variable("PATH_TRANSLATED"), None);
    assert_eq!(reply.text().matches("DOCUMENT_ROOT=").count(), 1);
}

#[tokio::test]
async fn a_directory_without_its_slash_redirects_to_it() {
    let dir = tree();
    let service = site(dir.path(), |site| site).build().unwrap();
    for (path, expected) in [
        ("/blog", "301 /blog/"),
        ("/blog?a=b&c=%2f/../x", "301 /blog/?a=b&c=%2f/../x"),
        ("/dir.php", "301 /dir.php/"),
        // Never to another host, however the path is spelled.
        ("//blog", "301 /blog/"),
        ("/%2fblog", "301 /blog/"),
        ("/x/..//blog", "301 /blog/"),
    ] {
        assert_eq!(summary(&get(&service, path).await), expected, "{path}");
    }
    for (method, status) in [(Method::HEAD, 301), (Method::POST, 308), (Method::PUT, 308)] {
        let reply = ask(&service, request(method, "/blog", "")).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (status, "/blog/"));
    }
    let odd = files(&[("ä \\%?/index.html", "odd"), ("@evil.example/index.html", "odd")]);
    let service = site(odd.path(), |site| site).build().unwrap();
    expect(&service, &[("/@evil.example", "301 /%40evil.example/"), ("/%c3%a4%20%5C%25%3f", "404 Not Found")]).await;
}

/// The query may have bytes that no header can.
#[tokio::test]
async fn a_redirect_takes_any_query() {
    let dir = tree();
    let service = site(dir.path(), |site| site).build().unwrap();
    let reply = get(&service, "/blog?ü").await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (301, "/blog/?%C3%BC"));
}

#[tokio::test]
async fn below_a_prefix_everything_is_the_same_and_paths_have_the_prefix() {
    let dir = tree();
    let service = site(dir.path(), |site| site.fallback("/index.php")).build().unwrap();
    let app = Router::new()
        .nest("/outer", Router::new().nest_service("/inner", service.clone()))
        .nest_service("/blog", service.clone())
        .fallback_service(service);
    let server = Server::start(app).await;
    for prefix in ["", "/blog", "/outer/inner"] {
        for (path, name, info) in
            [("/a.php/x?q=1", "/a.php", "/x"), ("/shop/", "/shop/index.php", ""), ("/pretty/link", "/index.php", "")]
        {
            let reply = wire::get(&server, &format!("{prefix}{path}")).await;
            assert_eq!(reply.variable("SCRIPT_NAME"), Some(format!("{prefix}{name}")), "{prefix}{path}");
            assert_eq!(reply.variable("PATH_INFO").as_deref(), Some(info));
            assert_eq!(reply.variable("SCRIPT_FILENAME"), Some(format!("/app{name}")));
            assert_eq!(reply.variable("REQUEST_URI"), Some(format!("{prefix}{path}")));
            assert_eq!(reply.variable("DOCUMENT_ROOT").as_deref(), Some("/app"));
        }
        let front = wire::get(&server, &format!("{prefix}/")).await;
        assert_eq!(front.variable("SCRIPT_NAME"), Some(format!("{prefix}/index.php")));
        let css = wire::get(&server, &format!("{prefix}/style.css")).await;
        assert_eq!((css.status, css.text().as_str()), (StatusCode::OK, "css"));
        let redirect = wire::get(&server, &format!("{prefix}/shop?x=1")).await;
        assert_eq!((redirect.status.as_u16(), redirect.header("location")), (301, &*format!("{prefix}/shop/?x=1")));
    }
    // The mount's own name is a directory's as well.
    let redirect = wire::get(&server, "/blog?x").await;
    assert_eq!((redirect.status.as_u16(), redirect.header("location")), (301, "/blog/?x"));
}

#[tokio::test]
async fn below_an_explicit_mount_and_without_a_path() {
    let dir = tree();
    let service = site(dir.path(), |site| site).mount("/x y").build().unwrap();
    expect(
        &service,
        &[
            ("/x%20y", "301 /x%20y/"),
            ("/x%20y/", "/x y/index.php + \"\""),
            ("/x%20y/blog", "301 /x%20y/blog/"),
            ("/x%20y/a.php/b", "/x y/a.php + \"/b\""),
            ("/blog", "404 Not Found"),
        ],
    )
    .await;
    let root = site(dir.path(), |site| site).build().unwrap();
    expect(&root, &[("http://localhost", "/index.php + \"\"")]).await;
    let asterisk = ask(&service, request(Method::OPTIONS, "*", "")).await;
    assert_eq!(summary(&asterisk), "/x y/index.php + \"\"");
    let asterisk = ask(&root, request(Method::OPTIONS, "*", "")).await;
    assert_eq!(summary(&asterisk), "/index.php + \"\"");
}

/// RFC 3875 §6.2.2: as if the client had asked for that path, so files count as well.
#[tokio::test]
async fn a_local_redirect_is_routed_anew() {
    let dir = tree();
    let service = wcgi_tests::builder("redirect")
        .map_dir("/app", dir.path(), tower_wcgi::Access::ReadOnly)
        .site(tower_wcgi::Site::new("/app").scripts([".php"]));
    let service = service.build().unwrap();
    expect(
        &service,
        &[
            ("/a.php?to=/shop/index.php/x", "/shop/index.php + \"/x\""),
            ("/a.php/info?to=/style.css", "200 css"),
            ("/a.php?to=/blog", "301 /blog/"),
            ("/a.php?to=/nope", "404 Not Found"),
            ("/a.php?to=/.git/config", "404 Not Found"),
        ],
    )
    .await;
    let nested = Server::start(Router::new().nest_service("/x", service)).await;
    assert_eq!(wire::get(&nested, "/x/a.php?to=/x/style.css").await.text(), "css");
    wire::get(&nested, "/x/a.php?to=/style.css").await.expect_only(StatusCode::BAD_GATEWAY);
}
