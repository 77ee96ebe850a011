//! The servers this one is compared with: lighttpd with native CGI programs, nginx with php-fpm, Wasmer. They are
//! found on the PATH, or installed from Debian's packages if possible. A missing one is left out, and the report says so.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::process::{Server, free_address};
use super::setting::Setting;
use crate::program;

/// Installs what is missing, if this may.
pub(crate) fn install() {
    let wanted = [
        ("wrk", "wrk"),
        ("gcc", "gcc"),
        ("lighttpd", "lighttpd"),
        ("nginx", "nginx-light"),
        ("php-cgi", "php-cgi"),
        ("php-fpm", "php-fpm"),
    ];
    let mut missing: Vec<_> =
        wanted.iter().filter(|(name, _)| find(name).is_err()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return;
    }
    // What WordPress needs.
    missing.extend(["php-sqlite3", "php-xml", "php-mbstring"]);
    println!("bench: installing {} by apt-get", missing.join(", "));
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&missing);
    // At this runlevel no package starts its server.
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    if let Err(error) = program::run(&mut apt) {
        println!("bench: {error:#}; what needs them is left out");
    }
}

/// The C guest `hello`, compiled for this machine.
pub(crate) fn native_hello(setting: &Setting<'_>) -> Result<PathBuf> {
    let output = setting.directory.join("cgi/hello.cgi");
    create_parent(&output)?;
    let mut gcc = Command::new(find("gcc")?);
    // The one name in it that only WASI's errors have.
    gcc.args(["-std=gnu17", "-O2", "-s", "-DENOTCAPABLE=4095", "-o"]).arg(&output);
    program::run(gcc.arg(setting.workspace.guest_sources().join("hello.c")))?;
    Ok(output)
}

/// lighttpd, which starts a process for each request: `.cgi` itself, `.php` by php-cgi. Its files are called `name`.
pub(crate) fn lighttpd(setting: &Setting<'_>, name: &str, root: &Path) -> Result<Server> {
    let address = free_address()?;
    let php = find("php-cgi").map_or_else(|_| String::new(), |path| path.display().to_string());
    let config = format!(
        "server.modules = (\"mod_cgi\")\n\
         server.document-root = \"{root}\"\n\
         server.bind = \"{ip}\"\n\
         server.port = {port}\n\
         index-file.names = (\"index.php\")\n\
         cgi.assign = (\".cgi\" => \"\", \".php\" => \"{php}\")\n",
        root = root.display(),
        ip = address.ip(),
        port = address.port(),
    );
    let path = setting.directory.join(name).with_extension("conf");
    write(&path, &config)?;
    let mut lighttpd = Command::new(find("lighttpd")?);
    lighttpd.arg("-D").arg("-f").arg(&path);
    Server::start_at(name, vec![lighttpd], address, None, &path.with_extension("log"))
}

/// nginx and php-fpm, whose workers stay for the next request. A worker for each connection that is measured, up to 8 a
/// core: more only wait for each other.
/// Their files are in a directory called `name`.
pub(crate) fn nginx(setting: &Setting<'_>, name: &str, root: &Path) -> Result<Server> {
    let address = free_address()?;
    let directory = setting.directory.join(name);
    // A socket left by an earlier run would look like one that somebody listens on.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(directory.join("tmp"))?;
    let (fpm_path, nginx_path) = (directory.join("php-fpm.conf"), directory.join("nginx.conf"));
    let is_root = program::capture(Command::new("id").arg("-u"))?.trim() == "0";
    let workers = setting.cores * 8;
    write(&fpm_path, &fpm_config(&directory, workers, is_root))?;
    write(&nginx_path, &nginx_config(&directory, address, root, is_root))?;

    let mut fpm = Command::new(find("php-fpm")?);
    fpm.arg("--nodaemonize").arg("--fpm-config").arg(&fpm_path);
    if is_root {
        fpm.arg("--allow-to-run-as-root");
    }
    let mut nginx = Command::new(find("nginx")?);
    nginx.arg("-p").arg(&directory).arg("-c").arg(&nginx_path).arg("-e").arg(directory.join("error.log"));
    Server::start_at(name, vec![fpm, nginx], address, Some(&directory.join("php.sock")), &directory.join("stderr.log"))
}

