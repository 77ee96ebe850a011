//! Passwords, helpers and TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use wcgi_registry::{ErrorKind, Options};

use crate::server::Server;
use crate::{Machine, blog, directory, read, reference};

#[test]
fn a_password_of_dockers_configuration_opens_the_registry() {
    let storage = tempfile::tempdir().unwrap();
    let file = directory(&[("htpasswd", HTPASSWD.as_bytes())]);
    let auth = format!("auth:\n  htpasswd:\n    realm: x\n    path: {}", file.path().join("htpasswd").display());
    let server = Server::with(storage.path(), "", &auth);
    let name = reference(&server.name("me/blog:1"));
    let package = blog("x");
    let error = Machine::new().registry().push(package.path(), &name, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.hint().unwrap().contains("login"), "{error}");

    let with = |auth: &str| {
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, server.address);
        directory(&[("config.json", config.as_bytes())])
    };
    // me:secret, me:wrong
    let [right, wrong] = ["bWU6c2VjcmV0", "bWU6d3Jvbmc="].map(with);
    let error = Machine::new().with(Options::new().docker_config(wrong.path())).push(package.path(), &name, None);
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.hint().unwrap().contains("password"), "{error}");

    let options = Options::new().docker_config(right.path());
    Machine::new().with(options.clone()).push(package.path(), &name, None).unwrap();
    let machine = Machine::new();
    assert_eq!(read(&machine.with(options).pull(&name).unwrap().path, "app/index.php"), "x");
}

#[test]
fn tls_needs_a_certificate_that_is_trusted() {
    let storage = tempfile::tempdir().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let (cert, key) = (cert.pem(), signing_key.serialize_pem());
    let files = directory(&[("cert.pem", cert.as_bytes()), ("key.pem", key.as_bytes())]);
    let at = |name: &str| files.path().join(name).display().to_string();
    let tls = format!("  tls:\n    certificate: {}\n    key: {}", at("cert.pem"), at("key.pem"));
    let server = Server::with(storage.path(), &tls, "");
    let name = server.name("me/blog:1");
    let error = Machine::new().registry().push(blog("x").path(), &reference(&name), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.hint().unwrap().contains("SSL_CERT_FILE"), "{error}");

    // What is trusted is said by the environment, which is a process's.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "access::pushes_and_pulls", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", at("cert.pem"))
        .env("WCGI_TEST_NAME", name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "a process of another test"]
fn pushes_and_pulls() {
    let name = reference(&std::env::var("WCGI_TEST_NAME").unwrap());
    Machine::new().registry().push(blog("x").path(), &name, None).unwrap();
    let (_machine, pulled) = Machine::with_package(&name);
    assert_eq!(read(&pulled.path, "app/index.php"), "x");
}

#[test]
fn a_helper_is_asked_for_the_password() {
    let storage = tempfile::tempdir().unwrap();
    let file = directory(&[("htpasswd", HTPASSWD.as_bytes())]);
    let auth = format!("auth:\n  htpasswd:\n    realm: x\n    path: {}", file.path().join("htpasswd").display());
    let server = Server::with(storage.path(), "", &auth);
    let helper = "#!/bin/sh\nread server\nprintf '{\"ServerURL\":\"%s\",\"Username\":\"me\",\"Secret\":\"secret\"}' \"$server\"\n";
    let config = r#"{"credsStore":"wcgi-test"}"#;
    let files = directory(&[("docker-credential-wcgi-test", helper.as_bytes()), ("config.json", config.as_bytes())]);
    let program = files.path().join("docker-credential-wcgi-test");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", files.path().display(), std::env::var("PATH").unwrap());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "access::pushes_with_a_password", "--ignored", "--nocapture"])
        .env("PATH", path)
        .env("DOCKER_CONFIG", files.path())
        .env("WCGI_TEST_NAME", server.name("me/blog:1"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "a process of another test"]
fn pushes_with_a_password() {
    let name = reference(&std::env::var("WCGI_TEST_NAME").unwrap());
    let machine = Machine::new();
    let registry = machine.with(Options::from_environment().unwrap());
    registry.push(blog("x").path(), &name, None).unwrap();
}

/// `me` with the password `secret`.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
