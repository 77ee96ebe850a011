//! A `docker-registry` of the test's own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A registry on a free port of this machine. Killed when dropped; its storage may outlive it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) storage: PathBuf,
    _config: TempDir,
}

impl Server {
    /// An empty one.
    pub(crate) fn start(storage: &Path) -> Self {
        Self::with(storage, "", "")
    }

    /// One whose configuration has these lines too, those of `http` apart.
    pub(crate) fn with(storage: &Path, http: &str, rest: &str) -> Self {
        let config = tempfile::tempdir().unwrap();
        let file = config.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:0\n{http}\n{rest}\n",
            storage.display()
        );
        fs::write(&file, text).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.expect("docker-registry is not there; `cargo xtask setup` installs it");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listening = lines.find(|line| line.contains("listening on ")).expect("it listens");
        let address = listening.split("listening on ").nth(1).unwrap();
        let address = address.split([',', '"']).next().unwrap().replace("127.0.0.1", "localhost");
        // It must not wait for somebody who reads what it says. Ends with the child.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, storage: storage.to_owned(), _config: config }
    }

    /// A reference in it.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How many blobs it has, manifests among them.
    pub(crate) fn blobs(&self) -> usize {
        let folder = self.storage.join("docker/registry/v2/blobs/sha256");
        let prefixes = fs::read_dir(folder).into_iter().flatten().flatten();
        prefixes.map(|prefix| fs::read_dir(prefix.path()).unwrap().count()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
