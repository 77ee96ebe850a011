//! CPython with its imports in a snapshot: `examples/flask`, and scripts that show what is kept of a start-up.
//!
//! It takes minutes to build, so this is left out where `cargo xtask python` was not run.

use std::fs;

use tempfile::TempDir;
use tower_wcgi::{WcgiBuilder, WcgiService};
use wcgi_tests::{engine, get, post, root};

#[tokio::test]
async fn flask_answers_each_request_with_random_numbers_of_its_own() {
    let engine = engine().build().unwrap();
    let service = WcgiService::builder().package(root().join("examples/flask")).engine(engine).build().unwrap();
    assert!(get(&service, "/?name=%3CAda%3E").await.text().contains("Hello, &lt;Ada&gt;!"));
    assert_eq!(get(&service, "/missing").await.status, 404);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let text = get(&service, "/random").await.text();
        let values: Vec<_> = text.trim_matches(['{', '}', '\n']).split(',').map(str::to_owned).collect();
        assert_eq!(values.len(), 3, "{text}");
        for value in values {
            assert!(!seen.contains(&value), "{value} again, after {seen:?}");
            seen.push(value);
        }
    }
}

#[tokio::test]
async fn a_script_begins_where_the_start_up_ended() {
    let package = Package::new("import os\nmethod = os.environ.get('REQUEST_METHOD')\nos.environ['OWN'] = 'kept'");
    let service = package.builder().build().unwrap();
    assert_eq!(get(&service, "/?a=1").await.text(), "None GET a=1 kept []\n");
    assert_eq!(post(&service, "/", "body").await.text(), "None POST  kept ['body']\n");
    let edited = format!("{SCRIPT}print('edited')\n");
    fs::write(package.0.path().join("app/script.py"), edited).unwrap();
    assert_eq!(get(&service, "/").await.text(), "None GET  kept []\nedited\n");
}

#[tokio::test]
async fn a_secret_that_was_drawn_at_the_start_up_is_in_no_snapshot() {
    let package = Package::new(
        "import os\nkey = os.urandom(16)\nmethod = os.environ.get('REQUEST_METHOD')\nos.environ['OWN'] = ''",
    );
    let service = package.builder().build().unwrap();
    assert_eq!(get(&service, "/").await.text(), "GET GET   []\n");
}

/// A package with a script and a module that it imports at its start-up.
struct Package(TempDir);

impl Package {
    fn new(module: &str) -> Self {
        let package = Self(tempfile::tempdir().unwrap());
        let path = package.0.path();
        fs::create_dir(path.join("app")).unwrap();
        fs::write(path.join("app/started.py"), module).unwrap();
        fs::write(path.join("app/script.py"), SCRIPT).unwrap();
        let flask = root().join("examples/flask");
        let manifest = format!(
            "[[module]]\nname = 'python'\nsource = {:?}\n[[command]]\nname = 'script'\nmodule = 'python'\nrunner = 'wcgi'\n\
             [command.annotations.wasi]\nmain-args = ['/app/script.py']\nenv = ['PYTHONPATH=/app']\n\
             [command.annotations.wcgi.snapshot]\nenv = ['WCGI_PYTHON_IMPORTS=started']\n\
             [fs]\n'/app' = 'app'\n'/python' = {:?}\n",
            flask.join("python.wasm"),
            flask.join("python"),
        );
        fs::write(path.join("wasmer.toml"), manifest).unwrap();
        package
    }

    fn builder(&self) -> WcgiBuilder {
        WcgiService::builder().package(self.0.path()).engine(engine().build().unwrap())
    }
}

const SCRIPT: &str = "\
import os, sys, started
print('Content-Type: text/plain\\n')
print(started.method, os.environ['REQUEST_METHOD'], os.environ['QUERY_STRING'], os.environ['OWN'], sys.stdin.readlines())
";
