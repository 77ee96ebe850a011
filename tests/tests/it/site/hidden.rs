//! What a site denies, and what is never served.

use http::StatusCode;
use tower_wcgi::{Access, ErrorKind, WcgiService};
use wcgi_tests::{get, request};

use super::{files, site, summary, write};

/// Nothing runs and nothing is served, with and without a fallback.
async fn expect_nothing(services: &[WcgiService], paths: &[&str]) {
    for service in services {
        for path in paths {
            let reply = get(service, path).await;
            assert_eq!((reply.status, reply.text().as_str()), (StatusCode::NOT_FOUND, "Not Found"), "{path}");
        }
    }
}

#[tokio::test]
async fn dot_files_manifests_modules_and_databases_are_for_nobody() {
    let secret = [
        ".env",
        ".git/config",
        "sub/.htaccess",
        ".hidden.php",
        ".dir/a.php",
        ".well-known/.secret",
        "sub/.well-known/x",
        "wasmer.toml",
        "WASMER.TOML",
        "sub/wapm.toml",
        "wasmer.toml.bak",
        "php-cgi.wasm",
        "m.wat",
        "p.webc",
        "m.cwasm",
        "data.sqlite",
        "data.SQLite3",
        "data.sqlite-journal",
        "data.sqlite-wal",
        "sub/x.db",
        "x.db-shm",
        "x.db.bak",
        ".ht.sqlite",
    ];
    let dir = files(&[("index.php", ""), (".well-known/acme-challenge/token", "for all"), ("dbs.html", "no database")]);
    for path in secret {
        write(dir.path(), path, "secret");
    }
    let services = [
        site(dir.path(), |site| site).build().unwrap(),
        site(dir.path(), |site| site.fallback("/index.php")).build().unwrap(),
    ];
    let paths = secret.map(|path| format!("/{path}"));
    let mut paths: Vec<_> = paths.iter().map(String::as_str).collect();
    paths.extend(["/.git/", "/.git", "/.dir/a.php/x", "/.gone", "/gone.wasm", "/%2egit/config", "//.git//config"]);
    paths.extend([
        "/x/../.env",
        "/wasmer.toml/",
        "/.env/x.php",
        "/x.db%20",
        "/x.db.",
        "/x.db::$DATA",
        "/wasmer.toml%20",
    ]);
    expect_nothing(&services, &paths).await;
    for service in &services {
        assert_eq!(summary(&get(service, "/.well-known/acme-challenge/token").await), "200 for all");
        assert_eq!(summary(&get(service, "/dbs.html").await), "200 no database");
        // To a script it is no more than text.
        assert_eq!(summary(&get(service, "/index.php/.git/x.sqlite").await), "/index.php + \"/.git/x.sqlite\"");
    }
    let error = services[0].try_call(request(http::Method::GET, "/.env", "")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn deny_is_read_the_safe_way() {
    let dir = files(&[
        ("index.php", ""),
        ("wp-content/uploads/photo.jpg", "photo"),
        ("wp-content/uploads/evil.php", ""),
        ("wp-content/uploads/2026/01/evil.php", ""),
        ("wp-content/uploads/dir/index.php", ""),
        ("private/a.txt", "secret"),
        ("private/deep/b.php", ""),
        ("dump.sql", "secret"),
        ("sub/dump.SQL", "secret"),
        ("node_modules/x/a.js", "secret"),
        ("privateer.txt", "ship"),
    ]);
    let deny = ["/.*", "/wp-content/uploads/*.php", "/private/", "*.sql", "node_modules", "/a*c"];
    let services = [
        site(dir.path(), |site| site.deny(deny)).build().unwrap(),
        site(dir.path(), |site| site.deny(deny).fallback("/index.php")).build().unwrap(),
    ];
    expect_nothing(
        &services,
        &[
            "/wp-content/uploads/evil.php",
            "/wp-content/uploads/evil.php/x.jpg",
            "/wp-content/uploads/2026/01/evil.php",
            "/wp-content/uploads/EVIL.PHP",
            "/WP-Content/uploads/evil.php",
            "/wp-content//uploads/./evil.php",
            "/wp-content/uploads/%65vil%2ephp",
            "/wp-content/uploads/x/../evil.php",
            "/wp-content/uploads/gone.php",
            "/wp-content/uploads/dir/",
            "/wp-content/uploads/dir",
            "/private/a.txt",
            "/private/deep/b.php",
            "/private",
            "/private/",
            "/dump.sql",
            "/sub/dump.SQL",
            "/index.php/dump.sql",
            "/node_modules/x/a.js",
            "/sub/node_modules/x",
            "/ac",
            "/abc",
            "/a/b/c",
            "/a%ffc",
        ],
    )
    .await;
    for service in &services {
        assert_eq!(summary(&get(service, "/wp-content/uploads/photo.jpg").await), "200 photo");
        assert_eq!(summary(&get(service, "/privateer.txt").await), "200 ship");
    }
    assert_eq!(summary(&get(&services[1], "/my-private/x").await), "/index.php + \"\"");
}

/// What a link leads to is judged by its own name and place too, and nothing outside of the mount is reached.
#[cfg(unix)]
#[tokio::test]
async fn links_lead_to_nothing_that_is_hidden() {
    use std::os::unix::fs::symlink;
    let (dir, outside) = (
        files(&[
            ("public/index.html", "index"),
            ("public/a.php", "<?php secret"),
            ("public/.git/config", "secret"),
            ("public/.git/hook.php", "<?php"),
            ("public/private/a.txt", "secret"),
            ("public/private/b.php", "<?php"),
            ("public/real.txt", "real"),
            ("storage/photo.jpg", "photo"),
            ("storage/.env", "secret"),
        ]),
        files(&[("secret.txt", "secret"), ("index.html", "secret")]),
    );
    let public = dir.path().join("public");
    let link = |to: &str, name: &str| symlink(to, public.join(name)).unwrap();
    link("a.php", "source.txt");
    link("a.php", "source.css.gz");
    link(".git/config", "config.txt");
    link(".git", "git");
    link("private", "open");
    link("private/a.txt", "open.txt");
    link("../storage", "storage");
    link("../storage/.env", "env.txt");
    link("real.txt", "good.txt");
    link("loop", "loop");
    link(".", "self");
    link("../../../../../../../etc/passwd", "passwd");
    symlink(outside.path().join("secret.txt"), public.join("out.txt")).unwrap();
    symlink(outside.path(), public.join("out")).unwrap();
    symlink(outside.path().join("secret.txt"), public.join("out.php")).unwrap();
    write(&public, "source.css", "css");
    let service = wcgi_tests::builder("env")
        .map_dir("/srv", dir.path(), Access::ReadOnly)
        .site(tower_wcgi::Site::new("/srv/public").scripts([".php"]).deny(["/private/*"]))
        .build()
        .unwrap();
    let hidden = [
        "/source.txt",
        "/config.txt",
        "/git/config",
        "/open/a.txt",
        "/open.txt",
        "/env.txt",
        "/storage/.env",
        "/git/hook.php",
        "/open/b.php",
    ];
    let out =
        ["/out.txt", "/out/secret.txt", "/out/", "/out", "/out.php", "/passwd", "/loop", "/self/self/.git/config"];
    expect_nothing(std::slice::from_ref(&service), &[&hidden[..], &out].concat()).await;
    for (path, content) in [
        ("/good.txt", "200 real"),
        ("/storage/photo.jpg", "200 photo"),
        ("/self/real.txt", "200 real"),
        ("/self", "301 /self/"),
        ("/self/a.php", "/self/a.php + \"\""),
    ] {
        assert_eq!(summary(&get(&service, path).await), content, "{path}");
    }
    let coded = super::asking(http::Method::GET, "/source.css", &[("accept-encoding", "gzip")]);
    assert_eq!(wcgi_tests::ask(&service, coded).await.text(), "css", "a sibling is judged as well");
}

/// Opening a FIFO waits for a writer, unless it is said not to.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_nothing_and_holds_up_nobody() {
    let dir = files(&[("x.php/a.txt", "in a directory"), ("index.html", "index")]);
    for name in ["fifo", "fifo.php", "fifo.html", "sub.html.gz"] {
        assert!(std::process::Command::new("mkfifo").arg(dir.path().join(name)).status().unwrap().success());
    }
    write(dir.path(), "sub.html", "plain");
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let service = site(dir.path(), |site| site.index(["fifo", "index.html"])).build().unwrap();
    let paths = ["/fifo", "/fifo.php", "/fifo.php/x", "/fifo.html", "/socket", "/x.php", "/x.php/"];
    expect_nothing(std::slice::from_ref(&service), &paths).await;
    assert_eq!(summary(&get(&service, "/").await), "200 index");
    assert_eq!(summary(&get(&service, "/x.php/a.txt").await), "200 in a directory");
    let coded = super::asking(http::Method::GET, "/sub.html", &[("accept-encoding", "gzip")]);
    assert_eq!(wcgi_tests::ask(&service, coded).await.text(), "plain");
}
