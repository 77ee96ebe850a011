//! Clients as they are, in C: libpq with a real `PostgreSQL`, and libcurl with a server for HTTPS whose authority is the test's own.

use axum::Router;
use axum::routing::{get as on_get, post as on_post};
use tower_wcgi::{Access, NetRule, WcgiBuilder};
use wcgi_tests::servers::{Authority, Https, PASSWORD, Postgres};
use wcgi_tests::{builder, get, post};

/// A service of the guest that believes `bundle` and is granted `rule`.
fn client(name: &str, rule: &str, bundle: &tempfile::TempDir) -> WcgiBuilder {
    builder(name).net(rule.parse::<NetRule>().unwrap()).map_dir("/ca", bundle.path(), Access::ReadOnly)
}

#[tokio::test]
async fn libpq_as_it_is_talks_to_postgresql() {
    let authority = Authority::new();
    let postgres = Postgres::start(&authority).await;
    let bundle = authority.bundle();
    let target = format!("127.0.0.1:{}", postgres.port);
    let service = client("postgres", &format!("db:5432={target}"), &bundle).build().unwrap();
    let ask = |tls: &str, say: &str| {
        let conn = format!("host=db user=wcgi dbname=postgres password='{PASSWORD}' {tls}");
        let (conn, say) = (conn.replace(' ', "%20"), say.replace(' ', "%20"));
        let service = service.clone();
        async move { get(&service, &format!("/?conn={conn}&say={say}")).await.text() }
    };
    let said = ask("sslmode=disable", "hello world").await;
    assert_eq!(said, "hello world 11\n1000 rows of 1000\n");
    // Its name is in the certificate, and who has signed that is believed.
    let said = ask("sslmode=verify-full sslrootcert=/ca/ca.pem", "gr%C3%BC%C3%9Fe").await;
    assert_eq!(said, "hello world 11\ngrüße 5\n1000 rows of 1000, by TLS\n");
    // Many at the same time.
    let more = futures_util::future::join_all((0..4).map(|_| ask("sslmode=require", "more"))).await;
    assert_eq!(more.iter().map(|said| said.lines().count()).max(), Some(7), "{more:?}");

    let stranger = Authority::new().bundle();
    let service = client("postgres", &format!("db:5432={target}"), &stranger).build().unwrap();
    let conn = "host=db%20user=wcgi%20sslmode=verify-full%20sslrootcert=/ca/ca.pem";
    let said = get(&service, &format!("/?conn={conn}&say=x")).await.text();
    assert!(said.contains("certificate verify failed"), "{said}");
}

#[tokio::test]
async fn libcurl_as_it_is_asks_over_tls() {
    let authority = Authority::new();
    let large: String = "0123456789".repeat(100_000);
    let router = Router::new()
        .route("/hello", on_get(|| async { "hello\n" }))
        .route("/moved", on_get(|| async { axum::response::Redirect::to("/hello") }))
        .route("/large", on_get(move || async { large }))
        .route("/backwards", on_post(|body: String| async move { body.chars().rev().collect::<String>() }));
    let router = router.layer(tower_http::compression::CompressionLayer::new());
    let server = Https::start(&authority, "api.example", router).await;
    let rule = format!("api.example:443={}", server.addr);
    let bundle = authority.bundle();
    let service = client("curl", &rule, &bundle).build().unwrap();
    let url = |path: &str| format!("/?ca=/ca/ca.pem&url=https://api.example{path}");

    assert_eq!(get(&service, &url("/hello")).await.text(), "hello\nstatus 200, 6 bytes\n");
    assert_eq!(get(&service, &url("/moved")).await.text(), "hello\nstatus 200, 6 bytes\n");
    assert_eq!(get(&service, &url("/none")).await.text(), "status 404, 0 bytes\n");
    let said = post(&service, &url("/backwards"), "drawer").await.text();
    assert_eq!(said, "rewardstatus 200, 6 bytes\n");
    // Compressed, and ten at the same time.
    let said = get(&service, &format!("{}&n=10&quiet=1", url("/large"))).await.text();
    assert_eq!(said, "status 200, 1000000 bytes\n".repeat(10));

    // Nobody vouches for it, or it is another.
    let stranger = Authority::new().bundle();
    let doubting = client("curl", &rule, &stranger).build().unwrap();
    let failed = "failed: SSL peer certificate or SSH remote key was not OK\n";
    assert_eq!(get(&doubting, &url("/hello")).await.text(), failed);
    let other = client("curl", &format!("other.example:443={}", server.addr), &bundle).build().unwrap();
    assert_eq!(get(&other, "/?ca=/ca/ca.pem&url=https://other.example/hello").await.text(), failed);
    // Without a bundle of its own it has none to believe.
    let said = get(&service, "/?url=https://api.example/hello").await.text();
    assert_eq!(said, "failed: Problem with the SSL CA cert (path? access rights?)\n");
}
