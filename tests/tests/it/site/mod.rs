//! Sites: which script or file a path names, and how it is served. Scripts are `env` or the real php-cgi.

mod hidden;
mod live;
mod mounts;
mod path_info;
mod php;
mod routes;
mod source;
mod statics;

use std::fs;
use std::path::Path;

use http::{Method, Request};
use http_body_util::Full;
use tempfile::TempDir;
use tower_wcgi::{Access, Site, WcgiBuilder};
use wcgi_tests::{Reply, builder, request};

/// A directory with these files.
fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        write(dir.path(), path, content);
    }
    dir
}

fn write(dir: &Path, path: &str, content: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// `.php` files, each of which prints its environment, and all the rest of `dir`.
fn site(dir: &Path, settings: impl FnOnce(Site) -> Site) -> WcgiBuilder {
    let site = settings(Site::new("/app").scripts([".php"]));
    builder("env").map_dir("/app", dir, Access::ReadOnly).site(site)
}

fn asking(method: Method, target: &str, fields: &[(&'static str, &str)]) -> Request<Full<bytes::Bytes>> {
    let mut request = request(method, target, "");
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// What ran, or what was served: `SCRIPT_NAME` and `PATH_INFO`, or the status and the content.
fn summary(reply: &Reply) -> String {
    match (reply.variable("SCRIPT_NAME"), reply.variable("PATH_INFO")) {
        (Some(name), Some(info)) => format!("{name} + {info:?}"),
        _ if reply.headers.contains_key("location") => {
            format!("{} {}", reply.status.as_u16(), reply.header("location"))
        }
        _ => format!("{} {}", reply.status.as_u16(), reply.text()),
    }
}
