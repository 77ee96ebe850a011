//! The announcement's PHP package, `examples/php`, as it is and with other pages mounted over its own.

use std::fs;

use http::{Method, StatusCode};
use tower_wcgi::{Access, WcgiBuilder, WcgiService};
use wcgi_tests::{ask, engine, get, request, root};

/// Each test but one has pages of its own, and would have the whole interpreter compiled with them.
fn php() -> WcgiBuilder {
    WcgiService::builder().package(root().join("examples/php")).snapshot(false).engine(engine().build().unwrap())
}

#[tokio::test]
async fn the_announcements_php_template_says_hello() {
    let reply = get(&php().snapshot(true).build().unwrap(), "/").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("content-type").starts_with("text/html"));
    assert!(reply.text().contains("<p>PHP 8.2."), "{}", reply.text());
}

#[tokio::test]
async fn an_edited_page_shows_on_the_next_request() {
    let dir = tempfile::tempdir().unwrap();
    let service = php().map_dir("/app", dir.path(), Access::ReadWrite).build().unwrap();
    for n in 1..4 {
        fs::write(dir.path().join("index.php"), format!("<?php echo 'edition ', {n} * 10;")).unwrap();
        assert_eq!(get(&service, "/").await.text(), format!("edition {}", n * 10));
    }
}

#[tokio::test]
async fn forms_cookies_and_status_come_through() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("index.php"),
        r#"<?php
http_response_code(404);
setcookie('a', '1'); setcookie('b', '2');
header('X-Method: ' . $_SERVER['REQUEST_METHOD']);
echo json_encode([$_POST, $_GET, $_COOKIE, $_SERVER['PATH_INFO'] ?? null, $_SERVER['HTTP_USER_AGENT'] ?? null]);
"#,
    )
    .unwrap();
    let service = php().map_dir("/app", dir.path(), Access::ReadOnly).build().unwrap();
    let mut post = request(Method::POST, "/some/path?q=1", "name=J%C3%B6rg&n=2");
    for (name, value) in
        [("content-type", "application/x-www-form-urlencoded"), ("cookie", "c=3"), ("user-agent", "test")]
    {
        post.headers_mut().insert(name, value.parse().unwrap());
    }
    let reply = ask(&service, post).await;
    assert_eq!((reply.status, reply.header("x-method")), (StatusCode::NOT_FOUND, "POST"));
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(reply.failure, None, "php-cgi exits with 255 on its own page");
    assert_eq!(reply.text(), r#"[{"name":"J\u00f6rg","n":"2"},{"q":"1"},{"c":"3"},"\/some\/path","test"]"#);
}

#[tokio::test]
async fn an_upload_arrives_whole() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("index.php"),
        "<?php $f = $_FILES['f']; echo $f['name'], ' ', $f['size'], ' ', md5_file($f['tmp_name']);",
    )
    .unwrap();
    let service = php().map_dir("/app", dir.path(), Access::ReadOnly).build().unwrap();
    let data = "0123456789abcdef".repeat(60_000);
    let body = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n{data}\r\n--XX--\r\n"
    );
    let mut upload = request(Method::POST, "/", body);
    upload.headers_mut().insert("content-type", "multipart/form-data; boundary=XX".parse().unwrap());
    let reply = ask(&service, upload).await;
    assert!(reply.text().starts_with("a.bin 960000 "), "{}", reply.text());
}

#[tokio::test]
async fn sqlite_works_in_a_mount() {
    let (app, db) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(
        app.path().join("index.php"),
        r"<?php
$db = new SQLite3('/db/test.sqlite');
$db->exec('CREATE TABLE IF NOT EXISTS visits (n INTEGER)');
$db->exec('INSERT INTO visits VALUES (1)');
echo $db->querySingle('SELECT count(*) FROM visits');
$db->close();
",
    )
    .unwrap();
    let service = php().map_dir("/app", app.path(), Access::ReadOnly).map_dir("/db", db.path(), Access::ReadWrite);
    let service = service.build().unwrap();
    for n in 1..=3 {
        assert_eq!(get(&service, "/").await.text(), n.to_string());
    }
    assert!(db.path().join("test.sqlite").exists());
}
