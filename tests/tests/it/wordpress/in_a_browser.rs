//! The life of a small site, in Chromium: it is installed, its owner writes a post with a picture, a visitor comments.
//! What was to be seen is left in `target/browser`.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;
use thirtyfour::error::WebDriverResult;
use thirtyfour::extensions::query::ElementQueryable;
use thirtyfour::{By, Key};
use wcgi_tests::wordpress::WordPress;
use wcgi_tests::{Server, root};

use crate::browser::{Browser, Driver};

#[tokio::test]
async fn a_site_is_installed_written_and_commented_on() {
    let wordpress = WordPress::empty();
    let server = Server::start(wordpress.builder().build().unwrap()).await;
    let base = format!("http://{}", server.addr);
    let driver = Driver::start();
    let (owner, visitor) = (driver.browser().await, driver.browser().await);
    let ended = AssertUnwindSafe(story(&owner, &visitor, &base)).catch_unwind().await;
    // Whatever happened: the pictures tell where it stood, and the browsers are closed.
    for (browser, name) in [(owner, "owner-at-the-end"), (visitor, "visitor-at-the-end")] {
        let _ = browser.screenshot(name).await;
        let _ = browser.driver.quit().await;
    }
    ended.unwrap_or_else(|panic| resume_unwind(panic)).unwrap();
    let pictures = walk(&wordpress.uploads());
    assert!(pictures.iter().any(|name| name == "screenshot.png"), "{pictures:?}");
    assert!(pictures.iter().any(|name| name == "screenshot-300x225.png"), "a smaller one is made: {pictures:?}");
}

async fn story(owner: &Browser, visitor: &Browser, base: &str) -> WebDriverResult<()> {
    install(owner, base).await?;
    log_in(owner).await?;
    let post = write_post(owner, base).await?;
    assert!(post.ends_with("/a-walk-by-the-sea/") && !post.contains('?'), "{post} is no pretty permalink");
    comment(visitor, &post).await?;
    approve(owner, base).await?;
    see_all_of_it(visitor, base, &post).await
}

async fn install(owner: &Browser, base: &str) -> WebDriverResult<()> {
    owner.driver.goto(base).await?;
    owner.fill("#weblog_title", WordPress::TITLE).await?;
    owner.fill("#user_login", WordPress::USER).await?;
    owner.fill("#pass1", WordPress::PASSWORD).await?;
    owner.fill("#admin_email", "ada@example.org").await?;
    owner.click("#submit").await?;
    owner.find(".install-success").await?;
    owner.screenshot("installed").await?;
    owner.click(".step a").await
}

async fn log_in(owner: &Browser) -> WebDriverResult<()> {
    owner.fill("#user_login", WordPress::USER).await?;
    owner.fill("#user_pass", WordPress::PASSWORD).await?;
    owner.click("#wp-submit").await?;
    owner.find("#dashboard-widgets").await?;
    owner.screenshot("dashboard").await
}

/// In the block editor: title, paragraph, and a picture chosen from the disk. The post's address.
async fn write_post(owner: &Browser, base: &str) -> WebDriverResult<String> {
    owner.driver.goto(format!("{base}/wp-admin/post-new.php")).await?;
    let canvas = "iframe[name=editor-canvas]";
    owner.find(canvas).await?;
    // The editor welcomes those who are new to it, and once more when it has heard what the server knows of them.
    let heard = "return performance.getEntriesByType('resource').some(entry => entry.name.includes('/users/me'))";
    owner.wait_for(heard).await?;
    owner.click(".components-modal__header button").await?;
    owner.driver.query(By::Css(".components-modal__screen-overlay")).wait_until_gone().await?;
    owner.find(canvas).await?.enter_frame().await?;
    owner.click(".wp-block-post-title").await?;
    owner.type_on(&format!("A walk by the sea{}", char::from(Key::Enter))).await?;
    owner.type_on(&format!("It was windy & bright.{}/image", char::from(Key::Enter))).await?;
    owner.driver.enter_default_frame().await?;
    owner.find(".components-autocomplete__result.is-selected").await?;
    owner.find(canvas).await?.enter_frame().await?;
    owner.type_on(&char::from(Key::Enter).to_string()).await?;
    let picture =
        root().join("examples/wordpress/app/wp-content/themes/twentytwentyfour/screenshot.png").canonicalize().unwrap();
    owner.find(".wp-block-image input[type=file]").await?.send_keys(picture.display().to_string()).await?;
    // Until it is uploaded, the editor shows the file on the disk.
    owner.find(".wp-block-image img[src*='/wp-content/uploads/']").await?;
    owner.driver.enter_default_frame().await?;
    owner.screenshot("editor").await?;
    owner.click(".editor-post-publish-panel__toggle:not([aria-disabled=true])").await?;
    owner.click(".editor-post-publish-button:not([aria-disabled=true])").await?;
    let link = owner.find(".post-publish-panel__postpublish-buttons a").await?;
    Ok(link.prop("href").await?.unwrap_or_default())
}

async fn comment(visitor: &Browser, post: &str) -> WebDriverResult<()> {
    visitor.driver.goto(post).await?;
    visitor.fill("#comment", "Lovely <3 picture!").await?;
    visitor.fill("#author", "Ben").await?;
    visitor.fill("#email", "ben@example.org").await?;
    visitor.click("#commentform [type=submit]").await?;
    let held_back = visitor.find(".comment-awaiting-moderation").await?;
    assert!(held_back.text().await?.contains("awaiting moderation"));
    Ok(())
}

async fn approve(owner: &Browser, base: &str) -> WebDriverResult<()> {
    owner.driver.goto(format!("{base}/wp-admin/edit-comments.php?comment_status=moderated")).await?;
    let row = owner.find("#the-comment-list tr.unapproved").await?;
    assert!(row.text().await?.contains("Lovely <3 picture!"));
    // What can be done with it shows when the pointer is there.
    row.scroll_into_view().await?;
    owner.driver.action_chain().move_to_element_center(&row).perform().await?;
    owner.click("#the-comment-list tr.unapproved .approve a").await?;
    owner.driver.query(By::Css(".subsubsub .pending-count")).with_text("0").first().await?;
    Ok(())
}

async fn see_all_of_it(visitor: &Browser, base: &str, post: &str) -> WebDriverResult<()> {
    visitor.driver.goto(base).await?;
    visitor.screenshot("front-page").await?;
    visitor.driver.query(By::LinkText("A walk by the sea")).first().await?.click().await?;
    visitor.find("#commentform").await?;
    assert_eq!(visitor.driver.current_url().await?.as_str(), post);
    let text = visitor.find("body").await?.text().await?;
    for wanted in ["A walk by the sea", "It was windy & bright.", "One response", "Lovely <3 picture!"] {
        assert!(text.contains(wanted), "{wanted:?} is not in {text:?}");
    }
    let picture = visitor.find(".wp-block-image img").await?;
    picture.scroll_into_view().await?;
    let loaded = visitor.driver.query(By::Css(".wp-block-image img")).with_property("complete", "true").first().await?;
    assert_ne!(loaded.prop("naturalWidth").await?.as_deref(), Some("0"), "the picture is broken");
    visitor.screenshot("post").await
}

/// The names of the files below `directory`.
fn walk(directory: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            names.extend(walk(&entry.path()));
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names
}
