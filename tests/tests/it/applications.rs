//! PHP applications as their users know them: `examples/adminer`, which keeps SQLite data bases, and `examples/dokuwiki`,
//! which keeps files.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, StatusCode};
use tower_wcgi::{Access, WcgiBuilder};
use wcgi_tests::{Server, engine, root};

fn example(name: &str, fetched: &str) -> WcgiBuilder {
    let package = root().join("examples").join(name);
    assert!(package.join(fetched).exists(), "{name} is not there; `cargo xtask setup` fetches it where there is apt");
    wcgi_tests::example(name).engine(engine().build().unwrap()).deadline(Duration::from_secs(100))
}

fn client() -> Client {
    wcgi_tests::choose_tls();
    Client::builder().cookie_store(true).no_proxy().build().unwrap()
}

async fn get(client: &Client, url: &str) -> String {
    client.get(url).send().await.unwrap().text().await.unwrap()
}

async fn post(client: &Client, url: &str, fields: &[(&str, &str)]) -> String {
    client.post(url).form(fields).send().await.unwrap().text().await.unwrap()
}

/// The value of the form field `name` in `page`: the token without which nothing is changed.
fn token(page: &str, name: &str) -> String {
    let field = page
        .split("<input")
        .find(|field| field.contains(&format!("name=\"{name}\"")))
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    let value = field.split("value=\"").nth(1).or_else(|| field.split("value='").nth(1)).unwrap();
    value.split(['"', '\'']).next().unwrap().to_owned()
}

#[tokio::test]
async fn adminer_makes_a_data_base_a_table_and_rows() {
    let data = tempfile::tempdir().unwrap();
    let service = example("adminer", "adminer/adminer.php")
        .map_dir("/data", data.path(), Access::ReadWrite)
        .env("ADMINER_PASSWORD", "open sesame")
        .build()
        .unwrap();
    let server = Server::start(service).await;
    let base = format!("http://{}/", server.addr);
    let client = client();
    let log_in = |password| {
        let fields = [
            ("auth[driver]", "sqlite"),
            ("auth[server]", ""),
            ("auth[username]", ""),
            ("auth[password]", password),
            ("auth[db]", ""),
        ];
        client.post(&base).form(&fields).send()
    };
    assert!(get(&client, &base).await.contains("name=\"auth[password]\""));
    assert_eq!(log_in("wrong").await.unwrap().status(), StatusCode::FORBIDDEN);
    let page = log_in("open sesame").await.unwrap().text().await.unwrap();
    assert!(page.contains("Create database"), "{page}");

    let create = format!("{base}?sqlite=&username=&database=");
    let page = get(&client, &create).await;
    let token_of_page = token(&page, "token");
    let fields = [("name", "/data/library.sqlite"), ("collation", ""), ("token", &token_of_page)];
    let page = post(&client, &create, &fields).await;
    assert!(page.contains("Database has been created."), "{page}");

    let db = format!("{base}?sqlite=&username=&db=%2Fdata%2Flibrary.sqlite");
    let sql = format!("{db}&sql=");
    let token_of_page = token(&get(&client, &sql).await, "token");
    let query = "CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL)";
    let page = post(&client, &sql, &[("query", query), ("limit", ""), ("token", &token_of_page)]).await;
    assert!(page.contains("Query executed OK"), "{page}");
    for title in ["Erewhon", "<Flatland> & more"] {
        let edit = format!("{db}&edit=book");
        let token_of_page = token(&get(&client, &edit).await, "token");
        let fields = [("fields[title]", title), ("function[id]", ""), ("fields[id]", ""), ("token", &token_of_page)];
        let page = post(&client, &edit, &fields).await;
        assert!(page.contains("has been inserted"), "{page}");
    }
    let page = get(&client, &format!("{db}&select=book")).await;
    assert!(page.contains("Erewhon") && page.contains("&lt;Flatland&gt; &amp; more"), "{page}");
    let token_of_page = token(&page, "token");
    let fields = [
        ("dump", "csv"),
        ("output", "text"),
        ("format", "csv"),
        ("tables[]", "book"),
        ("data[]", "book"),
        ("data_style", "INSERT"),
        ("token", &token_of_page),
    ];
    let dump = post(&client, &format!("{db}&dump="), &fields).await;
    assert_eq!(dump.lines().collect::<Vec<_>>(), ["\u{feff}1,Erewhon", "2,<Flatland> & more"]);
    assert!(data.path().join("library.sqlite").exists());

    let stranger = get(&self::client(), &format!("{db}&select=book")).await;
    assert!(!stranger.contains("Erewhon") && stranger.contains("auth[password]"));
}

