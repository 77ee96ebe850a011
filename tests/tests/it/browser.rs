//! Chromium in a test, driven through chromedriver.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thirtyfour::error::WebDriverResult;
use thirtyfour::extensions::query::{ElementPollerWithTimeout, ElementQueryable};
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement};

/// A chromedriver on a free port. Ends when dropped, and its browsers with it.
pub(crate) struct Driver {
    process: Child,
    /// Kept open: it writes there at times.
    _stdout: BufReader<ChildStdout>,
    url: String,
}

impl Driver {
    pub(crate) fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; `cargo xtask setup` installs it where it can"));
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "chromedriver ended before it listened");
            if let Some((_, port)) = line.trim_end().rsplit_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        Self { process, _stdout: stdout, url: format!("http://127.0.0.1:{port}") }
    }

    /// A browser that knows nobody: no cookies, nothing cached.
    pub(crate) async fn browser(&self) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut capabilities = DesiredCapabilities::chrome();
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        for argument in arguments {
            capabilities.add_arg(&argument).unwrap();
        }
        let poller = ElementPollerWithTimeout::new(PATIENCE, Duration::from_millis(100));
        wcgi_tests::choose_tls();
        let driver = WebDriver::builder(&self.url, capabilities).poller(Arc::new(poller));
        Browser { driver: driver.await.expect("chromium starts"), _profile: profile }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Nothing can be done about a process that does not let itself be ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One browser window with a profile of its own.
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    _profile: TempDir,
}

impl Browser {
    /// The element that `css` selects, once it is there.
    pub(crate) async fn find(&self, css: &str) -> WebDriverResult<WebElement> {
        self.driver.query(By::Css(css)).desc(css).first().await
    }

    /// Waits until `script`, run in the page, returns true.
    pub(crate) async fn wait_for(&self, script: &str) -> WebDriverResult<()> {
        let begin = Instant::now();
        while !self.driver.execute(script, Vec::new()).await?.convert::<bool>()? {
            assert!(begin.elapsed() < PATIENCE, "never came true: {script}");
        }
        Ok(())
    }

    /// Clicks on what `css` selects, once it can be clicked.
    pub(crate) async fn click(&self, css: &str) -> WebDriverResult<()> {
        self.driver.query(By::Css(css)).desc(css).and_clickable().first().await?.click().await
    }

    /// Types `text` into the field that `css` selects, in place of what is there.
    pub(crate) async fn fill(&self, css: &str, text: &str) -> WebDriverResult<()> {
        let field = self.driver.query(By::Css(css)).desc(css).and_clickable().first().await?;
        field.clear().await?;
        field.send_keys(text).await
    }

    /// Types `text` wherever the cursor is.
    pub(crate) async fn type_on(&self, text: &str) -> WebDriverResult<()> {
        self.driver.active_element().await?.send_keys(text).await
    }

    /// Saves what is to be seen as `target/browser/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) -> WebDriverResult<()> {
        let directory = wcgi_tests::root().join("target/browser");
        std::fs::create_dir_all(&directory).unwrap();
        self.driver.screenshot(&directory.join(name).with_extension("png")).await
    }
}

/// How long a page may take: machines that run the tests are slow and do other things besides.
const PATIENCE: Duration = Duration::from_secs(60);
const ARGUMENTS: [&str; 11] = [
    "--headless",
    // The browser's own: there is none for root, and the pages are ours.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Without its driver it ends: nothing is left of a test that was killed.
    "--remote-debugging-pipe",
    "--window-size=1280,1000",
];
