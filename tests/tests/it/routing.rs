//! Where a service is mounted, and what it says of that to the script.

use axum::Router;
use axum::routing::get as native;
use http::StatusCode;
use tower_wcgi::WcgiService;
use wcgi_tests::{Server, builder, get, service};

fn variables(response: &str) -> [String; 3] {
    ["SCRIPT_NAME", "PATH_INFO", "REQUEST_URI"].map(|name| {
        let value = response.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or("unset").to_owned()
    })
}

#[tokio::test]
async fn below_nest_service_the_prefix_is_script_name() {
    let env = service("env");
    let app = Router::new()
        .route("/health", native(|| async { "ok" }))
        .nest_service("/php", env.clone())
        .nest("/outer", Router::new().nest_service("/inner", env));
    let server = Server::start(app).await;
    let cases = [
        ("/php", "/php", "unset"),
        ("/php/", "/php", "/"),
        ("/php/a/b?x=1", "/php", "/a/b"),
        ("/php/a%20b", "/php", "/a b"),
        ("/outer/inner/x", "/outer/inner", "/x"),
    ];
    for (target, script_name, path_info) in cases {
        let [name, info, uri] = variables(&server.get(target).await);
        let info = if info.is_empty() { "unset".to_owned() } else { info };
        assert_eq!((name.as_str(), info.as_str(), uri.as_str()), (script_name, path_info, target));
    }
    assert!(server.get("/health").await.ends_with("ok"));
    assert!(server.get("/phpx").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn below_route_service_the_route_is_script_name() {
    let env = service("env");
    let app = Router::new().route_service("/one", env.clone()).route_service("/wiki/{*page}", env);
    let server = Server::start(app).await;
    for (target, script_name, path_info) in [("/one", "/one", ""), ("/wiki/a/b", "/wiki", "/a/b")] {
        let [name, info, uri] = variables(&server.get(target).await);
        assert_eq!((name.as_str(), info.as_str(), uri.as_str()), (script_name, path_info, target));
    }
}

#[tokio::test]
async fn plain_hyper_serves_it_at_the_root() {
    let server = Server::start(service("env")).await;
    let response = server.get("/a/b?q").await;
    assert_eq!(variables(&response), ["", "/a/b", "/a/b?q"]);
    assert!(response.contains("\nREMOTE_ADDR=127.0.0.1\n"), "{response}");
}

#[tokio::test]
async fn below_an_explicit_mount_everything_else_is_404() {
    let env = builder("env").mount("/x").build().unwrap();
    assert_eq!(variables(&get(&env, "/x/y").await.text()), ["/x", "/y", "/x/y"]);
    assert_eq!(variables(&get(&env, "/x").await.text()), ["/x", "", "/x"]);
    for target in ["/", "/xyz", "/y"] {
        assert_eq!(get(&env, target).await.status, StatusCode::NOT_FOUND, "{target}");
    }
    assert_eq!(get(&env, "/x/../y").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_local_redirect_is_answered_by_the_same_service() {
    let raw = service("raw");
    let reply = get(&raw, "/start?Location:%20/other?Content-Type:%2520text/plain%250A%250Athere%0A%0A").await;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "there"));
    let native = get(&builder("raw").mount("/x").build().unwrap(), "/x?Location:%20/native%0A%0A").await;
    assert_eq!(native.status, StatusCode::BAD_GATEWAY, "never outside the mount");
    let client = get(&raw, "/?Location:%20https://example.com/%0A%0A").await;
    assert_eq!((client.status, client.header("location")), (StatusCode::FOUND, "https://example.com/"));
}

#[test]
fn a_service_is_clone_send_sync_and_static() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<WcgiService>();
}
