//! The guest book of every language (`examples/guestbook`): all are asked the same questions, and answer alike.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value as Json, json};
use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{Reply, ask, engine, example, request, root};

/// Declares one test per language, and the list of them.
macro_rules! languages {
    ($($test:ident: $language:literal,)*) => {
        const LANGUAGES: &[&str] = &[$($language),*];

        $(
            #[tokio::test]
            async fn $test() {
                answers_as_the_others_do($language).await;
            }
        )*
    };
}

languages! {
    assemblyscript: "assemblyscript",
    c: "c",
    cpp: "cpp",
    go: "go",
    javascript: "javascript",
    lua: "lua",
    php: "php",
    python: "python",
    python_with_flask: "python-flask",
    ruby: "ruby",
    rust: "rust",
    rust_with_axum: "rust-axum",
}

#[test]
fn every_guest_book_is_tested() {
    let there: BTreeSet<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, LANGUAGES.iter().map(|&language| language.to_owned()).collect());
}

fn directory() -> std::path::PathBuf {
    root().join("examples/guestbook")
}

/// The contract of `examples/guestbook/README.md`, at the root and below a prefix.
async fn answers_as_the_others_do(language: &str) {
    // What `cargo xtask guests --allow-missing` could not fetch.
    let missing = fs::read_to_string(root().join("target/guests/missing-languages")).unwrap_or_default();
    if missing.lines().any(|name| name == language) {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let book = Book::open(language, "", data.path());
    book.is_empty().await;
    book.takes_entries().await;
    let data = tempfile::tempdir().unwrap();
    let book = Book::open(language, "/book", data.path());
    book.is_empty().await;
    book.takes_entries().await;
    book.takes_no_others().await;
    book.knows_its_paths_and_methods().await;
    book.keeps_all_of_many_at_once().await;
    let nowhere = tempfile::tempdir().unwrap();
    let full = Book { service: service(language, "", nowhere.path(), Access::ReadOnly), base: "" };
    let reply = full.post("name=Ada&message=Hello", FORM).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", reply.text());
    assert!(!reply.text().contains("Ada"), "{}", reply.text());
}

fn service(language: &str, base: &'static str, data: &Path, access: Access) -> WcgiService {
    // Python and Ruby take a while the first time, and more when all are tested at once.
    let builder = example(&format!("guestbook/{language}"))
        .map_dir("/data", data, access)
        .deadline(Duration::from_secs(100))
        .engine(engine().build().unwrap());
    builder
        .mount(if base.is_empty() { "/" } else { base })
        .build()
        .unwrap_or_else(|error| panic!("{language}: {error:?}; `cargo xtask guests` builds it"))
}

/// A guest book that is served below `base`.
struct Book {
    service: WcgiService,
    base: &'static str,
}

impl Book {
    fn open(language: &str, base: &'static str, data: &Path) -> Self {
        Self { service: service(language, base, data, Access::ReadWrite), base }
    }

    async fn ask(&self, method: Method, path: &str, body: &str, headers: &[(header::HeaderName, &str)]) -> Reply {
        let mut request: Request<Full<_>> = request(method, &format!("{}{path}", self.base), body.to_owned());
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        ask(&self.service, request).await
    }

    async fn html(&self, path: &str) -> Reply {
        let reply = self.ask(Method::GET, path, "", &[]).await;
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{path}");
        reply
    }

    /// What a GET gives as JSON, and its status.
    async fn json(&self, path: &str) -> (StatusCode, Json) {
        let reply = self.ask(Method::GET, path, "", &[(header::ACCEPT, "application/json")]).await;
        assert_eq!(reply.header("content-type"), "application/json", "{path}: {}", reply.text());
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.text())))
    }

    async fn entries(&self) -> Vec<Json> {
        let (status, list) = self.json("/").await;
        assert_eq!(status, StatusCode::OK);
        list["entries"].as_array().unwrap().clone()
    }

    async fn post(&self, body: &str, content_type: &str) -> Reply {
        self.ask(Method::POST, "/", body, &[(header::CONTENT_TYPE, content_type)]).await
    }

    async fn is_empty(&self) {
        let page = self.html("/").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text().contains("<form") && !page.text().contains("<li"), "{}", page.text());
        assert!(page.header("vary").eq_ignore_ascii_case("accept"));
        assert_eq!(self.entries().await, [] as [Json; 0]);
        // Without the slash too; at the root there is no such URL.
        if !self.base.is_empty() {
            assert_eq!(self.html("").await.status, StatusCode::OK);
        }
    }

    async fn takes_entries(&self) {
        let reply = self.post(&form(" Ada ", "Hello <b>\"you\"</b> & 'me'\nline two "), FORM).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text());
        assert_eq!(reply.header("location"), format!("{}/", self.base));
        let cookie = reply.header("set-cookie");
        assert!(cookie.starts_with("name=Ada; "), "{cookie}");
        for attribute in [&format!("Path={}/", self.base), "HttpOnly", "SameSite=Lax"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{attribute} in {cookie}");
        }
        let first = json!({"id": 1, "name": "Ada", "message": "Hello <b>\"you\"</b> & 'me'\nline two"});
        assert_eq!(self.entries().await, std::slice::from_ref(&first));
        for path in ["/", "/entries/1"] {
            let page = self.html(path).await;
            let text = page.text();
            assert!(text.contains("<li id=\"entry-1\"><strong>Ada</strong>: Hello &lt;b&gt;"), "{text}");
            assert!(!text.contains("<b>") && !text.contains("</b> &"), "{text}");
        }

        let (name, message) = ("Zoë 🦀 \"q\"=&+%", "Grüße\t\\ 100% + 1 = ? \u{1}\u{2028} ende");
        let reply = self.post(&form(name, message), FORM).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text());
        let second = json!({"id": 2, "name": name, "message": message});
        assert_eq!(self.entries().await, [first, second.clone()]);
        assert_eq!(self.json("/entries/2").await, (StatusCode::OK, second));

        // The cookie as it came, among others, fills in the form.
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        let cookies = format!("a=b; {cookie}; xname=Eve");
        let page = self.ask(Method::GET, "/", "", &[(header::COOKIE, &cookies)]).await.text();
        let field = page.split('<').find(|tag| tag.starts_with("input") && tag.contains("name=\"name\"")).unwrap();
        let value = field.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(value.starts_with("Zoë 🦀 &") && value.ends_with("%") && !page.contains("Eve"), "{value} in {page}");
        let evil = self.ask(Method::GET, "/", "", &[(header::COOKIE, "name=%22%3E%3Cscript%3E")]).await;
        assert!(evil.status == StatusCode::OK && !evil.text().contains("<script"), "{}", evil.text());
        let with_charset = format!("{FORM}; charset=UTF-8");
        let long = self.post(&form(&"é".repeat(100), &"ö".repeat(1000)), &with_charset).await;
        assert_eq!(long.status, StatusCode::SEE_OTHER);
    }

    async fn takes_no_others(&self) {
        let before = self.entries().await;
        let long = [form(&"x".repeat(101), "m"), form("n", &"x".repeat(1001))];
        let bad = [
            "",
            "name=x",
            "message=x",
            "name=&message=x",
            "name=x&message=",
            "name=+%20%09&message=x",
            &long[0],
            &long[1],
        ];
        for body in bad {
            let reply = self.post(body, FORM).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}: {}", reply.text());
        }
        let reply = self.post("{\"name\":\"a\",\"message\":\"b\"}", "application/json").await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let reply = self.post(&format!("{}&rest={}", form("a", "b"), "x".repeat(16 << 10)), FORM).await;
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(self.entries().await, before);
    }

    async fn knows_its_paths_and_methods(&self) {
        for path in NOWHERE {
            let (status, error) = self.json(path).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(error["error"].is_string(), "{path}: {error}");
        }
        let page = self.html("/nowhere/%3Cscript%3E").await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert!(page.text().contains("<h1") && !page.text().contains("<script"), "{}", page.text());
        for (method, path, allowed) in
            [(Method::PUT, "/", "GET, HEAD, POST"), (Method::DELETE, "/entries/1", "GET, HEAD")]
        {
            let reply = self.ask(method, path, "", &[]).await;
            assert_eq!((reply.status, reply.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, allowed), "{path}");
        }
        let reply = self.ask(Method::HEAD, "/?query=ignored", "", &[]).await;
        assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
    }

    async fn keeps_all_of_many_at_once(&self) {
        let before = self.entries().await.len();
        let names: BTreeSet<_> = (0..MANY).map(|n| format!("visitor {n}")).collect();
        let message = "x".repeat(500);
        let posts = join_all(names.iter().map(async |name| self.post(&form(name, &message), FORM).await.status)).await;
        assert!(posts.iter().all(|&status| status == StatusCode::SEE_OTHER), "{posts:?}");
        let entries = self.entries().await;
        let ids: Vec<_> = entries.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (1..=(before + MANY) as u64).collect::<Vec<_>>());
        let kept = entries.iter().skip(before).map(|entry| entry["name"].as_str().unwrap().to_owned());
        assert_eq!(kept.collect::<BTreeSet<_>>(), names);
    }
}

fn form(name: &str, message: &str) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect()
    };
    format!("name={}&message={}", encode(name), encode(message))
}

const NOWHERE: [&str; 10] = [
    "/entries",
    "/entries/",
    "/entries/0",
    "/entries/-1",
    "/entries/999",
    "/entries/99999999999999999999",
    "/entries/x",
    "/entries/1x",
    "/entries/1/2",
    "/nowhere",
];
const MANY: usize = 12;
const FORM: &str = "application/x-www-form-urlencoded";
