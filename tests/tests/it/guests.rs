//! One test for each guest program, named like it: a guest without one does not compile.

use http::{Method, Request, StatusCode};
use tower_wcgi::{Access, ErrorKind, WcgiService};
use wcgi_tests::{Reply, are_components, ask, builder, engine, foreach_guest, get, guest, post, request, service};

macro_rules! assert_test_exists {
    ($name:ident) => {
        #[expect(unused_imports, reason = "it only has to be there")]
        use self::$name as _;
    };
}

foreach_guest!(assert_test_exists);

#[tokio::test]
async fn args() {
    let reply = get(&service("args"), "/?-s+-d").await;
    assert_eq!(reply.text(), "argc=1\nargs\n", "the query never becomes arguments");
}

#[tokio::test]
async fn big() {
    let service = service("big");
    for n in [0_usize, 1, 4096, 65_536, 65_537, 3_000_000] {
        let reply = get(&service, &format!("/?n={n}")).await;
        assert_eq!((reply.status, reply.body.len(), reply.failure), (StatusCode::OK, n, None));
        assert!(reply.body.iter().zip((b'a'..=b'z').cycle()).all(|(got, wanted)| *got == wanted));
    }
}

#[tokio::test]
async fn bomb() {
    let reply = get(&builder("bomb").max_memory(32 << 20).build().unwrap(), "/").await;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::BAD_GATEWAY, "Bad Gateway"));
}

#[tokio::test]
async fn closeout() {
    let reply = get(&service("closeout"), "/").await;
    assert_eq!((reply.text().as_str(), reply.failure), ("closed early\n", None));
}

#[tokio::test]
async fn complain() {
    let service = service("complain");
    assert_eq!(get(&service, "/?then=hello").await.text(), "Hello, World!\n");
    for then in ["trap", "exit", "head"] {
        assert_eq!(get(&service, &format!("/?then={then}")).await.status, StatusCode::BAD_GATEWAY, "{then}");
    }
}

#[tokio::test]
async fn count() {
    let service = service("count");
    let reply = post(&service, "/", vec![b'x'; 1_000_000]).await;
    assert_eq!(reply.text(), "bytes=1000000\ncontent_length=1000000\n");
    assert_eq!(get(&service, "/").await.text(), "bytes=0\ncontent_length=unset\n");
}

#[tokio::test]
async fn descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let service = builder("descriptors").map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap();
    assert_eq!(get(&service, "/?op=large&n=9").await.text(), "large: ok 9 of 9\n");
    // One call waits for so much and no more.
    assert_eq!(get(&service, "/?op=poll&n=1024").await.text(), "poll: ok 1024\n");
    for n in [1025, 1_000_000] {
        let reply = get(&service, &format!("/?op=poll&n={n}")).await;
        // WASI 0.2 has no error for it.
        let refused = if are_components() { ("", Some(ErrorKind::Trap)) } else { ("poll: EINVAL\n", None) };
        assert_eq!((reply.text().as_str(), reply.failure), refused);
    }
}

#[tokio::test]
async fn echo() {
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut wanted = request(Method::POST, "/", body.clone());
    wanted.headers_mut().insert("content-type", "application/x-test".parse().unwrap());
    let reply = ask(&service("echo"), wanted).await;
    assert_eq!(reply.header("content-type"), "application/x-test");
    assert!(reply.body == body);
}

#[tokio::test]
async fn env() {
    let service = builder("env").env("GREETING", "a=b\u{e9}").build().unwrap();
    let reply = get(&service, "/a%20b/c?x=%41&y").await;
    let expected = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", "/a b/c"),
        ("QUERY_STRING", "x=%41&y"),
        ("REQUEST_URI", "/a%20b/c?x=%41&y"),
        ("SERVER_NAME", "localhost"),
        ("GREETING", "a=b\u{e9}"),
    ];
    for (name, value) in expected {
        assert_eq!(reply.variable(name).as_deref(), Some(value), "{name}");
    }
    let text = reply.text();
    let mut names: Vec<_> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a variable appears twice: {text}");
    for (name, _) in std::env::vars() {
        assert!(!names.contains(&name.as_str()), "{name} is the host's own");
    }
}

