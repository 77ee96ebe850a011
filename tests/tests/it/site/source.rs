//! No spelling of a script's path, and no header, shows its source. Learnt from others' CVEs.

use std::collections::BTreeSet;
use std::fs;

use http::{Method, StatusCode};
use tower_wcgi::WcgiService;
use wcgi_tests::{Server, ask, get};

use super::{asking, files, site, summary, write};
use crate::wire;

const SOURCE: &str = "<?php $secret = 'sesame';";

fn secret() -> tempfile::TempDir {
    let dir = files(&[("style.css", "css"), ("upload.jpg", "<?php echo 'evil';"), ("index.html", "index")]);
    for name in
        ["secret.php", "sub/secret.php", "SECRET.PHP", "secret.php.bak", "secret.php~", "secret.php.gz", "#secret.php#"]
    {
        write(dir.path(), name, SOURCE);
    }
    dir
}

fn services(dir: &tempfile::TempDir) -> [WcgiService; 2] {
    [
        site(dir.path(), |site| site).build().unwrap(),
        site(dir.path(), |site| site.fallback("/sub/secret.php")).build().unwrap(),
    ]
}

#[tokio::test]
async fn every_spelling_runs_it_or_names_nothing() {
    let dir = secret();
    let [service, _] = services(&dir);
    let server = Server::start(service).await;
    for (path, expected) in [
        ("/secret.php", "/secret.php + \"\""),
        ("/secret%2ephp", "/secret.php + \"\""),
        ("/%73ecret.ph%70", "/secret.php + \"\""),
        ("//secret.php", "/secret.php + \"\""),
        ("/./secret.php", "/secret.php + \"\""),
        ("/sub/../secret.php", "/secret.php + \"\""),
        ("/gone/../secret.php", "/secret.php + \"\""),
        ("/secret.php/.", "/secret.php + \"/\""),
        ("/secret.php/", "/secret.php + \"/\""),
        ("/secret.php%2f", "/secret.php + \"/\""),
        ("/secret.php/style.css", "/secret.php + \"/style.css\""),
        ("/secret.php?.css", "/secret.php + \"\""),
        ("/secret.php%3f.css", "404 Not Found"),
        ("/secret.php%23.css", "404 Not Found"),
        ("/secret.php%20", "404 Not Found"),
        ("/secret.php.", "404 Not Found"),
        ("/secret.php%2e%20", "404 Not Found"),
        ("/secret.php::$DATA", "404 Not Found"),
        ("/secret.php:", "404 Not Found"),
        ("/secret.php%5c", "404 Not Found"),
        ("/sub%5csecret.php", "404 Not Found"),
        ("/secret.php%0a", "404 Not Found"),
        ("/secret.php%0d", "404 Not Found"),
        ("/secret.php%c0%80", "404 Not Found"),
        ("/secret%252ephp", "404 Not Found"),
        ("/secret.php%2500.css", "404 Not Found"),
        ("/SECRET.PHP", "404 Not Found"),
        ("/Secret.Php", "404 Not Found"),
        ("/secret.PHP", "404 Not Found"),
        ("/secret.php.bak", "404 Not Found"),
        ("/secret.php~", "404 Not Found"),
        ("/secret.php.gz", "404 Not Found"),
        ("/%23secret.php%23", "404 Not Found"),
        ("/secret.php%00", "400 Bad Request"),
        ("/secret.php%00.css", "400 Bad Request"),
        ("/secret.css%00.php", "400 Bad Request"),
        ("/..%5csecret.php", "400 Bad Request"),
        ("/secret.php%", "400 Bad Request"),
    ] {
        let answer = wire::get(&server, path).await;
        let ran = answer.variable("SCRIPT_NAME").zip(answer.variable("PATH_INFO"));
        let summary = ran.map_or(format!("{} {}", answer.status.as_u16(), answer.text()), |(name, info)| {
            format!("{name} + {info:?}")
        });
        assert_eq!(summary, expected, "{path}");
    }
}

/// What makes a static file come in part, compressed or not at all does nothing of that to a script.
#[tokio::test]
async fn no_header_makes_a_file_of_a_script() {
    let dir = secret();
    let always = "Fri, 31 Dec 9999 23:59:59 GMT";
    for service in services(&dir) {
        for path in ["/secret.php", "/secret.php/x", "/sub/secret.php"] {
            for fields in [
                &[("range", "bytes=0-10")][..],
                &[("if-modified-since", always)],
                &[("if-none-match", "*")],
                &[("accept-encoding", "gzip")],
                &[("x-original-url", "/style.css"), ("x-rewrite-url", "/style.css")],
                &[("x-forwarded-prefix", "/other"), ("x-accel-redirect", "/secret.php")],
                &[("translate", "f")],
            ] {
                let reply = ask(&service, asking(Method::GET, path, fields)).await;
                assert_eq!(
                    (reply.status, reply.variable("SCRIPT_NAME").is_some()),
                    (StatusCode::OK, true),
                    "{fields:?}"
                );
                assert!(!reply.text().contains("sesame") && reply.header("content-encoding").is_empty());
            }
        }
        let fields = [("x-original-url", "/secret.php"), ("x-rewrite-url", "/secret.php")];
        assert_eq!(ask(&service, asking(Method::GET, "/style.css", &fields)).await.text(), "css");
    }
}

