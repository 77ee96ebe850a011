//! Programs the tests run beside scripts. A browser looks at pages as people do. lighttpd runs the same program as native CGI.
//! A registry keeps packages, and skopeo is a second client of it. Scripts are clients of databases. faketime lets a clock jump.
//!
//! They are Debian's packages where those can be installed, or else programs on the PATH.

use std::env;
use std::fs;
use std::path::Path;

use crate::fetch::apt_get;

/// Installs those that are missing, and says what is to be done where that is not possible: then their tests fail, and
/// nothing else does.
pub(crate) fn ensure() {
    for (program, packages) in PROGRAMS {
        if is_there(program) {
            println!("{program} is there");
            continue;
        }
        let install = ["install", "--yes", "--no-install-recommends"];
        match apt_get(Path::new("."), &[&install[..], packages].concat()) {
            Ok(_) if is_there(program) => println!("{program} is ready"),
            Ok(_) => println!("{program} is not there; its tests will fail"),
            Err(error) => println!(
                "{program}: {error:#}\n{program}: install it (Debian: {}); its tests fail without",
                packages.join(", ")
            ),
        }
    }
}

/// Servers lie where only root's PATH leads, and `PostgreSQL` in a folder for each version.
fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.map(|version| version.path().join("bin"));
    env::split_paths(&path).chain(["/usr/sbin".into()]).chain(versions).any(|folder| folder.join(program).is_file())
}

const PROGRAMS: [(&str, &[&str]); 8] = [
    ("chromedriver", &["chromium", "chromium-driver"]),
    ("lighttpd", &["lighttpd"]),
    ("docker-registry", &["docker-registry"]),
    ("skopeo", &["skopeo"]),
    ("redis-server", &["redis-server"]),
    ("postgres", &["postgresql"]),
    ("mariadbd", &["mariadb-server-core"]),
    ("faketime", &["faketime"]),
];
