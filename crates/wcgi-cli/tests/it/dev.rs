//! `--dev`: failures are shown, and only with it.

use wcgi_tests::guest;

use crate::process::{Serving, run, wcgi};

fn ask(serving: &Serving, accept: &str) -> String {
    let fields = format!("Host: x\r\nAccept: {accept}\r\nX-Request-Id: mine\r\nConnection: close\r\n");
    serving.ask(&format!("GET /?<b> HTTP/1.1\r\n{fields}\r\n").replace("<b>", "%3cb%3e%0a%0a"))
}

#[test]
fn a_failure_is_shown_to_the_developer_alone() {
    let dev = Serving::spawn(run(&guest("trap"), &["--dev"]));
    let html = ask(&dev, "text/html,*/*;q=0.8");
    assert!(html.starts_with("HTTP/1.1 502") && html.contains("\r\ncontent-type: text/html"), "{html}");
    for part in ["mine", "the script trapped", "wasm backtrace", "unreachable"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("<script"), "{html}");
    let text = ask(&dev, "*/*");
    assert!(text.contains("\r\ncontent-type: text/plain") && text.contains("wasm backtrace"), "{text}");
    assert!(!text.contains("<h1>"), "{text}");

    let plain = Serving::start(&guest("trap"), &[]);
    for accept in ["text/html", "*/*"] {
        assert!(ask(&plain, accept).ends_with("\r\n\r\nBad Gateway"));
    }
}

#[test]
fn the_malformed_line_and_stderr_are_there_as_text() {
    let dev = Serving::spawn(run(&guest("raw"), &["--dev"]));
    let html = ask(&dev, "text/html");
    assert!(html.contains("malformed line: &quot;&lt;b&gt;&quot;"), "{html}");
    let dev = Serving::spawn(run(&guest("complain"), &["--dev"]));
    let text = ask(&dev, "*/*");
    assert!(text.starts_with("HTTP/1.1 5"), "{text}");
    assert!(text.contains("The last that the script wrote to stderr:\n    "), "{text}");
}

#[test]
fn serve_has_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\n[engine]\ncache_dir = {:?}\n[[site]]\npackage = {:?}\n",
        wcgi_tests::cache_dir(),
        guest("trap")
    );
    std::fs::write(dir.path().join("wcgi.toml"), config).unwrap();
    for (arguments, shown) in [(&["serve", "--dev"][..], true), (&["serve"], false)] {
        let mut command = wcgi(arguments);
        command.current_dir(dir.path());
        assert_eq!(ask(&Serving::spawn(command), "*/*").contains("wasm backtrace"), shown);
    }
}
