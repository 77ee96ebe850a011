//! What is wrong with a configuration, said in one line; and `--check`.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use super::configured;
use crate::process::{text, wcgi};

/// `wcgi serve` of this configuration, which has to fail, with and without `--check`.
fn failure(dir: &Path) -> String {
    let [checked, served] = [&["serve", "--check"][..], &["serve"]].map(|arguments| {
        let output = wcgi(arguments).current_dir(dir).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty() && !said.contains("panic") && !said.contains("listening"), "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
        said
    });
    assert_eq!(checked, served);
    checked
}

#[test]
fn file_line_and_key_of_what_is_wrong() {
    let site = "[[site]]\npackage = GUEST(hello)\n";
    for (config, expected) in [
        (format!("{site}deadlin = 3\n"), "wcgi.toml:3: site.deadlin: unknown key"),
        (format!("[servers]\n{site}"), "wcgi.toml:1: servers: unknown key"),
        (format!("{site}name = 'a'\n{site}name = 'a'\npath = '/b'\n"), "wcgi.toml:6: site.name: "),
        (
            format!("{site}hosts = ['a']\n{site}hosts = [\n'b',\n'A.']\n"),
            "wcgi.toml:8: site.hosts: another site is at a/ ",
        ),
        (format!("{site}{site}"), "wcgi.toml:3: site."),
        (format!("{site}path = '/x'\n{site}path = '/x/'\nname = 'n'\n"), "wcgi.toml:6: site.path: another site"),
        ("[[site]]\n\npackage = 'nowhere'\n".to_owned(), "wcgi.toml:3: site.package: there is no nowhere"),
        ("[[site]]\npackage = 'empty'\n".to_owned(), "wcgi.toml:2: site.package: "),
        ("[[site]]\nname = 'x'\n".to_owned(), "wcgi.toml:1: site.package: missing"),
        (format!("{site}deadline = 'soon'\n"), "wcgi.toml:3: site.deadline: "),
        (format!("{site}max_body = '1 apple'\n"), "wcgi.toml:3: site.max_body: "),
        (format!("{site}mapdir = ['/db']\n"), "wcgi.toml:3: site.mapdir: "),
        (format!("{site}mapdir = ['/db:nowhere']\n"), "wcgi.toml:2: site.package: "),
        (format!("{site}hosts = ['a:80']\n"), "wcgi.toml:3: site.hosts: "),
        (format!("{site}path = 'x'\n"), "wcgi.toml:3: site.path: "),
        (format!("{site}env = {{ A = [] }}\n"), "wcgi.toml:3: site.env.A: "),
        (format!("[engine]\nmax_memory = '1MiB'\n{site}max_memory = '2MiB'\n"), "wcgi.toml:5: site.max_memory: "),
        (format!("[tls]\nlisten = [':0']\ncert = 'no'\nkey = 'no'\n{site}"), "wcgi.toml:3: tls.cert: cannot read no"),
        ("listen = 1\n[[site]\n".to_owned(), "wcgi.toml:2: not TOML"),
    ] {
        let dir = configured(&config);
        fs::create_dir(dir.path().join("empty")).unwrap();
        let said = failure(dir.path());
        assert!(said.starts_with(&format!("error: {expected}")), "{config}: {said}");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(failure(dir.path()).starts_with("error: cannot read wcgi.toml: "));
}

#[test]
fn a_busy_port_is_named_and_check_binds_nothing() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = busy.local_addr().unwrap();
    let dir =
        configured(&format!("[server]\nlisten = ['{addr}']\n[engine]\nCACHE\n[[site]]\npackage = GUEST(hello)\n"));
    let output = wcgi(&["serve", "wcgi.toml"]).current_dir(dir.path()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with(&format!("error: wcgi.toml:2: server.listen: cannot listen on {addr}: ")), "{said}");
    let path = dir.path().join("wcgi.toml");
    let output = wcgi(&["serve", "--check", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("{}: 1 site opens\n", path.display()));
    assert!(!text(&output.stderr).contains("listening"));
}
