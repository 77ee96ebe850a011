//! The servers that scripts are clients of: those of Debian, each with its data in a folder of its own, and one for HTTPS. All end when
//! they are dropped, and the databases also when their test is killed.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::{fs, io};

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::net::unix::pipe::Receiver;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// A process that is a server. Killed when dropped.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts it and waits until a line of its log has `ready`.
    async fn start(mut command: Command, ready: &str) -> Self {
        let (log, writer) = io::pipe().expect("a pipe");
        let other = writer.try_clone().expect("a descriptor");
        let child = command.stdout(other).stderr(writer).spawn().expect("set-up installs it");
        // It has descriptors of the pipe, whose end could not be seen.
        drop(command);
        let server = Self(child);
        let log = Receiver::from_owned_fd(log.into()).expect("a pipe");
        let mut lines = BufReader::new(log).lines();
        let mut said = Vec::new();
        loop {
            let line = lines.next_line().await.expect("a log");
            let line = line.unwrap_or_else(|| panic!("it has ended: {}", said.join("\n")));
            if line.contains(ready) {
                break;
            }
            said.push(line);
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        server
    }
}

/// A program of a server, as a user who is not root: they refuse root.
fn program(path: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    }
    command.arg(path).env("HOME", "/nonexistent").current_dir("/");
    command
}

/// A folder that such a program may write.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    give(folder.path());
    folder
}

fn give(path: &Path) {
    if is_root() {
        let nobody = NOBODY.parse().ok();
        chown(path, nobody, nobody).expect("root may do that");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    let output = command.output().expect("set-up installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A port that was free a moment ago; nobody else is given it at once.
///
/// # Panics
///
/// When no port is free.
pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// `PostgreSQL`, with the database `postgres`, the user `wcgi` and [`PASSWORD`].
#[derive(Debug)]
pub struct Postgres {
    /// Where it listens.
    pub port: u16,
    _server: Server,
    _data: TempDir,
}

impl Postgres {
    /// One that speaks TLS too, with a certificate of `ca` for the name `db`.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start(ca: &Authority) -> Self {
        let data = folder();
        let path = |name: &str| data.path().join(name);
        fs::write(path("password"), PASSWORD).expect("a file");
        give(&path("password"));
        let cluster = path("cluster");
        let mut initdb = program(&postgres("initdb"));
        initdb.args(["--auth=scram-sha-256", "--username=wcgi", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        run(initdb.arg("--pwfile").arg(path("password")).arg("--pgdata").arg(&cluster));
        let [certificate, key] = ca.files(data.path(), "db");

        let port = free_port().await;
        let mut server = program(&postgres("postgres"));
        server.arg("-D").arg(&cluster).args(["-p", &port.to_string(), "-F"]);
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", data.path().display()),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificate.display()),
            format!("ssl_key_file={}", key.display()),
        ];
        for setting in settings {
            server.args(["-c", &setting]);
        }
        let server = Server::start(server, "ready to accept connections").await;
        Self { port, _server: server, _data: data }
    }
}

fn postgres(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("`cargo xtask setup` installs PostgreSQL");
    let mut found: Vec<_> = versions
        .flatten()
        .map(|version| version.path().join("bin").join(program))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().expect("`cargo xtask setup` installs PostgreSQL")
}

/// `MariaDB`, with the database `wcgi`, the user `wcgi` and [`PASSWORD`], on a unix socket.
#[derive(Debug)]
pub struct MariaDb {
    _server: Server,
    data: TempDir,
}

impl MariaDb {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start() -> Self {
        let data = folder();
        let path = |name: &str| data.path().join(name);
        let mut install = program(Path::new("mariadb-install-db"));
        install.arg("--no-defaults").arg(format!("--datadir={}", path("data").display()));
        run(install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]));
        let init = path("init.sql");
        let sql =
            format!("create database wcgi;\ncreate user wcgi identified by '{PASSWORD}';\ngrant all on *.* to wcgi;\n");
        fs::write(&init, sql).expect("a file");
        give(&init);
        let mut server = program(Path::new("/usr/sbin/mariadbd"));
        server.args(["--no-defaults", "--skip-networking", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"]);
        server.arg(format!("--datadir={}", path("data").display()));
        server.arg(format!("--socket={}", path("db.sock").display()));
        server.arg(format!("--pid-file={}", path("pid").display())).arg(format!("--init-file={}", init.display()));
        let server = Server::start(server, "ready for connections").await;
        Self { _server: server, data }
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data.path().join("db.sock")
    }
}

/// Redis, on a unix socket and a port.
#[derive(Debug)]
pub struct Redis {
    /// Where it listens.
    pub port: u16,
    _server: Server,
    data: TempDir,
}

impl Redis {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start() -> Self {
        let data = folder();
        let port = free_port().await;
        let mut server = program(Path::new("redis-server"));
        server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
        server.arg("--unixsocket").arg(data.path().join("redis.sock")).args(["--unixsocketperm", "777"]);
        server.arg("--dir").arg(data.path());
        let server = Server::start(server, "ready to accept connections").await;
        Self { port, _server: server, data }
    }

    /// Where it listens, too.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data.path().join("redis.sock")
    }
}

/// A certificate authority of the test's own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// One that nobody else knows.
    ///
    /// # Panics
    ///
    /// When there are no random numbers.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("random numbers");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Python insists on it, and on a certificate that names its authority's key.
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Nobody else's: not that of the certificates, or they would seem to be signed by themselves.
        params.distinguished_name.push(DnType::CommonName, format!("{:x?}", key.public_key_raw().get(..8)));
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A folder with `ca.pem`, the bundle of those who believe it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn bundle(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), &self.pem).expect("a file");
        folder
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("random numbers");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.use_authority_key_identifier_extension = true;
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// A certificate for `name` and its key, as files that a database reads.
    fn files(&self, folder: &Path, name: &str) -> [PathBuf; 2] {
        let (certificate, key) = self.certificate(name);
        [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())].map(|(file, pem)| {
            let path = folder.join(file);
            fs::write(&path, pem).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner may");
            give(&path);
            path
        })
    }
}

/// A server for HTTPS. Ends when dropped.
#[derive(Debug)]
pub struct Https {
    /// Where it listens.
    pub addr: SocketAddr,
    task: AbortHandle,
}

impl Https {
    /// Serves `router` under the name that `ca` has certified.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start(ca: &Authority, name: &str, router: Router) -> Self {
        crate::choose_tls();
        let (certificate, key) = ca.certificate(name);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).expect("a pair");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                connections.spawn(async move {
                    // A client that does not believe the certificate leaves.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let service = TowerToHyperService::new(router);
                        let builder = auto::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { addr, task: task.abort_handle() }
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Of the databases' user.
pub const PASSWORD: &str = "a secret";

const NOBODY: &str = "65534";
