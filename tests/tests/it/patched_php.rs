//! Our own php-cgi with all its patches (`guests/php/patches`), which a ready one may lack.
//!
//! Left out where the one that is there lacks them: `cargo xtask php` builds it.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::ServiceExt;
use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{Announced, ask, engine, get, request};

use crate::own_php::Site;

/// A page with one time, whatever is in it.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
}

const EDITION: &str = "<?php echo 'edition N ', opcache_is_script_cached(__FILE__) ? 'compiled' : 'new';";

fn edition(number: &str) -> String {
    EDITION.replace('N', number)
}

#[tokio::test]
async fn an_edit_that_keeps_size_and_time_is_noticed() {
    let site = Site::new(&["/page.php", "/other.php"], "");
    let app = site.0.path().join("app");
    for page in ["page.php", "other.php"] {
        write(&app.join(page), &edition("1"));
    }
    let service = site.service().await;
    for page in ["/page.php", "/other.php"] {
        assert_eq!(get(&service, page).await.text(), "edition 1 compiled");
    }
    // In place, and by another file with that name.
    write(&app.join("page.php"), &edition("2"));
    write(&app.join("next"), &edition("2"));
    fs::rename(app.join("next"), app.join("other.php")).unwrap();
    for page in ["/page.php", "/other.php"] {
        assert!(get(&service, page).await.text().starts_with("edition 2"), "{page}");
    }
}

/// Its files have other inodes and other times of change, and are the same all the same.
#[tokio::test]
async fn a_package_that_was_built_and_moved_has_its_pages_compiled() {
    let site = Site::new(&["/page.php"], "");
    write(&site.0.path().join("app/page.php"), &edition("1"));
    let [out, copy] = ["out", "copy"].map(|name| site.0.path().join(name));
    assert!(site.builder().export(&out).unwrap().is_snapshot());
    let copied = std::process::Command::new("cp").arg("-a").arg(&out).arg(&copy).status().unwrap();
    assert!(copied.success());
    for package in [&out, &copy] {
        let engine = engine().max_concurrency(2).build().unwrap();
        let builder = WcgiService::builder().package(package).engine(engine);
        let service = builder.map_dir("/data", site.0.path().join("data"), Access::ReadWrite).build().unwrap();
        assert_eq!(get(&service, "/page.php").await.text(), "edition 1 compiled", "{}", package.display());
    }
}

/// Even where nothing can be made anew, as in a package that was built.
#[cfg(unix)]
#[tokio::test]
async fn where_links_led_is_not_in_a_package_that_was_built() {
    let site = Site::new(&["/current/page.php"], "");
    let app = site.0.path().join("app");
    for release in ["1", "2"] {
        fs::create_dir_all(app.join("releases").join(release)).unwrap();
        write(&app.join("releases").join(release).join("page.php"), "<?php require 'part.php'; echo ' ', __DIR__;");
        write(&app.join("releases").join(release).join("part.php"), &format!("<?php echo {release};"));
    }
    std::os::unix::fs::symlink("releases/1", app.join("current")).unwrap();
    let out = site.0.path().join("out");
    assert!(site.builder().export(&out).unwrap().is_snapshot());
    let engine = engine().max_concurrency(2).build().unwrap();
    let builder = WcgiService::builder().package(&out).engine(engine);
    let service = builder.map_dir("/data", site.0.path().join("data"), Access::ReadWrite).build().unwrap();
    assert_eq!(get(&service, "/current/page.php").await.text(), "1 /app/releases/1");
    let link = find(&out, "current");
    std::os::unix::fs::symlink("releases/2", link.with_file_name("next")).unwrap();
    fs::rename(link.with_file_name("next"), &link).unwrap();
    assert_eq!(get(&service, "/current/page.php").await.text(), "2 /app/releases/2");
}

/// The only entry of that name below `directory`.
fn find(directory: &Path, name: &str) -> std::path::PathBuf {
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_name() == name {
                return entry.path();
            }
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
        }
    }
    panic!("no {name} in {}", directory.display())
}

