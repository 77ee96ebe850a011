//! The real php-cgi: the announcement's package, and what PHP programs rely on, over HTTP.

mod announcement;
mod requests;
mod responses;
mod start_up;

use std::fs;
use std::path::PathBuf;

use reqwest::Client;
use tempfile::TempDir;
use tower_wcgi::{WcgiBuilder, WcgiService};
use wcgi_tests::{Server, engine, root};

/// A package in a directory of its own: php-cgi, one page, a `php.ini` that the manifest mounts, and `/data`, which pages
/// may write to.
struct Package {
    directory: TempDir,
}

impl Package {
    fn new(page: &str, ini: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["app", "data", "etc"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let php = root().join("examples/php/php-cgi.wasm").canonicalize().expect("`cargo xtask setup` fetches php-cgi");
        let manifest = format!(
            r#"
            [[module]]
            name = "php"
            source = "{}"

            [[command]]
            name = "php"
            runner = "wcgi"
            module = "php"

            [command.annotations.wasi]
            env = ["DOCUMENT_ROOT=/app", "SCRIPT_FILENAME=/app/index.php", "PHPRC=/etc/php"]

            # Each test has pages of its own, and would have the whole interpreter compiled with them.
            [command.annotations.wcgi.snapshot]
            enabled = false

            [fs]
            "/app" = "app"
            "/etc/php" = "etc"
            "/data" = {{ path = "data", mode = "rw" }}
            "#,
            php.display()
        );
        fs::write(directory.path().join("wasmer.toml"), manifest).unwrap();
        fs::write(directory.path().join("app/index.php"), page).unwrap();
        fs::write(directory.path().join("etc/php.ini"), ini).unwrap();
        Self { directory }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.directory.path().join("data").join(name)
    }

    fn builder(&self) -> WcgiBuilder {
        WcgiService::builder().package(self.directory.path()).engine(engine().build().unwrap())
    }

    async fn serve(&self) -> Server {
        Server::start(self.builder().build().unwrap()).await
    }
}

/// A client that keeps cookies, as a browser does.
fn visitor() -> Client {
    wcgi_tests::choose_tls();
    Client::builder().cookie_store(true).no_proxy().build().unwrap()
}

fn url(server: &Server, target: &str) -> String {
    format!("http://{}{target}", server.addr)
}
