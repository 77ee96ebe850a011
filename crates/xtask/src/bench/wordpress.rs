//! WordPress's front page, here, by nginx with php-fpm and by lighttpd with php-cgi; each site was installed the same way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::client::Client;
use super::findings::Findings;
use super::http::{Contender, measure};
use super::peers;
use super::process::{Output, Server};
use super::setting::Setting;
use crate::program;

pub(crate) fn run(setting: &Setting<'_>, findings: &mut Findings) -> Result<()> {
    let package = setting.workspace.examples().join("wordpress");
    let Some(tree) = tree(&package) else {
        findings.note(WORDPRESS, "left out: examples/wordpress is not assembled");
        return Ok(());
    };
    let ours = findings.keep(WORDPRESS, ours(setting, &package, "wordpress-db", &["--no-snapshot"]));
    let snapshot = findings.keep(
        WORDPRESS_SNAPSHOT,
        setting.on_snapshot_php("wordpress").and_then(|package| started_twice(setting, &package)),
    );
    let cgi = findings.keep(LIGHTTPD_WORDPRESS, native(setting, &tree, "lighttpd-wordpress", peers::lighttpd));
    let fpm = findings.keep(NGINX_WORDPRESS, native(setting, &tree, "nginx-wordpress", peers::nginx));
    let of = |name, server| Contender { name, server, path: "/", says: SAYS, connections: &[1, 8] };
    let mut contenders = Vec::new();
    contenders.extend(ours.as_ref().map(|server| of(WORDPRESS, server)));
    contenders.extend(snapshot.as_ref().map(|server| of(WORDPRESS_SNAPSHOT, server)));
    contenders.extend(cgi.as_ref().map(|server| of(LIGHTTPD_WORDPRESS, server)));
    contenders.extend(fpm.as_ref().map(|server| of(NGINX_WORDPRESS, server)));
    // A page takes a hundred milliseconds and more.
    measure(setting, findings, &contenders, setting.duration * 2)
}

/// Where WordPress lies in the package: beside its `wp-load.php`.
fn tree(package: &Path) -> Option<PathBuf> {
    let below = fs::read_dir(package).ok()?.flatten().map(|entry| entry.path());
    [package.to_owned()].into_iter().chain(below).find(|directory| directory.join("wp-load.php").is_file())
}

fn ours(setting: &Setting<'_>, package: &Path, database: &str, options: &[&str]) -> Result<Server> {
    let database = fresh(setting, database)?;
    setting.add_php(&setting.cache())?;
    let mut wcgi = setting.wcgi();
    wcgi.args(["run", "--quiet", "--addr", "127.0.0.1:0", "--cache-dir"]).arg(setting.cache()).args(options);
    wcgi.arg("--mapdir").arg(format!("/db:{}", database.display())).arg(package);
    let server = Server::start("wcgi (WordPress)", &mut wcgi, Output::Stderr)?;
    install(&server)?;
    Ok(server)
}

/// What compiling it once left in memory is not measured.
fn started_twice(setting: &Setting<'_>, package: &Path) -> Result<Server> {
    drop(ours(setting, package, "wordpress-snapshot-db", &[])?);
    ours(setting, package, "wordpress-snapshot-db", &[])
}

/// The same files, copied, as a site writes to its own, and with a configuration that has its database there too.
fn native(
    setting: &Setting<'_>,
    tree: &Path,
    name: &str,
    start: impl FnOnce(&Setting<'_>, &str, &Path) -> Result<Server>,
) -> Result<Server> {
    let root = fresh(setting, &format!("{name}-site"))?;
    program::run(Command::new("cp").arg("-a").arg(tree.join(".")).arg(&root))?;
    let database = root.join("wp-content/database");
    fs::create_dir_all(&database)?;
    let config = CONFIG.replace("DATABASE", &database.display().to_string());
    fs::write(root.join("wp-config.php"), config).context("cannot write wp-config.php")?;
    let server = start(setting, name, &root)?;
    install(&server)?;
    Ok(server)
}

/// What the installer's form sends.
fn install(server: &Server) -> Result<()> {
    let form = format!(
        "weblog_title={SAYS}&user_name=admin&admin_password={PASSWORD}&admin_password2={PASSWORD}&pw_weak=1\
         &admin_email=admin%40example.org&blog_public=0"
    );
    let reply = Client::connect(server.address)?.post_form("/wp-admin/install.php?step=2", &form)?;
    let text = String::from_utf8_lossy(&reply.body);
    if reply.status != 200 || !text.contains("wp-login.php") {
        bail!("the installer answers {}: {}", reply.status, text.chars().take(2000).collect::<String>());
    }
    Ok(())
}

/// An empty directory.
fn fresh(setting: &Setting<'_>, name: &str) -> Result<PathBuf> {
    let directory = setting.directory.join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}

const WORDPRESS: &str = "WordPress front page";
pub(crate) const WORDPRESS_SNAPSHOT: &str = "WordPress front page, in a snapshot";
pub(crate) const LIGHTTPD_WORDPRESS: &str = "lighttpd, native php-cgi, WordPress";
pub(crate) const NGINX_WORDPRESS: &str = "nginx, php-fpm, WordPress";
/// The site's title.
const SAYS: &str = "Benchmarked";
/// Nobody logs in, and the site is thrown away.
const PASSWORD: &str = "measured-not-used";
const CONFIG: &str = "<?php
define('DB_NAME', 'wordpress'); define('DB_USER', ''); define('DB_PASSWORD', ''); define('DB_HOST', 'localhost');
define('DB_CHARSET', 'utf8'); define('DB_COLLATE', '');
define('DB_DIR', 'DATABASE/'); define('DB_FILE', '.ht.sqlite');
$table_prefix = 'wp_';
define('DISABLE_WP_CRON', true); define('WP_HTTP_BLOCK_EXTERNAL', true); define('AUTOMATIC_UPDATER_DISABLED', true);
if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }
require_once ABSPATH . 'wp-settings.php';
";