#[tokio::test]
async fn settings_of_paths_do_not_choose_the_script() {
    let site = Site::new(&[], "");
    let app = site.0.path().join("app");
    fs::write(app.join("index.php"), "<?php echo 'front ', $_SERVER['PATH_INFO'] ?? '';").unwrap();
    fs::write(app.join(".env"), "SECRET").unwrap();
    let ini = fs::read_to_string(site.0.path().join("etc/php.ini")).unwrap();
    for (setting, snapshot) in
        [("cgi.fix_pathinfo = 0", true), ("doc_root = /app", false), ("cgi.fix_pathinfo = 0\ndoc_root = /app", false)]
    {
        fs::write(site.0.path().join("etc/php.ini"), format!("{ini}\n{setting}\n")).unwrap();
        let service = site.builder().snapshot(snapshot).build().unwrap();
        for path in ["/.env", "/hello.php", "/x"] {
            let text = get(&service, &format!("/index.php{path}")).await.text();
            assert_eq!(text, format!("front {path}"), "{setting}");
        }
    }
}

#[tokio::test]
async fn half_a_form_is_no_form() {
    let site = Site::new(&[], "");
    fs::write(site.0.path().join("app/save.php"), "<?php file_put_contents('/data/saved', strlen($_POST['a'] ?? ''));")
        .unwrap();
    let service = site.service().await;
    for fails in [true, false] {
        let mut frames = vec![Ok(Frame::data(Bytes::from_static(b"a=half of it")))];
        if fails {
            frames.push(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
        }
        let body = Announced(StreamBody::new(stream::iter(frames)), Some(1000));
        let form = Request::post("/save.php").header("content-type", "application/x-www-form-urlencoded");
        let error = service.try_call(form.body(body).unwrap()).await.unwrap_err();
        assert!(error.is_request(), "{error}");
        wcgi_tests::wait_for_permits(service.engine(), 8).await;
        assert!(!site.0.path().join("data/saved").exists());
    }
    let mut form = request(Method::POST, "/save.php", "a=all");
    form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    assert_eq!(ask(&service, form).await.status, 200);
    assert_eq!(fs::read_to_string(site.0.path().join("data/saved")).unwrap(), "3");
}

#[tokio::test]
async fn a_script_that_ignores_that_its_client_leaves_comes_to_its_end() {
    let site = Site::new(&[], "");
    let service = site.service().await;
    for (name, ignore, expected) in [("kept", "1", Some("[1,1,1]")), ("ended", "0", None)] {
        let target = format!("/abort.php?name={name}&ignore={ignore}");
        let Ok(response) = service.clone().oneshot(request(Method::GET, &target, "")).await;
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "begun");
        drop(body);
        wcgi_tests::wait_for_permits(service.engine(), 8).await;
        let written = fs::read_to_string(site.0.path().join("data").join(name)).ok();
        assert_eq!(written.as_deref(), expected, "{name}");
    }
}

/// `PRAGMA journal_mode = WAL` by another program: the header says so, and the log of changes may be there.
#[tokio::test]
async fn a_data_base_in_wal_mode_is_one_requests_at_a_time() {
    let site = Site::new(&[], "");
    let service = site.service().await;
    assert_eq!(get(&service, "/locks.php?do=create").await.status, 200);
    let database = fs::read_dir(site.0.path().join("data")).unwrap().flatten().next().unwrap().path();
    let mut bytes = fs::read(&database).unwrap();
    assert_eq!(bytes.get(18..20), Some(&[1, 1][..]));
    bytes[18] = 2;
    bytes[19] = 2;
    fs::write(&database, bytes).unwrap();
    let inserts = (0..4).map(|_| get(&service, "/locks.php?do=insert&n=25"));
    for reply in futures_util::future::join_all(inserts).await {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(get(&service, "/locks.php?do=count").await.text().trim(), "100 rows, ok");
    assert_eq!(fs::read(&database).unwrap().get(18..20), Some(&[2, 2][..]), "it stays in that mode");
}
