//! What PHP has to say about its settings when it starts. Nothing may come before the head of an answer, so it goes to the log.

use http::Method;
use tower_wcgi::RequestId;
use wcgi_tests::{ask, request};

use super::Package;
use crate::log;

#[tokio::test]
async fn a_page_is_answered_and_what_is_wrong_with_php_ini_is_in_the_log() {
    log::capture();
    for (number, (ini, said)) in [
        ("extension = nosuch", "nosuch"),
        ("date.timezone = Mars/Phobos", "Mars/Phobos"),
        ("memory_limit = banana", "banana"),
        ("extension = nosuch\ndisplay_startup_errors = On\ndisplay_errors = On\nhtml_errors = On", "nosuch"),
    ]
    .into_iter()
    .enumerate()
    {
        let package = Package::new("<?php echo 'page';", ini);
        let service = package.builder().build().unwrap();
        let id = format!("php-ini-{number}");
        let mut request = request(Method::GET, "/", "");
        request.extensions_mut().insert(RequestId::new(id.as_str()));
        let reply = ask(&service, request).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "page"), "{ini}");
        log::wait_for(&id, |line| line.contains(said)).await;
    }
}

/// The package's own options of php-cgi still count.
#[tokio::test]
async fn arguments_of_the_package_come_after() {
    let package = Package::new("<?php echo ini_get('precision'), ' ', ini_get('display_startup_errors');", "");
    let manifest = package.directory.path().join("wasmer.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = text.replace("env = [\"DOC", "main-args = [\"-d\", \"precision=5\"]\nenv = [\"DOC");
    std::fs::write(&manifest, text).unwrap();
    let reply = wcgi_tests::get(&package.builder().build().unwrap(), "/").await;
    assert_eq!(reply.text(), "5 0");
}