#[tokio::test]
async fn dokuwiki_is_installed_written_and_read() {
    let wiki = tempfile::tempdir().unwrap();
    let mut builder = example("dokuwiki", "app/doku.php");
    for directory in ["conf", "data"] {
        let copy = wiki.path().join(directory);
        // As the package has them before anything is installed.
        let copied =
            Command::new("cp").arg("-r").arg(root().join("examples/dokuwiki/app").join(directory)).arg(&copy).status();
        assert!(copied.unwrap().success());
        builder = builder.map_dir(format!("/app/{directory}"), copy, Access::ReadWrite);
    }
    let server = Server::start(builder.build().unwrap()).await;
    let base = format!("http://{}", server.addr);
    let (owner, visitor) = (client(), client());

    let install = format!("{base}/install.php");
    assert!(get(&owner, &install).await.contains("DokuWiki Installer"));
    let page = post(
        &owner,
        &install,
        &[
            ("l", "en"),
            ("d[title]", "Field notes"),
            ("d[acl]", "on"),
            ("d[superuser]", "ada"),
            ("d[fullname]", "Ada"),
            ("d[email]", "ada@example.org"),
            ("d[password]", "correct horse"),
            ("d[confirm]", "correct horse"),
            // Everybody reads, those who are logged in write.
            ("d[policy]", "1"),
            ("d[license]", "cc-by-sa"),
            ("submit", ""),
        ],
    )
    .await;
    assert!(page.contains("The configuration was finished successfully"), "{page}");

    let start = format!("{base}/doku.php?id=birds:robin");
    assert!(get(&visitor, &start).await.contains("This topic does not exist yet"));
    let login = format!("{start}&do=login");
    let sectok = token(&get(&owner, &login).await, "sectok");
    let fields =
        |password| [("sectok", sectok.as_str()), ("id", "birds:robin"), ("do", "login"), ("u", "ada"), ("p", password)];
    assert!(post(&owner, &login, &fields("wrong")).await.contains("username or password was wrong"));
    assert!(post(&owner, &login, &fields("correct horse")).await.contains("Logged in as"));

    let form = get(&owner, &format!("{start}&do=edit")).await;
    let fields = [
        ("sectok", token(&form, "sectok")),
        ("id", "birds:robin".to_owned()),
        ("rev", "0".to_owned()),
        ("date", token(&form, "date")),
        ("prefix", ".".to_owned()),
        ("suffix", String::new()),
        ("changecheck", token(&form, "changecheck")),
        ("target", "section".to_owned()),
        ("wikitext", "====== Robin ======\nIt **sings** in winter.\n\n{{birds:robin.png}}\n".to_owned()),
        ("summary", "seen today".to_owned()),
        ("do[save]", "1".to_owned()),
    ];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = post(&owner, &start, &fields).await;
    assert!(page.contains("It <strong>sings</strong> in winter."), "{page}");

    let picture = std::fs::read(root().join("examples/dokuwiki/app/lib/tpl/dokuwiki/images/logo.png")).unwrap();
    let upload = format!("{base}/lib/exe/ajax.php?call=mediaupload&ns=birds");
    let media = get(&owner, &format!("{base}/lib/exe/mediamanager.php?ns=birds")).await;
    let form = Form::new()
        .text("sectok", token(&media, "sectok"))
        .text("mediaid", "robin.png")
        .part("qqfile", Part::bytes(picture.clone()).file_name("robin.png"));
    let uploaded = owner.post(&upload).multipart(form).send().await.unwrap().text().await.unwrap();
    assert!(uploaded.contains("\"success\":true"), "{uploaded}");

    let page = get(&visitor, &start).await;
    assert!(page.contains("It <strong>sings</strong> in winter.") && !page.contains("Logged in as"), "{page}");
    let shown = visitor.get(format!("{base}/lib/exe/fetch.php?media=birds:robin.png")).send().await.unwrap();
    assert_eq!(shown.headers()["content-type"], "image/png");
    assert!(shown.bytes().await.unwrap() == picture, "the picture is not the one that was uploaded");
    let refused = get(&visitor, &format!("{start}&do=edit")).await;
    assert!(!refused.contains("name=\"wikitext\"") || refused.contains("readonly"), "{refused}");
    let revisions = get(&visitor, &format!("{start}&do=revisions")).await;
    assert!(revisions.contains("seen today"), "{revisions}");
    let found = get(&visitor, &format!("{base}/doku.php?do=search&q=winter")).await;
    assert!(found.contains("birds:robin"), "{found}");
    for private in ["/conf/users.auth.php", "/data/pages/birds/robin.txt", "/inc/init.php"] {
        assert_eq!(
            visitor.get(format!("{base}{private}")).send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{private}"
        );
    }
    assert!(Path::new(&wiki.path().join("data/pages/birds/robin.txt")).exists());
}
