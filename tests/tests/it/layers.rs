//! Layers of tower, tower-http and `tower_governor`: right around the service, around a router that has it, and nested in one.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::GlobalKeyExtractor;
use tower_http::add_extension::AddExtensionLayer;
use tower_http::auth::AsyncRequireAuthorizationLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::decompression::{DecompressionLayer, RequestDecompressionLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::metrics::InFlightRequestsLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::on_early_drop::OnEarlyDropLayer;
use tower_http::propagate_header::PropagateHeaderLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use tower_http::set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer};
use tower_http::set_status::SetStatusLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_wcgi::{Engine, ResponseBody, WcgiService};
use wcgi_tests::{engine, guest};

/// Asks the service through a layer in each place, and expects the greeting.
macro_rules! answers_through {
    ($($name:ident: $layer:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let alone = ServiceBuilder::new().layer($layer).service(script("hello"));
            greets(alone.oneshot(asking("/")).await.expect("an answer")).await;
            let around = Router::new().fallback_service(script("hello")).layer($layer);
            greets(around.oneshot(asking("/")).await.expect("an answer")).await;
            let nested = ServiceBuilder::new().layer($layer).service(script("hello"));
            let nested = Router::new().nest_service("/x", nested);
            greets(nested.oneshot(asking("/x/")).await.expect("an answer")).await;
        }
    )*};
}

/// So many requests, and then one an hour. The layer's own answers are bodies of axum or tonic, so the others have to be.
macro_rules! governor {
    ($burst:expr) => {{
        let mut quota = GovernorConfigBuilder::default().key_extractor(GlobalKeyExtractor);
        let quota = quota.per_second(3600).burst_size($burst).finish().expect("a valid configuration");
        ServiceBuilder::new().layer(GovernorLayer::new(quota)).layer(MapResponseBodyLayer::new(Body::new))
    }};
}

answers_through! {
    add_extension: AddExtensionLayer::new(7_u8);
    async_require_authorization: AsyncRequireAuthorizationLayer::new(allow);
    catch_panic: CatchPanicLayer::new();
    compression: CompressionLayer::new();
    cors: CorsLayer::permissive();
    decompression: DecompressionLayer::new();
    governor: governor!(9);
    in_flight_requests: InFlightRequestsLayer::pair().0;
    map_request_body: MapRequestBodyLayer::new(Body::new);
    map_response_body: MapResponseBodyLayer::new(Body::new);
    on_early_drop: OnEarlyDropLayer::builder();
    normalize_path: NormalizePathLayer::trim_trailing_slash();
    propagate_header: PropagateHeaderLayer::new(REQUEST_ID);
    propagate_request_id: PropagateRequestIdLayer::x_request_id();
    request_body_limit: RequestBodyLimitLayer::new(1 << 20);
    request_body_timeout: RequestBodyTimeoutLayer::new(PATIENCE);
    request_decompression: RequestDecompressionLayer::new();
    response_body_timeout: ResponseBodyTimeoutLayer::new(PATIENCE);
    set_request_header: SetRequestHeaderLayer::overriding(REQUEST_ID, HeaderValue::from_static("x"));
    set_request_id: SetRequestIdLayer::x_request_id(MakeRequestUuid);
    set_response_header: SetResponseHeaderLayer::overriding(header::SERVER, HeaderValue::from_static("x"));
    set_sensitive_headers: SetSensitiveHeadersLayer::new([header::AUTHORIZATION]);
    set_status: SetStatusLayer::new(StatusCode::OK);
    timeout: TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, PATIENCE);
    tower_concurrency_limit: tower::limit::ConcurrencyLimitLayer::new(4);
    tower_map_request: tower::util::MapRequestLayer::new(|request: Request<Body>| request);
    tower_map_response: tower::util::MapResponseLayer::new(|response| response);
    trace: TraceLayer::new_for_http();
    validate_accept: ValidateRequestHeaderLayer::accept("text/plain");
    validate_basic: basic();
}

/// Those whose error has to become an answer for axum.
macro_rules! answers_through_fallible {
    ($($name:ident: $layer:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let alone = ServiceBuilder::new().layer($layer).service(script("hello"));
            greets(alone.oneshot(asking("/")).await.expect("an answer")).await;
            let around = ServiceBuilder::new().layer(HandleErrorLayer::new(failed)).layer($layer);
            let around = Router::new().fallback_service(script("hello")).layer(around);
            greets(around.oneshot(asking("/")).await.expect("an answer")).await;
        }
    )*};
}