fn fpm_config(directory: &Path, workers: usize, is_root: bool) -> String {
    let user = if is_root { "user = root\ngroup = root\n" } else { "" };
    let directory = directory.display();
    format!(
        "[global]\nerror_log = {directory}/php-fpm.log\n\
         [www]\n{user}listen = {directory}/php.sock\nlisten.backlog = 511\n\
         pm = static\npm.max_children = {workers}\n"
    )
}

fn nginx_config(directory: &Path, address: SocketAddr, root: &Path, is_root: bool) -> String {
    let user = if is_root { "user root;\n" } else { "" };
    let (directory, root) = (directory.display(), root.display());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {directory}/tmp/{kind};\n"))
        .collect();
    format!(
        "{user}daemon off;\nworker_processes auto;\npid {directory}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n{temporary}\
         \x20 server {{\n    listen {address};\n    root {root};\n    index index.php;\n\
         \x20   location / {{ try_files $uri $uri/ /index.php?$args; }}\n\
         \x20   location ~ \\.php$ {{\n      fastcgi_pass unix:{directory}/php.sock;\n\
         \x20     fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n\
         \x20     fastcgi_param SCRIPT_NAME $fastcgi_script_name;\n\
         \x20     fastcgi_param DOCUMENT_ROOT $document_root;\n\
         \x20     fastcgi_param REQUEST_URI $request_uri;\n\
         \x20     fastcgi_param QUERY_STRING $query_string;\n\
         \x20     fastcgi_param REQUEST_METHOD $request_method;\n\
         \x20     fastcgi_param CONTENT_TYPE $content_type;\n\
         \x20     fastcgi_param CONTENT_LENGTH $content_length;\n\
         \x20     fastcgi_param SERVER_PROTOCOL $server_protocol;\n\
         \x20     fastcgi_param GATEWAY_INTERFACE CGI/1.1;\n\
         \x20     fastcgi_param SERVER_NAME $server_name;\n\
         \x20     fastcgi_param SERVER_PORT $server_port;\n\
         \x20     fastcgi_param HTTP_HOST $http_host;\n\
         \x20     fastcgi_param REMOTE_ADDR $remote_addr;\n\
         \x20     fastcgi_param REDIRECT_STATUS 200;\n\
         \x20   }}\n  }}\n}}\n"
    )
}

/// Wasmer's own server, the last version that had one, built by Cargo below `target/bench/wasmer`.
pub(crate) fn wasmer(setting: &Setting<'_>, name: &str, package: &Path) -> Result<Server> {
    let root = setting.directory.join("wasmer");
    let program = root.join("bin/wasmer");
    if !program.exists() {
        println!("bench: building Wasmer {WASMER_VERSION}, which takes a quarter of an hour, once");
        let mut install = Command::new("cargo");
        // Without a compiler it runs nothing, and none is a default.
        install.args(["install", "--locked", "--version", WASMER_VERSION, "--features", "cranelift", "wasmer-cli"]);
        install.arg("--root").arg(&root);
        program::run(install.env("CARGO_TARGET_DIR", root.join("target")))?;
    }
    let address = free_address()?;
    let mut wasmer = Command::new(program);
    wasmer.arg("run").arg(package).args(["--addr", &address.to_string()]).env("WASMER_DIR", root.join("home"));
    Server::start_at(name, vec![wasmer], address, None, &root.join("stderr.log"))
}

/// What a program of this name, or of this name and a version (`php-fpm8.2`), says first when asked for its version.
pub(crate) fn version(name: &str) -> Option<String> {
    let mut command = Command::new(find(name).ok()?);
    // Some say it on stderr, and not all with success.
    let output = command.arg("-v").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned()).filter(|line| !line.is_empty())
}

/// A program of this name, or of this name and a version (`php-fpm8.2`), on the PATH or where Debian has servers.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    for directory in env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]) {
        let exact = directory.join(name);
        if exact.is_file() {
            return Ok(exact);
        }
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let versioned = |path: &PathBuf| {
            let file_name = path.file_name().and_then(|file_name| file_name.to_str()).unwrap_or_default();
            let version = file_name.strip_prefix(name).unwrap_or_default();
            !version.is_empty() && version.chars().all(|c| c.is_ascii_digit() || c == '.')
        };
        if let Some(found) = entries.flatten().map(|entry| entry.path()).filter(versioned).max() {
            return Ok(found);
        }
    }
    bail!("there is no {name}")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn create_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a file has a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))
}

/// The last with WCGI.
pub(crate) const WASMER_VERSION: &str = "7.1.0";