/// nginx's `cgi.fix_pathinfo` trap: an upload never runs, whatever follows its name.
#[tokio::test]
async fn an_upload_does_not_run() {
    let dir = secret();
    for (service, expected) in services(&dir).iter().zip(["404 Not Found", "/sub/secret.php + \"\""]) {
        for path in
            ["/upload.jpg/x.php", "/upload.jpg/.php", "/upload.jpg%2fx.php", "/upload.jpg%0a.php", "/upload.jpg%20.php"]
        {
            let got = summary(&get(service, path).await);
            let hidden = path.contains("/.php");
            assert_eq!(got, if hidden { "404 Not Found" } else { expected }, "{path}");
        }
        assert_eq!(get(service, "/upload.jpg%00.php").await.status, StatusCode::BAD_REQUEST);
        assert_eq!(get(service, "/upload.jpg").await.header("content-type"), "image/jpeg");
    }
}

/// Lower-casing `İ` makes it longer: CVE-2026-24895 and CVE-2026-45062 took the offset for the other text's.
#[tokio::test]
async fn cve_2026_24895_unicode_makes_no_script_of_a_text() {
    let dir = files(&[("İ.php.txt.php", SOURCE), ("İİİİ.php.txt", "text"), ("İ.php", SOURCE)]);
    let service = site(dir.path(), |site| site).build().unwrap();
    assert_eq!(summary(&get(&service, "/%C4%B0.php.txt.php").await), "/İ.php.txt.php + \"\"");
    assert_eq!(summary(&get(&service, "/%C4%B0.php/x.php").await), "/İ.php + \"/x.php\"");
    assert_eq!(summary(&get(&service, "/%C4%B0%C4%B0%C4%B0%C4%B0.php.txt").await), "404 Not Found");
    assert_eq!(summary(&get(&service, "/i%CC%87.php").await), "404 Not Found");
}

/// Ten thousand odd spellings: the source is in no answer, and what runs is what is there.
#[tokio::test]
async fn random_spellings_never_show_the_source() {
    let dir = secret();
    let services = services(&dir);
    let parts = [
        "/",
        "//",
        "/./",
        "/../",
        "%2f",
        "%5c",
        "\\",
        ".",
        "..",
        "%2e",
        "secret",
        "SECRET",
        ".php",
        ".PHP",
        "%2ephp",
        ".ph%70",
        ".bak",
        "~",
        ".gz",
        "%20",
        "%00",
        "%0a",
        "::$DATA",
        "sub",
        "style.css",
        "upload.jpg",
        "%",
        "%25",
        "%2570hp",
        ";a=b",
        "?",
        "%23",
        "index",
        ".html",
        "%c0%ae",
        "ü",
    ];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: usize| {
        // xorshift64: the same spellings in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % bound as u64).unwrap()
    };
    let mut ran = BTreeSet::new();
    for _ in 0..10_000 {
        let path: String = (0..=next(6)).map(|_| parts[next(parts.len())]).collect();
        let path = format!(
            "/{}secret.php{}",
            if next(2) == 0 { "" } else { &path },
            if next(2) == 0 { "" } else { parts[next(parts.len())] }
        );
        let Ok(uri) = path.parse::<http::Uri>() else { continue };
        let mut request = asking(Method::GET, "/", &[]);
        *request.uri_mut() = uri;
        let reply = ask(&services[next(2)], request).await;
        assert!(!reply.text().contains("sesame"), "{path}");
        assert!(matches!(reply.status.as_u16(), 200 | 301 | 400 | 404), "{path}: {reply:?}");
        ran.extend(reply.variable("SCRIPT_FILENAME"));
    }
    assert_eq!(ran, BTreeSet::from(["/app/secret.php".to_owned(), "/app/sub/secret.php".to_owned()]));
}

/// Case-insensitive file systems find `secret.php` under any case; here that name must be denied by itself.
#[tokio::test]
async fn a_name_in_another_case_is_no_script_and_no_file() {
    let dir = files(&[("A.PHP", SOURCE), ("b.Php", SOURCE)]);
    let service = site(dir.path(), |site| site).build().unwrap();
    for path in ["/A.PHP", "/b.Php", "/A.PHP/x", "/b.Php/"] {
        assert_eq!(summary(&get(&service, path).await), "404 Not Found", "{path}");
    }
    fs::rename(dir.path().join("A.PHP"), dir.path().join("A.php")).unwrap();
    assert_eq!(summary(&get(&service, "/A.php").await), "/A.php + \"\"");
}
