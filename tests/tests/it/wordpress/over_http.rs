//! Installed, logged in to and read over HTTP.

use axum::Router;
use axum::routing::get;
use reqwest::{Client, Response, StatusCode, redirect};
use wcgi_tests::Server;
use wcgi_tests::wordpress::WordPress;

/// A client that keeps cookies and does not follow redirects.
fn client() -> Client {
    wcgi_tests::choose_tls();
    Client::builder().cookie_store(true).no_proxy().redirect(redirect::Policy::none()).build().unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_new_site_asks_to_be_installed() {
    let wordpress = WordPress::empty();
    let server = Server::start(wordpress.builder().build().unwrap()).await;
    let base = format!("http://{}", server.addr);
    let front = client().get(&base).send().await.unwrap();
    assert_eq!(front.status(), StatusCode::FOUND);
    assert_eq!(header(&front, "location"), format!("{base}/wp-admin/install.php"));
    let form = client().get(header(&front, "location")).send().await.unwrap();
    assert!(form.text().await.unwrap().contains("five-minute WordPress installation"));
}

/// One installation, served at the root and below a prefix at the same time, as links and cookies follow the request.
#[tokio::test]
async fn it_is_the_same_site_at_the_root_and_below_a_prefix() {
    let wordpress = WordPress::installed().await;
    std::fs::write(wordpress.uploads().join("notes.txt"), "uploaded").unwrap();
    std::fs::write(wordpress.uploads().join("shell.php"), "<?php echo 'uploaded';").unwrap();
    let service = wordpress.builder().build().unwrap();
    let root = Server::start(service.clone()).await;
    let router = Router::new().route("/", get(|| async { "not WordPress" })).nest_service("/blog", service);
    let nested = Server::start(router.into_service()).await;
    pages(&format!("http://{}", root.addr)).await;
    static_files(&format!("http://{}", root.addr)).await;
    session(&format!("http://{}", root.addr), "/").await;
    pages(&format!("http://{}/blog", nested.addr)).await;
    static_files(&format!("http://{}/blog", nested.addr)).await;
    session(&format!("http://{}/blog", nested.addr), "/blog/").await;
    let native = client().get(format!("http://{}/", nested.addr)).send().await.unwrap();
    assert_eq!(native.text().await.unwrap(), "not WordPress");
}

/// The front page, and what it links to: no link leads out of `base`.
async fn pages(base: &str) {
    let front = client().get(format!("{base}/")).send().await.unwrap();
    assert_eq!((front.status(), header(&front, "content-type")), (StatusCode::OK, "text/html; charset=UTF-8"));
    let front = front.text().await.unwrap();
    assert!(front.contains(&format!("<title>{}</title>", WordPress::TITLE)), "{front}");
    let host = base.split('/').take(3).collect::<Vec<_>>().join("/");
    let targets = front.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let found: Vec<_> = targets.filter(|target| target.starts_with(&host)).collect();
    assert!(found.iter().all(|link| link.starts_with(base)), "{found:?}");

    let post = found.iter().find(|link| link.ends_with("/hello-world/")).expect("a link to the first post");
    assert!(!post.contains('?') && !post.contains(".php"), "{post} is no pretty permalink");
    let page = client().get(*post).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.text().await.unwrap().contains("Welcome to WordPress. This is your first post."));
    // WordPress sends to the one address a page has.
    let unfinished = client().get(post.trim_end_matches('/')).send().await.unwrap();
    assert_eq!((unfinished.status(), header(&unfinished, "location")), (StatusCode::MOVED_PERMANENTLY, *post));

    let feed = client().get(format!("{base}/feed/")).send().await.unwrap();
    assert_eq!((feed.status(), header(&feed, "content-type")), (StatusCode::OK, "application/rss+xml; charset=UTF-8"));
    let rest = client().get(format!("{base}/wp-json/wp/v2/posts?search=hello")).send().await.unwrap();
    assert!(rest.text().await.unwrap().starts_with("[{\"id\":1,"));
    let missing = client().get(format!("{base}/no/such/page")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("Page not found"), "WordPress's own page");
}

async fn static_files(base: &str) {
    let url = format!("{base}/wp-includes/css/dist/block-library/style.min.css");
    let css = client().get(&url).send().await.unwrap();
    assert_eq!(css.status(), StatusCode::OK);
    assert!(header(&css, "content-type").starts_with("text/css"));
    let etag = header(&css, "etag").to_owned();
    let on_disk = std::fs::read(
        wcgi_tests::root().join("examples/wordpress/app/wp-includes/css/dist/block-library/style.min.css"),
    );
    assert!(css.bytes().await.unwrap() == on_disk.unwrap(), "the file is not what is on disk");
    let again = client().get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let part = client().get(&url).header("range", "bytes=0-9").send().await.unwrap();
    assert_eq!((part.status(), part.bytes().await.unwrap().len()), (StatusCode::PARTIAL_CONTENT, 10));
    let upload = client().get(format!("{base}/wp-content/uploads/notes.txt")).send().await.unwrap();
    assert_eq!(upload.text().await.unwrap(), "uploaded");
    for private in ["/wp-config.php", "/.stamps/app", "/wp-content/uploads/shell.php"] {
        let reply = client().get(format!("{base}{private}")).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::NOT_FOUND, "{private}");
    }
}

/// Is sent to the login, fails, logs in and sees the dashboard; the cookies are for `cookie_path` only.
async fn session(base: &str, cookie_path: &str) {
    let client = client();
    let refused = client.get(format!("{base}/wp-admin/")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FOUND);
    assert!(header(&refused, "location").starts_with(&format!("{base}/wp-login.php?")));
    let login = format!("{base}/wp-login.php");
    client.get(&login).send().await.unwrap();
    let fields = [("log", WordPress::USER), ("pwd", "wrong")];
    let wrong = client.post(&login).form(&fields).send().await.unwrap();
    assert!(wrong.text().await.unwrap().contains("is incorrect"));
    let fields = [("log", WordPress::USER), ("pwd", WordPress::PASSWORD)];
    let right = client.post(&login).form(&fields).send().await.unwrap();
    assert_eq!((right.status(), header(&right, "location")), (StatusCode::FOUND, format!("{base}/wp-admin/").as_str()));
    let cookies: Vec<_> = right.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap()).collect();
    let of_site =
        |cookie: &&str| cookie.starts_with("wordpress_logged_in_") && cookie.contains(&format!("path={cookie_path};"));
    assert!(cookies.iter().any(of_site), "{cookies:?}");
    let dashboard = client.get(format!("{base}/wp-admin/")).send().await.unwrap();
    assert_eq!(dashboard.status(), StatusCode::OK);
    assert!(dashboard.text().await.unwrap().contains("<title>Dashboard"));
}
