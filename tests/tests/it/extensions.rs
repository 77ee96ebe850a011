//! What a Rust program tells a script beside the request: user, connection, variables.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use tower_wcgi::{RemoteUser, RequestEnv, RequestId, TrustedProxies};
use wcgi_tests::{ask, builder, request, service};

#[tokio::test]
async fn the_remote_user_comes_from_a_layer_and_never_from_a_header() {
    let service = service("env");
    let mut plain = request(Method::GET, "/", "");
    for (name, value) in [("authorization", "Bearer secret"), ("remote-user", "mallory"), ("auth-type", "Basic")] {
        plain.headers_mut().insert(name, value.parse().unwrap());
    }
    let reply = ask(&service, plain).await;
    assert_eq!((reply.variable("REMOTE_USER"), reply.variable("AUTH_TYPE")), (None, None));
    assert!(!reply.text().contains("secret"), "{}", reply.text());

    let mut known = request(Method::GET, "/", "");
    known.extensions_mut().insert(RemoteUser::new("Bearer", "alice"));
    let reply = ask(&service, known).await;
    assert_eq!(reply.variable("REMOTE_USER").as_deref(), Some("alice"));
    assert_eq!(reply.variable("AUTH_TYPE").as_deref(), Some("Bearer"));
}

#[tokio::test]
async fn variables_of_one_request_win_and_cannot_replace_what_the_request_is() {
    let service = builder("env").env("TENANT", "nobody").env("KEPT", "yes").build().unwrap();
    let mut one = request(Method::GET, "/?q", "");
    let env = RequestEnv::new().set("TENANT", "alice").set("EXTRA", "1").set("QUERY_STRING", "forged");
    one.extensions_mut().insert(env);
    let reply = ask(&service, one).await;
    for (name, value) in [("TENANT", "alice"), ("KEPT", "yes"), ("EXTRA", "1"), ("QUERY_STRING", "q")] {
        assert_eq!(reply.variable(name).as_deref(), Some(value), "{name}");
    }
    let next = ask(&service, request(Method::GET, "/", "")).await;
    assert_eq!((next.variable("TENANT").as_deref(), next.variable("EXTRA")), (Some("nobody"), None));

    let mut broken = request(Method::GET, "/", "");
    broken.extensions_mut().insert(RequestEnv::new().set("A=B", "x"));
    assert_eq!(ask(&service, broken).await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn the_client_behind_a_trusted_proxy_is_the_remote_address() {
    let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
    let service = builder("env").connection_info(move |parts| proxies.connection_info(parts)).build().unwrap();
    let from = |peer: &str| {
        let mut request = request(Method::GET, "/", "");
        request.extensions_mut().insert(peer.parse::<SocketAddr>().unwrap());
        request.headers_mut().insert("forwarded", "for=192.0.2.7;proto=https".parse().unwrap());
        request
    };
    let reply = ask(&service, from("10.1.2.3:4")).await;
    for (name, value) in
        [("REMOTE_ADDR", "192.0.2.7"), ("HTTPS", "on"), ("REQUEST_SCHEME", "https"), ("SERVER_PORT", "443")]
    {
        assert_eq!(reply.variable(name).as_deref(), Some(value), "{name}");
    }
    let reply = ask(&service, from("198.51.100.1:4")).await;
    assert_eq!(reply.variable("REMOTE_ADDR").as_deref(), Some("198.51.100.1"));
    assert_eq!((reply.variable("HTTPS"), reply.variable("REQUEST_SCHEME")), (None, None));
}

#[tokio::test]
async fn the_request_id_is_the_layers_or_the_clients_or_made_here() {
    let service = service("hello");
    let id = async |request| {
        let response = service.try_call(request).await.unwrap();
        response.extensions().get::<RequestId>().unwrap().as_str().to_owned()
    };
    let mut sent = request(Method::GET, "/", "");
    sent.headers_mut().insert("x-request-id", "abc-123".parse().unwrap());
    assert_eq!(id(sent).await, "abc-123");
    let mut both = request(Method::GET, "/", "");
    both.headers_mut().insert("x-request-id", "abc-123".parse().unwrap());
    both.extensions_mut().insert(RequestId::new("mine"));
    assert_eq!(id(both).await, "mine");
    for forged in ["a b", "", &"x".repeat(65), "line\u{9}break"] {
        let mut request = request(Method::GET, "/", "");
        request.headers_mut().insert("x-request-id", forged.parse().unwrap());
        assert_ne!(id(request).await, forged);
    }
}