answers_through_fallible! {
    tower_buffer: tower::buffer::BufferLayer::new(4);
    tower_filter: tower::filter::FilterLayer::new(|request: Request<Body>| Ok::<_, BoxError>(request));
    tower_load_shed: tower::load_shed::LoadShedLayer::new();
    tower_rate_limit: ServiceBuilder::new().buffer(4).rate_limit(4, PATIENCE);
    tower_timeout: tower::timeout::TimeoutLayer::new(PATIENCE);
}

#[tokio::test]
async fn an_authentication_layer_answers_for_the_service() {
    let service = ServiceBuilder::new().layer(basic()).service(script("hello"));
    let mut stranger = asking("/");
    stranger.headers_mut().remove(header::AUTHORIZATION);
    let response = service.oneshot(stranger).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn a_cors_layer_answers_a_preflight() {
    let service = ServiceBuilder::new().layer(CorsLayer::permissive()).service(script("hello"));
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .header(header::ORIGIN, "https://a.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let response = service.oneshot(preflight.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert!(text(response).await.is_empty());
}

#[tokio::test]
async fn a_limiting_layer_answers_429() {
    let service = ServiceBuilder::new().layer(governor!(1)).service(script("hello"));
    greets(service.clone().oneshot(asking("/")).await.unwrap()).await;
    let response = service.oneshot(asking("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_timeout_layer_ends_the_script() {
    let layer = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(50));
    let response = ServiceBuilder::new().layer(layer).service(script("spin")).oneshot(asking("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn compressed_bodies_are_whole() {
    let mut request = asking("/");
    request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let layers =
        ServiceBuilder::new().layer(DecompressionLayer::new()).layer(CompressionLayer::new().compress_when(always));
    greets(layers.service(script("hello")).oneshot(request).await.unwrap()).await;
}

fn always(_: StatusCode, _: http::Version, _: &http::HeaderMap, _: &http::Extensions) -> bool {
    true
}

/// The limit of a layer is found out while the body is read, by its length or without.
#[tokio::test]
async fn a_body_over_the_limit_of_a_layer_is_413() {
    for limit in [9, 10] {
        for with_length in [true, false] {
            let pieces = [&b"12345"[..], b"67890"]
                .map(|piece| Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(piece))));
            let body = Body::new(StreamBody::new(futures_util::stream::iter(pieces)));
            let mut request = Request::builder().method(Method::POST).header(header::HOST, "localhost");
            if with_length {
                request = request.header(header::CONTENT_LENGTH, 10);
            }
            let service = ServiceBuilder::new().layer(RequestBodyLimitLayer::new(limit)).service(script("count"));
            let response = service.oneshot(request.body(body).unwrap()).await.unwrap();
            let status = response.status().as_u16();
            assert_eq!(status, if limit < 10 { 413 } else { 200 }, "{limit} {with_length}");
            let said = text(response).await;
            assert_eq!(said.contains("bytes=10"), limit == 10, "{said}");
        }
    }
}

#[tokio::test]
async fn a_layer_can_answer_with_a_body_of_its_own() {
    let bodies = [ResponseBody::from("text"), String::from("text").into(), Bytes::from_static(b"text").into()];
    for body in bodies {
        assert_eq!(text(Response::new(body)).await, "text");
    }
    assert!(text(Response::new(ResponseBody::default())).await.is_empty());
}

/// A service of one guest, on an engine that all tests share.
fn script(name: &str) -> WcgiService {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine().build().expect("an engine"));
    WcgiService::builder().package(guest(name)).engine(ENGINE.clone()).build().expect("a service")
}

fn asking(target: &str) -> Request<Body> {
    let request = Request::builder().uri(target).header(header::HOST, "localhost").header(header::ACCEPT, "text/plain");
    request.header(header::AUTHORIZATION, "Basic dTpw").body(Body::empty()).expect("a request")
}

async fn greets<B>(response: Response<B>)
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "Hello, World!\n");
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let whole = Body::new(response.into_body()).collect().await.expect("a whole body");
    String::from_utf8_lossy(&whole.to_bytes()).into_owned()
}

async fn allow<B>(request: Request<Body>) -> Result<Request<Body>, Response<B>> {
    Ok(request)
}

async fn failed(_: BoxError) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

#[expect(deprecated, reason = "there are programs with it")]
fn basic<B: Default>() -> ValidateRequestHeaderLayer<tower_http::auth::require_authorization::Basic<B>> {
    ValidateRequestHeaderLayer::basic("u", "p")
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PATIENCE: Duration = Duration::from_secs(60);