#[tokio::test]
async fn exit() {
    let service = service("exit");
    for code in [0, 1, 125, 126, 255] {
        let after = get(&service, &format!("/?code={code}&when=after")).await;
        assert_eq!((after.status, after.text().as_str(), after.failure), (StatusCode::OK, "done\n", None), "{code}");
        let head = get(&service, &format!("/?code={code}&when=head")).await;
        assert_eq!((head.status, head.body.len(), head.failure), (StatusCode::OK, 0, None), "{code}");
        for when in ["before", "inhead"] {
            let early = get(&service, &format!("/?code={code}&when={when}")).await;
            assert_eq!(
                (early.status, early.text().as_str()),
                (StatusCode::BAD_GATEWAY, "Bad Gateway"),
                "{code} {when}"
            );
        }
    }
}

#[tokio::test]
async fn files() {
    let dir = tempfile::tempdir().unwrap();
    let service = builder("files").map_dir("/data", dir.path(), tower_wcgi::Access::ReadWrite).build().unwrap();
    let reply = get(&service, "/?op=write&path=/data/a&data=hello&op=read&path=/data/a&op=list&path=/data").await;
    assert!(reply.text().contains("hello"), "{}", reply.text());
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"hello");
}

#[tokio::test]
async fn flood() {
    let service = builder("flood").deadline(std::time::Duration::from_secs(10)).build().unwrap();
    let line = get(&service, "/?line").await;
    assert_eq!(
        (line.status, line.body.len()),
        (StatusCode::BAD_GATEWAY, 11),
        "an endless line ends at the head's limit"
    );
    let headers = get(&service, "/?headers").await;
    assert_eq!(headers.status, StatusCode::BAD_GATEWAY);
    assert_eq!(get(&service, "/?errthenhello").await.text(), "Hello, World!\n");
}

#[tokio::test]
async fn form() {
    let mut form = request(Method::POST, "/", "name=J%C3%B6rg&x=a+b&empty=");
    form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let reply = ask(&service("form"), form).await;
    assert_eq!(reply.text(), "[[\"name\",\"Jörg\"],[\"x\",\"a b\"],[\"empty\",\"\"]]\n");
    assert_eq!(get(&service("form"), "/").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn fresh() {
    let service = service("fresh");
    for _ in 0..3 {
        assert_eq!(get(&service, "/").await.text(), "CLEAN\n");
    }
}

#[tokio::test]
async fn grow() {
    let service = builder("grow").max_memory(32 << 20).build().unwrap();
    assert_eq!(get(&service, "/?16").await.text(), "grew 16 MiB\n");
    let refused = get(&service, "/?64").await.text();
    assert!(refused.starts_with("failed after "), "{refused}");
}

#[tokio::test]
async fn hello() {
    let reply = get(&service("hello"), "/?Ada").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("content-type").starts_with("text/"));
    assert!(reply.text().starts_with("Hello, "), "{}", reply.text());
}

#[tokio::test]
async fn hello_rust() {
    let service = service("hello-rust");
    assert_eq!(get(&service, "/").await.text(), "Hello, World!\n");
    assert_eq!(post(&service, "/", "Ada").await.text(), "Hello, Ada!\n");
}

#[tokio::test]
async fn kept() {
    let service = builder("kept").snapshot(false).build().unwrap();
    for _ in 0..3 {
        assert_eq!(get(&service, "/").await.text(), "CLEAN 0\n");
    }
}

#[test]
fn noimport() {
    let error = builder("noimport").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Module);
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn noread() {
    let reply = post(&service("noread"), "/", vec![0; 1_000_000]).await;
    assert_eq!((reply.text().as_str(), reply.failure), ("not read\n", None));
}

#[test]
fn nostart() {
    let error = builder("nostart").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Module);
    let entry = if are_components() { "wasi:cli/run" } else { "_start" };
    assert!(error.to_string().contains(entry), "{error}");
}

