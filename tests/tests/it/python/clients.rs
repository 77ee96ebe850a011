//! CPython's clients as they are, with the real servers: pg8000, `PyMySQL`, redis-py, urllib and requests. They are imported before the request.

use std::fs;

use axum::Router;
use axum::routing;
use tower_wcgi::{Access, NetRule, WcgiService};
use wcgi_tests::servers::{Authority, Https, MariaDb, Postgres, Redis};
use wcgi_tests::{engine, get, root};

#[tokio::test]
async fn clients_as_they_are_talk_to_real_servers() {
    let authority = Authority::new();
    let bundle = authority.bundle();
    let (postgres, maria, redis) = tokio::join!(Postgres::start(&authority), MariaDb::start(), Redis::start());
    let router = Router::new().route("/hello", routing::get(|| async { "hello" }));
    let https = Https::start(&authority, "api.example", router).await;

    let package = tempfile::tempdir().unwrap();
    fs::create_dir(package.path().join("app")).unwrap();
    fs::write(package.path().join("app/clients.py"), include_str!("clients.py")).unwrap();
    let built = root().join("target/python");
    let manifest = format!(
        "[[module]]\nname = 'python'\nsource = {:?}\n\
         [[command]]\nname = 'clients'\nmodule = 'python'\nrunner = 'wcgi'\n\
         [command.annotations.wasi]\nmain-args = ['/app/clients.py']\nenv = ['PYTHONPATH=/site-packages']\n\
         [command.annotations.wcgi.snapshot]\nenv = ['WCGI_PYTHON_IMPORTS={IMPORTS}']\n\
         [fs]\n'/app' = 'app'\n'/python' = {:?}\n'/site-packages' = {:?}\n",
        root().join("examples/flask/python.wasm"),
        root().join("examples/flask/python"),
        built.join("clients"),
    );
    fs::write(package.path().join("wasmer.toml"), manifest).unwrap();
    let engine = engine().max_concurrency(2).build().unwrap();
    let mut builder = WcgiService::builder().package(package.path()).engine(engine);
    for rule in [
        format!("db:5432=127.0.0.1:{}", postgres.port),
        format!("maria:3306=unix:{}", maria.socket().display()),
        format!("cache:6379=unix:{}", redis.socket().display()),
        format!("api.example:443={}", https.addr),
    ] {
        builder = builder.net(rule.parse::<NetRule>().unwrap());
    }
    let service = builder.map_dir("/ca", bundle.path(), Access::ReadOnly).build().unwrap();

    let ask = async |client: &str| get(&service, &format!("/?{client}")).await.text();
    assert_eq!(ask("postgresql").await, "[\"hello 'world'\"]\n");
    assert_eq!(ask("mariadb").await, "[\"hello 'world'\"]\n");
    assert_eq!(ask("cache").await, "[b'hello', [1, 2]]\n");
    assert_eq!(ask("https").await, "[b'hello', 'hello', 200, 'not believed by default']\n");
    assert_eq!(ask("nobody").await, "(-2, 'Name does not resolve')\n");
}

const IMPORTS: &str = "ssl urllib.request pg8000.dbapi pymysql redis requests";
