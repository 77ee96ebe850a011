//! The real php-cgi, 32 clients at once on the same files: nothing that was acknowledged is lost, nothing is there twice.

use std::fs;
use std::path::Path;

use futures_util::future::join_all;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tower::ServiceExt;
use tower_wcgi::{Access, WcgiService};
use wcgi_tests::{Server, engine, get, request, root, wait_for_permits};

const CLIENTS: usize = 32;
const REQUESTS: usize = 50;

fn php(page: &str, app: &Path, data: &Path) -> WcgiService {
    fs::write(app.join("index.php"), page).unwrap();
    WcgiService::builder()
        .package(root().join("examples/php"))
        .snapshot(false)
        .engine(engine().max_concurrency(32).queue(1000).build().unwrap())
        .map_dir("/app", app, Access::ReadOnly)
        .map_dir("/data", data, Access::ReadWrite)
        .build()
        .unwrap()
}

/// Every client asks for every `target(client, n)` in turn; gives the bodies, in no order.
async fn all(service: &WcgiService, target: impl Fn(usize, usize) -> String + Sync) -> Vec<String> {
    let clients = (0..CLIENTS).map(async |client| {
        let mut bodies = Vec::new();
        for n in 0..REQUESTS {
            let reply = get(service, &target(client, n)).await;
            assert_eq!((reply.status.as_u16(), reply.failure), (200, None), "{}", reply.text());
            bodies.push(reply.text());
        }
        bodies
    });
    join_all(clients).await.concat()
}

#[tokio::test]
async fn a_counter_in_a_file_counts_every_request() {
    let (app, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let page = r"<?php
$file = fopen('/data/count', 'c+');
$count = (int) stream_get_contents($file) + 1;
rewind($file);
ftruncate($file, 0);
fwrite($file, (string) $count);
fclose($file);
echo $count;";
    let service = php(page, app.path(), data.path());
    let mut counts: Vec<usize> = all(&service, |_, _| "/".into()).await.iter().map(|n| n.parse().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=CLIENTS * REQUESTS).collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(data.path().join("count")).unwrap(), (CLIENTS * REQUESTS).to_string());
}

/// Eight visitors, each in four windows at once.
#[tokio::test]
async fn a_session_in_a_mount_keeps_every_request_of_its_visitor() {
    let (app, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let page = r"<?php
session_save_path('/data');
session_id('visitor' . $_GET['visitor']);
session_start();
$_SESSION['seen'][] = $_GET['request'];
echo count($_SESSION['seen']);";
    let service = php(page, app.path(), data.path());
    let target = |client: usize, n: usize| format!("/?visitor={}&request={client}-{n}", client % 8);
    let mut counts: Vec<usize> = all(&service, target).await.iter().map(|n| n.parse().unwrap()).collect();
    counts.sort_unstable();
    let each = CLIENTS / 8 * REQUESTS;
    let expected: Vec<usize> = (1..=each).flat_map(|n| [n; 8]).collect();
    assert_eq!(counts, expected);
}

/// The stock php-cgi locks a database by a directory beside it, never finalizes a statement, and would leave the lock behind
/// when it is ended.
const BOOK: &str = r"<?php
$pdo = new PDO('sqlite:/data/book.sqlite', null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 30]);
if ($_GET['do'] === 'setup') {
    $pdo->exec('CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT, filler TEXT)');
} elseif ($_GET['do'] === 'add') {
    $pdo->beginTransaction();
    $pdo->prepare('INSERT INTO entry (text, filler) VALUES (?, ?)')->execute([$_GET['text'], str_repeat($_GET['text'], 200)]);
    $pdo->commit();
    echo 'added';
} elseif ($_GET['do'] === 'half') {
    $pdo->exec('PRAGMA cache_size = 1');
    $pdo->beginTransaction();
    for ($i = 0; $i < 200; $i++) {
        $pdo->prepare('INSERT INTO entry (text, filler) VALUES (?, ?)')->execute(['half', str_repeat('half', 500)]);
    }
    echo 'half';
    flush();
    while (true);
} elseif ($_GET['do'] === 'read') {
    echo $pdo->query('SELECT count(*) FROM entry')->fetchColumn();
} elseif ($_GET['do'] === 'all') {
    echo $pdo->query('PRAGMA integrity_check')->fetchColumn(), PHP_EOL;
    foreach ($pdo->query('SELECT text FROM entry') as [$text]) echo $text, PHP_EOL;
}";

#[tokio::test]
async fn a_database_keeps_every_entry_while_others_read_and_some_are_cut_off() {
    let (app, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = php(BOOK, app.path(), data.path());
    assert_eq!(get(&service, "/?do=setup").await.text(), "");
    let adding = all(&service, |client, n| match n % 2 {
        0 => format!("/?do=add&text={client}-{n}"),
        _ => "/?do=read".into(),
    });
    // In the middle of a transaction that has outgrown its cache, so that some of it is in the database already.
    let cutting = async {
        for _ in 0..10 {
            let mut half = service.clone().oneshot(request(http::Method::GET, "/?do=half", "")).await.unwrap();
            assert_eq!(half.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "half");
            drop(half);
        }
    };
    let (bodies, ()) = tokio::join!(adding, cutting);
    assert!(bodies.iter().filter(|body| *body == "added").count() == CLIENTS * REQUESTS / 2);
    let reply = get(&service, "/?do=all").await.text();
    let mut lines = reply.lines();
    assert_eq!(lines.next(), Some("ok"));
    let mut texts: Vec<&str> = lines.collect();
    texts.sort_unstable();
    let mut expected: Vec<String> =
        (0..CLIENTS).flat_map(|client| (0..REQUESTS).step_by(2).map(move |n| format!("{client}-{n}"))).collect();
    expected.sort_unstable();
    assert_eq!(texts, expected);
}

/// Whoever is killed with the lock in its hands: the next one does not wait for it, and sees nothing of its half.
#[tokio::test]
async fn a_killed_writer_leaves_neither_a_lock_nor_half_a_transaction() {
    let (app, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = php(BOOK, app.path(), data.path());
    get(&service, "/?do=setup").await;
    assert_eq!(get(&service, "/?do=add&text=whole").await.text(), "added");
    let server = Server::start(service.clone()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /?do=half HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    wcgi_tests::read_until(&mut stream, "half").await;
    assert!(fs::metadata(data.path().join("book.sqlite-journal")).unwrap().len() > 0);
    drop(stream);
    wait_for_permits(service.engine(), 32).await;
    assert!(fs::metadata(data.path().join("book.sqlite")).unwrap().len() > 200_000, "half of it was written");
    assert_eq!(get(&service, "/?do=all").await.text(), "ok\nwhole\n");
}
