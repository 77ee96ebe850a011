//! What comes in: uploads, the raw body, cookies, sessions.

use std::fs;

use reqwest::multipart::{Form, Part};

use super::{Package, url, visitor};

/// Nearly four times what PHP may have: nothing on the way holds it in memory. One file only: the stock php-cgi gives
/// every temporary file the same name, so the second of two uploads in one request overwrites the first.
#[tokio::test]
async fn a_multipart_upload_of_30_mb_arrives_whole() {
    let package = Package::new(
        r#"<?php
$f = $_FILES['big'];
move_uploaded_file($f['tmp_name'], '/data/big');
echo json_encode([$_POST, $f['name'], $f['type'], $f['error'], $f['size']]);
"#,
        "upload_max_filesize = 32M\npost_max_size = 40M\nmemory_limit = 8M\n",
    );
    let server = package.serve().await;
    // No period that a buffer's size could hide a lost or repeated piece in.
    let big: Vec<u8> = (0..30_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let form = Form::new()
        .text("before", "1")
        .part("big", Part::bytes(big.clone()).file_name("größe.bin").mime_str("application/x-test").unwrap())
        .text("after", "2");
    let reply = visitor().post(url(&server, "/")).multipart(form).send().await.unwrap();
    let expected = r#"[{"before":"1","after":"2"},"gr\u00f6\u00dfe.bin","application\/x-test",0,31457280]"#;
    assert_eq!(reply.text().await.unwrap(), expected);
    assert!(fs::read(package.data("big")).unwrap() == big, "the file is not what was sent");
}

#[tokio::test]
async fn php_input_is_the_body_as_it_was_sent() {
    let package = Package::new(
        r#"<?php
$in = file_get_contents('php://input');
$again = file_get_contents('php://input');
echo json_encode([$_SERVER['REQUEST_METHOD'], $_POST, strlen($in), md5($in), $in === $again]);
"#,
        "",
    );
    let server = package.serve().await;
    let json = r#"{"a":[1,2]}"#;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (method, content_type, body, expected) in [
        ("POST", "application/json", json.as_bytes(), r#"["POST",[],11,"ca16230f6b96fc0b51c574066abedaed",true]"#),
        ("PUT", "application/octet-stream", &bytes, r#"["PUT",[],100000,"7007d9ba10b9a5e64a9f92df87e94a06",true]"#),
        (
            "POST",
            "application/x-www-form-urlencoded",
            b"a=1&b=2",
            r#"["POST",{"a":"1","b":"2"},7,"ed04c91cf6f6ab5a01a31c0295c5da34",true]"#,
        ),
        ("PATCH", "text/plain", b"", r#"["PATCH",[],0,"d41d8cd98f00b204e9800998ecf8427e",true]"#),
    ] {
        let request =
            visitor().request(method.parse().unwrap(), url(&server, "/")).header("content-type", content_type);
        let reply = request.body(body.to_vec()).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn cookies_come_and_go_with_their_attributes() {
    let package = Package::new(
        r#"<?php
setcookie('plain', 'a b;c');
setcookie('all', '1', ['path' => '/sub', 'secure' => true, 'httponly' => true, 'samesite' => 'Strict']);
setcookie('until', '1', 2000000000);
setcookie('gone', '');
echo json_encode($_COOKIE);
"#,
        "",
    );
    let server = package.serve().await;
    let request = visitor().get(url(&server, "/")).header("cookie", "k[x]=1; k[y]=2; text=J%C3%B6rg%20A; flag");
    let reply = request.send().await.unwrap();
    let set: Vec<_> = reply.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    // How many seconds that is from now differs from run to run.
    let (until, left) = set[2].rsplit_once('=').unwrap();
    assert!(left.parse::<u32>().is_ok(), "{left}");
    assert_eq!(
        [set[0], set[1], until, set[3]],
        [
            "plain=a%20b%3Bc",
            "all=1; path=/sub; secure; HttpOnly; SameSite=Strict",
            "until=1; expires=Wed, 18 May 2033 03:33:20 GMT; Max-Age",
            "gone=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0",
        ]
    );
    assert_eq!(reply.text().await.unwrap(), r#"{"k":{"x":"1","y":"2"},"text":"J\u00f6rg A","flag":""}"#);
}

/// Sessions are files in a mount: each request has an instance and a `/tmp` of its own, and finds them all the same.
#[tokio::test]
async fn a_session_lasts_from_one_request_to_the_next() {
    let package = Package::new(
        r#"<?php
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
if (isset($_GET['leave'])) session_destroy();
echo $_SESSION['visits'];
"#,
        "session.save_path = /data\nsession.use_strict_mode = 1\n",
    );
    let server = package.serve().await;
    let (ada, ben) = (visitor(), visitor());
    for (who, target, expected) in [
        (&ada, "/", "1"),
        (&ada, "/", "2"),
        (&ben, "/", "1"),
        (&ada, "/?leave", "3"),
        (&ben, "/", "2"),
        (&ada, "/", "1"),
    ] {
        let reply = who.get(url(&server, target)).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), expected);
    }
    let files = fs::read_dir(package.data("")).unwrap().count();
    assert_eq!(files, 2, "one file for each of the two sessions that are left");
}