#[tokio::test]
async fn prestat() {
    let dir = tempfile::tempdir().unwrap();
    let service = builder("prestat").map_dir("/data", dir.path(), tower_wcgi::Access::ReadOnly).build().unwrap();
    let text = get(&service, "/").await.text();
    let mut names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    names.sort_unstable();
    assert_eq!(names, ["/data", "/tmp"], "{text}");
}

#[tokio::test]
async fn random() {
    let service = service("random");
    let (one, two) = (get(&service, "/?16").await.text(), get(&service, "/?16").await.text());
    assert!(one.starts_with("bytes=16\nfirst=") && two.starts_with("bytes=16\nfirst="), "{one}{two}");
    assert_ne!(one, two);
    assert!(get(&service, "/?8000000").await.text().starts_with("bytes=8000000\n"));
}

#[tokio::test]
async fn raw() {
    let reply = get(&service("raw"), "/?Status:%20418%20I'm%20a%20teapot%0AX-A:%201%0A%0Atea").await;
    assert_eq!((reply.status.as_u16(), reply.header("x-a"), reply.text().as_str()), (418, "1", "tea"));
}

#[tokio::test]
async fn redirect() {
    let service = service("redirect");
    let reply = post(&service, "/?to=/there%3Fx=1", "body").await;
    assert_eq!(
        ["REQUEST_METHOD", "PATH_INFO", "body"].map(|name| reply.variable(name).unwrap()),
        ["GET", "/there", "0"]
    );
    let client = get(&service, "/?to=https://example.com/").await;
    assert_eq!(
        (client.status, client.header("location"), client.body.len()),
        (StatusCode::FOUND, "https://example.com/", 0)
    );
}

#[tokio::test]
async fn router() {
    let service = builder("router").mount("/deep").build().unwrap();
    assert_eq!(get(&service, "/deep").await.text(), "hello\n");
    assert_eq!(get(&service, "/deep/greet/Ada").await.text(), "Hello, Ada!\n");
    assert_eq!(post(&service, "/deep/", "body").await.text(), "body");
}

#[tokio::test]
async fn sleep() {
    assert_eq!(get(&service("sleep"), "/?20").await.text(), "slept 20 ms\n");
}

#[tokio::test]
async fn spin() {
    let service = builder("spin").deadline(std::time::Duration::from_millis(200)).build().unwrap();
    let reply = get(&service, "/").await;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout"));
    let reply = get(&service, "/?head").await;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "spinning\n"));
    assert_eq!(reply.failure, Some(ErrorKind::DeadlineExceeded));
}

#[tokio::test]
async fn state() {
    // Both ways to reset an instance; where the kernel has only one, it is that one twice.
    for scan in [true, false] {
        let service = builder("state").engine(engine().pagemap_scan(scan).build().unwrap()).build().unwrap();
        let first = get(&service, "/").await;
        assert_eq!(first.status, StatusCode::OK);
        for _ in 0..50 {
            assert_eq!(get(&service, "/").await.body, first.body, "an instance saw what another had done");
        }
    }
}

#[tokio::test]
async fn startup() {
    let reply = get(&builder("startup").env("START", "look").snapshot(false).build().unwrap(), "/").await;
    assert_eq!(reply.text(), "started=\nkept=\n", "its start-up is for snapshots alone");
}

#[tokio::test]
async fn stderr() {
    assert_eq!(get(&service("stderr"), "/?one%0Atwo").await.text(), "Hello, World!\n");
}

#[tokio::test]
async fn table() {
    let reply = get(&builder("table").snapshot(false).build().unwrap(), "/").await;
    assert_eq!(reply.variable("loops").unwrap(), (48 << 20).to_string(), "{}", reply.text());
}

#[tokio::test]
async fn ticker() {
    assert_eq!(get(&service("ticker"), "/?n=3&ms=1").await.text(), "tick 1\ntick 2\ntick 3\n");
}

