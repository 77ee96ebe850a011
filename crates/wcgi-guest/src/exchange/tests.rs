//! Whole exchanges: variables and input in, the bytes on stdout and the exit status out.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream::iter;
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::*;

/// What was written, one piece for each flush.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Vec<Vec<u8>>>>, Rc<RefCell<Vec<u8>>>);

impl io::Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().push(self.1.take());
        Ok(())
    }
}

impl Wire {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().concat()).unwrap()
    }
}

fn variables(method: &str, path: &str, more: &[(&str, &str)]) -> MetaVariables {
    [("REQUEST_METHOD", method), ("PATH_INFO", path)].iter().chain(more).copied().collect()
}

fn call<F, B, E>(handler: F, variables: MetaVariables, input: &'static [u8]) -> (String, bool)
where
    F: AsyncFnOnce(Request<RequestBody>) -> Result<Response<B>, E>,
    E: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let wire = Wire::default();
    let status = run(handler, variables, input, wire.clone());
    // Two exit statuses cannot be compared, but what they print can.
    (wire.text(), format!("{status:?}") == format!("{:?}", ExitCode::SUCCESS))
}

fn answer_with<B: Body<Error: Into<Box<dyn Error + Send + Sync>>>>(response: Response<B>) -> (String, bool) {
    call(async |_| Ok::<_, Infallible>(response), variables("GET", "/", &[]), b"")
}

const REFUSED: &str = "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
    Internal Server Error\n";

#[test]
fn a_router_answers() {
    let ask = |method: &str, path: &str, input: &'static [u8]| {
        let mut router: Router =
            Router::new().route("/", get(|| async { "hello" })).route("/echo", post(|body: Bytes| async { body }));
        let length = input.len().to_string();
        let variables = variables(method, path, &[("CONTENT_LENGTH", &length), ("SCRIPT_NAME", "/mount")]);
        call(async move |request| tower_service::Service::call(&mut router, request).await, variables, input)
    };
    let hello = "Status: 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(ask("GET", "", b""), (format!("{hello}hello"), true));
    assert_eq!(ask("HEAD", "/", b""), (hello.to_owned(), true));
    let echo = "Status: 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 4\r\n\r\nbody";
    assert_eq!(ask("POST", "/echo", b"body"), (echo.to_owned(), true));
    assert!(ask("GET", "/none", b"").0.starts_with("Status: 404 Not Found\r\n"));
    assert!(ask("PUT", "/", b"").0.starts_with("Status: 405 Method Not Allowed\r\nallow: GET,HEAD\r\n"));
}

#[test]
fn each_frame_is_written_when_it_comes() {
    let wire = Wire::default();
    let seen = wire.clone();
    let mut left = 3;
    let frames = std::iter::from_fn(move || {
        assert_eq!(seen.0.borrow().len(), 4 - left, "all that came before is on the wire");
        left = left.checked_sub(1)?;
        Some(Ok::<_, Infallible>(Frame::data(Bytes::from(format!("{left};")))))
    });
    let body = StreamBody::new(iter(frames.fuse()));
    run(async |_| Ok::<_, Infallible>(Response::new(body)), variables("GET", "/", &[]), io::empty(), wire.clone());
    assert_eq!(*wire.0.borrow(), [&b"Status: 200 OK\r\n\r\n"[..], b"2;", b"1;", b"0;"]);
}

#[test]
fn the_head_says_what_cgi_can_say() {
    let mut response = Response::new(Full::<Bytes>::default());
    *response.status_mut() = StatusCode::from_u16(299).unwrap();
    for (name, value) in [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("connection", "x"), ("transfer-encoding", "y")]
    {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let wanted = "Status: 299 \r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(answer_with(response), (wanted.to_owned(), true));

    let refused = (REFUSED.to_owned(), false);
    let status = Response::builder().header("Status", "200").body(String::new());
    assert_eq!(answer_with(status.unwrap()), refused);
    assert_eq!(answer_with(Response::builder().status(103).body(String::new()).unwrap()), refused);
}

#[test]
fn no_body_where_none_may_be() {
    for code in [204, 304] {
        let (text, ok) = answer_with(Response::builder().status(code).body("body".to_owned()).unwrap());
        assert!(ok && text.ends_with("\r\n\r\n") && !text.contains("content-length"), "{text}");
    }
}

#[test]
fn failures_before_the_head_are_500() {
    let refused = (REFUSED.to_owned(), false);
    let failing = async |_: Request<RequestBody>| Err::<Response<String>, _>("secret");
    assert_eq!(call(failing, variables("GET", "/", &[]), b""), refused);
    let hello = async |_: Request<RequestBody>| Ok::<_, Infallible>(Response::new(String::new()));
    assert_eq!(call(hello, MetaVariables::default(), b""), refused);
}

#[test]
fn failures_after_the_head_end_the_response() {
    let body = StreamBody::new(iter([Ok(Frame::data(Bytes::from("half"))), Err("broken")]));
    assert_eq!(answer_with(Response::new(body)), ("Status: 200 OK\r\n\r\nhalf".to_owned(), false));

    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let status = run(
        async |_| Ok::<_, Infallible>(Response::new(String::new())),
        variables("GET", "/", &[]),
        io::empty(),
        Closed,
    );
    assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::FAILURE));
}

#[test]
fn an_upload_that_breaks_off_reaches_the_handler_as_an_error() {
    let read = async |request: Request<RequestBody>| {
        request.into_body().collect().await?;
        Ok::<_, io::Error>(Response::new(String::new()))
    };
    assert_eq!(call(read, variables("POST", "/", &[("CONTENT_LENGTH", "9")]), b"1234"), (REFUSED.to_owned(), false));
}
