//! What goes out: late headers, streaming, and the ways in which a page ends early. The fatal errors are those of the
//! stock php-cgi, which has no setjmp: where PHP would jump out of the page, it traps.

use std::time::Duration;

use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tower_wcgi::ErrorKind;
use wcgi_tests::{Server, get, read_until};

use super::{Package, url, visitor};

#[tokio::test]
async fn a_header_after_the_first_flush_comes_too_late() {
    let package = Package::new(
        r#"<?php
header('X-Early: 1');
echo "first\n";
flush();
header('X-Late: 1');
http_response_code(404);
echo headers_sent($file, $line) ? "sent at line $line of $file" : 'not sent';
"#,
        "display_errors = 0\n",
    );
    let server = package.serve().await;
    let reply = visitor().get(url(&server, "/")).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert!(reply.headers().contains_key("x-early"));
    assert!(!reply.headers().contains_key("x-late"));
    assert_eq!(reply.text().await.unwrap(), "first\nsent at line 3 of /app/index.php");
}

/// The page waits for a body that the client only sends once it has seen the page's first line.
#[tokio::test]
async fn without_output_buffering_each_line_is_on_the_wire_while_the_page_runs() {
    let package = Package::new(
        r#"<?php
echo "ready\n";
echo strtoupper(file_get_contents('php://input'));
"#,
        "output_buffering = 0\nimplicit_flush = 1\n",
    );
    let server = package.serve().await;
    let mut stream = server.connect().await;
    stream.write_all(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").await.unwrap();
    let seen = read_until(&mut stream, "ready\n").await;
    assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
    stream.write_all(b"hello").await.unwrap();
    read_until(&mut stream, "HELLO").await;
}

#[tokio::test]
async fn exit_in_the_middle_ends_the_page_well() {
    let package = Package::new(
        r#"<?php
register_shutdown_function(function () { echo ', shut down'; });
ob_start();
echo 'before';
try { exit(isset($_GET['status']) ? 3 : ', said at exit'); } finally { echo ', never'; }
echo ', after';
"#,
        "",
    );
    let service = package.builder().build().unwrap();
    for (target, expected) in [("/", "before, said at exit, shut down"), ("/?status", "before, shut down")] {
        let reply = get(&service, target).await;
        assert_eq!((reply.status, reply.text().as_str(), reply.failure), (StatusCode::OK, expected, None));
    }
}

#[tokio::test]
async fn an_uncaught_exception_is_phps_own_500() {
    let package = Package::new(
        r#"<?php
register_shutdown_function(function () { echo 'sorry'; });
if (isset($_GET['late'])) { echo 'first, '; flush(); }
throw new RuntimeException('secret');
"#,
        "display_errors = 0\nlog_errors = 1\n",
    );
    let server = package.serve().await;
    let early = visitor().get(url(&server, "/")).send().await.unwrap();
    assert_eq!(early.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(early.text().await.unwrap(), "sorry");
    let late = visitor().get(url(&server, "/?late")).send().await.unwrap();
    assert_eq!(late.status(), StatusCode::OK, "the head was gone already");
    assert_eq!(late.text().await.unwrap(), "first, sorry");
}

#[tokio::test]
async fn a_fatal_error_that_traps_is_502_or_a_cut_body() {
    // Ours does not trap there.
    if cfg!(own_php) {
        return;
    }
    let package = Package::new(
        r#"<?php
if (isset($_GET['late'])) { echo 'first'; flush(); }
if ($_GET['how'] === 'memory') str_repeat('.', 64 << 20);
trigger_error('secret', E_USER_ERROR);
"#,
        "display_errors = 0\nmemory_limit = 8M\n",
    );
    let service = package.builder().build().unwrap();
    for how in ["memory", "error"] {
        let early = get(&service, &format!("/?how={how}")).await;
        assert_eq!(early.status, StatusCode::BAD_GATEWAY, "{how}: {}", early.text());
        assert!(!early.text().contains("secret"), "{how}: {}", early.text());
        let late = get(&service, &format!("/?late&how={how}")).await;
        assert_eq!((late.status, late.text().as_str()), (StatusCode::OK, "first"), "{how}");
        assert_eq!(late.failure, Some(ErrorKind::Trap), "{how}: the client must see that it is not whole");
    }
}

/// WASI has no timer that could interrupt PHP, so its own limit is not kept; the deadline is, whatever the page asks for.
#[tokio::test]
async fn set_time_limit_does_not_outlast_the_deadline() {
    let package = Package::new(
        r#"<?php
set_time_limit((int) $_GET['seconds']);
if (isset($_GET['spin'])) for (;;);
echo ini_get('max_execution_time');
"#,
        "max_execution_time = 7\n",
    );
    let patient = package.serve().await;
    for (target, text) in [("/?seconds=2", "2"), ("/?seconds=0", "0")] {
        let reply = visitor().get(url(&patient, target)).send().await.unwrap();
        assert_eq!((reply.status(), reply.text().await.unwrap().as_str()), (StatusCode::OK, text), "{target}");
    }
    let strict = Server::start(package.builder().deadline(Duration::from_millis(200)).build().unwrap()).await;
    for target in ["/?seconds=0&spin", "/?seconds=3600&spin"] {
        let reply = visitor().get(url(&strict, target)).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::GATEWAY_TIMEOUT, "{target}");
    }
}

#[tokio::test]
async fn php_ini_is_the_one_the_manifest_mounts() {
    let page = "<?php echo json_encode([php_ini_loaded_file(), ini_get('memory_limit'), get_cfg_var('wcgi.own')]);";
    let package = Package::new(page, "memory_limit = 77M\nwcgi.own = \"yes\"\n");
    let server = package.serve().await;
    let reply = visitor().get(url(&server, "/")).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), r#"["\/etc\/php\/php.ini","77M","yes"]"#);
}