#[tokio::test]
async fn tiny() {
    assert_eq!(get(&service("tiny"), "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn tmp() {
    let service = service("tmp");
    for _ in 0..3 {
        let reply = get(&service, "/").await.text();
        assert_eq!(reply, "empty=yes\nwrite=ok\n");
    }
}

#[tokio::test]
async fn trap() {
    let service = service("trap");
    for when in ["before", "inhead"] {
        let reply = get(&service, &format!("/?when={when}")).await;
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::BAD_GATEWAY, "Bad Gateway"), "{when}");
    }
    let reply = get(&service, "/?when=mid").await;
    assert_eq!(
        (reply.status, reply.text().as_str(), reply.failure),
        (StatusCode::OK, "half of\n", Some(ErrorKind::Trap))
    );
}

#[tokio::test]
async fn upper() {
    assert_eq!(post(&service("upper"), "/", "shout, \u{e9}").await.text(), "SHOUT, \u{e9}\n".trim_end());
}

#[tokio::test]
async fn try_call_says_what_went_wrong() {
    let service: WcgiService = service("trap");
    let error = service.try_call(Request::new(http_body_util::Empty::<bytes::Bytes>::new())).await.unwrap_err();
    assert_eq!((error.kind(), error.is_script()), (ErrorKind::Trap, true));
    let response = service.try_call(request(Method::GET, "/?when=mid", "")).await.unwrap();
    assert_eq!(Reply::read(response).await.failure, Some(ErrorKind::Trap));
    assert!(guest("trap").exists());
}

#[tokio::test]
async fn locks() {
    // Components cannot import what it does.
    if are_components() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let service = builder("locks").map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap();
    let reply = post(&service, "/", "open 0 /d/n c+\nlock 0 2 0 0\nadd 0\ntest 0 2 0 1\nlock 0 0 0 0\nlock 5\n").await;
    assert_eq!(reply.text(), "ok 5\nok 0\nok 1\nok 0\nok 0\nEINVAL\n");
}

#[tokio::test]
async fn net() {
    // Components cannot import what it does.
    if are_components() {
        return;
    }
    let reply = get(&service("net"), "/?do=many&host=127.0.0.1&port=9").await;
    assert_eq!(reply.text(), "sockets 64 EMFILE\nconnections 0 EACCES\n");
}

#[tokio::test]
async fn wasmedge() {
    // Components cannot import what it does.
    if are_components() {
        return;
    }
    let reply = get(&service("wasmedge"), "/?do=listen").await;
    assert_eq!(reply.text(), "false false\n");
}

#[tokio::test]
async fn redis() {
    // Components cannot import what it does.
    if are_components() {
        return;
    }
    let reply = get(&service("redis"), "/?host=db&port=6379&key=k&say=x").await;
    assert_eq!(reply.text(), "connect: Name does not resolve\n");
}

#[tokio::test]
async fn postgres() {
    // Components cannot import what it does.
    if are_components() {
        return;
    }
    let reply = get(&service("postgres"), "/?conn=host=db%20user=me").await;
    assert_eq!(reply.text(), "connect: could not translate host name \"db\" to address: Name does not resolve\n");
}

#[tokio::test]
async fn curl() {
    // Components cannot import what it does.
    if are_components() {
        return;
    }
    let reply = get(&service("curl"), "/?url=http://api.example/").await;
    assert_eq!(reply.text(), "failed: Could not resolve hostname\n");
}

#[tokio::test]
async fn turns() {
    let dir = tempfile::tempdir().unwrap();
    let service = builder("turns").map_dir("/d", dir.path(), Access::ReadWrite).build().unwrap();
    let reply = post(&service, "/", "open 0 /d/n c+\nadd 0\nadd 0\nclose 0\nis /d/none\nnonsense\n").await;
    assert_eq!(reply.text(), "ok 5\nok 1\nok 2\nok 0\nENOENT\nEINVAL\n");
}
