//! A WordPress for a test: `examples/wordpress` with a data base and uploads of its own.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tower_wcgi::{Access, WcgiBuilder};

use crate::{Reply, ask, engine, example, request, root};

/// What one WordPress keeps. Gone when dropped.
#[derive(Debug)]
pub struct WordPress {
    directory: TempDir,
}

impl WordPress {
    /// The name its administrator logs in with.
    pub const USER: &str = "ada";
    /// The administrator's password.
    pub const PASSWORD: &str = "correct horse battery staple";
    /// The title of its front page.
    pub const TITLE: &str = "Notes";

    /// One that asks to be installed.
    ///
    /// # Panics
    ///
    /// When the temporary directory cannot be made.
    #[must_use]
    pub fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let wordpress = Self { directory };
        for path in [wordpress.db(), wordpress.uploads()] {
            std::fs::create_dir(path).expect("a new directory");
        }
        wordpress
    }

    /// One that has been installed, as a person does it in a browser, with [`USER`](Self::USER) as its administrator, one
    /// post and one comment.
    ///
    /// # Panics
    ///
    /// When it cannot be installed.
    pub async fn installed() -> Self {
        let wordpress = Self::empty();
        let reply = wordpress.install().await;
        assert!(reply.text().contains("WordPress has been installed"), "{} {}", reply.status, reply.text());
        wordpress
    }

    /// The directory with the data base, mounted at `/db`. A copy of it is another site.
    #[must_use]
    pub fn db(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    /// The directory with the uploaded files.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.directory.path().join("uploads")
    }

    /// A service of it, to be set up further.
    ///
    /// # Panics
    ///
    /// When WordPress has not been put together or there is no room for an engine.
    pub fn builder(&self) -> WcgiBuilder {
        let package = root().join("examples/wordpress");
        assert!(package.join("app/wp-load.php").exists(), "WordPress is not there; `cargo xtask setup` fetches it");
        example("wordpress")
            .map_dir("/db", self.db(), Access::ReadWrite)
            .map_dir("/app/wp-content/uploads", self.uploads(), Access::ReadWrite)
            .engine(engine().build().expect("an engine"))
            // Machines that run the tests are slow and do other things besides.
            .deadline(Duration::from_secs(100))
    }

    async fn install(&self) -> Reply {
        let service = self.builder().build().expect("a service");
        let form = format!(
            "weblog_title={}&user_name={}&admin_password={password}&admin_password2={password}&admin_email=ada%40example.org&blog_public=1",
            Self::TITLE,
            Self::USER,
            password = Self::PASSWORD.replace(' ', "+"),
        );
        let mut request = request(http::Method::POST, "/wp-admin/install.php?step=2", form);
        let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(http::header::CONTENT_TYPE, form);
        ask(&service, request).await
    }
}
