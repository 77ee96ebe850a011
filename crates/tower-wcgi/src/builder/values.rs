//! What settings and a package come to together: mounts, variables, the prefix, the network.

use std::path::{Path, PathBuf};

use crate::environ::Environ;
use crate::error::{Error, ErrorKind};
use crate::gateway;
use crate::host::{Quota, Quotas};
use crate::mount::{self, Access, Mount, TMP};
use crate::outbound::{self, NetRule, Outbound};
use crate::package::{self, Package};

/// What the script may connect to.
pub(super) fn outbound(
    package: &Package,
    rules: &[NetRule],
    as_asked: bool,
    connections: Option<usize>,
) -> Result<Outbound, Error> {
    let missing = outbound::not_granted(&package.asks, rules);
    if !missing.is_empty() && !as_asked {
        let list = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let options = missing.iter().map(|rule| format!("--net {}", rule.with_open_target()));
        let hint = format!("{}, or --net-as-asked", options.collect::<Vec<_>>().join(" "));
        return Err(setting(format!("nobody has granted what the package asks to connect to: {list}")).with_hint(hint));
    }
    let as_asked = if as_asked { package.asks.clone() } else { Vec::new() };
    // The operator's come last, as those count.
    let granted = package.connect.iter().chain(rules).cloned().collect();
    let mut limits = outbound::Limits::default();
    limits.connections = connections.unwrap_or(limits.connections);
    Ok(Outbound::new(granted, as_asked, limits))
}

pub(super) fn overlay(package: Vec<Mount>, over: Vec<(String, PathBuf, Access)>) -> Result<Vec<Mount>, Error> {
    if let Some((guest, host, _)) = over.iter().find(|(guest, host, _)| looks_swapped(guest, host)) {
        let host = host.display();
        let message = format!("mount {guest}: no directory {host}");
        return Err(setting(message).with_hint(format!(
            "the guest's path comes first: if {guest} is the host's, write `--mapdir {host}:{guest}`; otherwise create the directory"
        )));
    }
    let over = over
        .into_iter()
        .map(|(guest, host, access)| Ok(Mount { guest: mount::guest_path(&guest)?, host, access }))
        .collect::<Result<Vec<_>, Error>>()?;
    let mounts = mount::overlay(package, over);
    mount::check(&mounts)?;
    Ok(mounts)
}

/// What each of `mounts` may hold.
pub(super) fn quotas(mounts: &[Mount], wanted: &[(String, u64)]) -> Result<Quotas, Error> {
    let mut quotas = vec![None; mounts.len()];
    for (guest, bytes) in wanted {
        let guest = mount::guest_path(guest)?;
        let found = mounts.iter().zip(&mut quotas).find(|(mount, _)| mount.guest == guest);
        match found {
            Some((Mount { access: Access::ReadWrite, host, .. }, quota)) => *quota = Some(Quota::shared(host, *bytes)),
            Some(_) => return Err(setting(format!("quota for {guest}: the mount is read-only"))),
            None if guest == TMP => {
                let error = setting("quota for /tmp: no directory is mounted there");
                return Err(error.with_hint("max_tmp is what the private /tmp of a request may hold"));
            }
            None => return Err(setting(format!("quota for {guest}: no directory is mounted there"))),
        }
    }
    Ok(quotas.into())
}

/// Guest paths are absolute, and host paths must exist.
fn looks_swapped(guest: &str, host: &Path) -> bool {
    host.is_absolute() && !host.exists() && Path::new(guest).is_dir()
}

/// php-cgi writes its messages about `php.ini` before the head of its answer, where nothing may be. With this setting they are
/// in the log.
pub(super) fn keep_warnings_out_of_the_answer(arguments: &mut Vec<String>) {
    const SETTING: &str = "display_startup_errors=0";
    if !arguments.iter().any(|argument| argument == SETTING) {
        let at = arguments.len().min(1);
        arguments.splice(at..at, ["-d".to_owned(), SETTING.to_owned()]);
    }
}

/// The part of the environment that is the same for every request, each name once.
pub(super) fn environment(package: &[(String, String)], over: &[(String, String)]) -> Vec<(String, String)> {
    // The only place for temporary files. The stock php-cgi takes no upload without this variable.
    let mut env = vec![("TMPDIR".to_owned(), TMP.to_owned())];
    for (name, value) in package.iter().chain(over) {
        package::set_env(&mut env, name, value);
    }
    env.retain(|(name, _)| {
        let is_constant = !gateway::is_per_request(name);
        if !is_constant {
            tracing::warn!(name, "the variable belongs to each request and cannot be set; it is ignored");
        }
        is_constant
    });
    env
}

pub(super) fn environ(env: &[(String, String)]) -> Result<Environ, Error> {
    let mut environ = Environ::default();
    for (name, value) in env {
        environ
            .push(name, value)
            .map_err(|why| setting(format!("`{name}` cannot be an environment variable")).with_source(why))?;
    }
    Ok(environ)
}

/// Empty for the root, else with a slash before and none after.
pub(super) fn normal_mount(prefix: &str) -> Result<String, Error> {
    let segments: Vec<_> = prefix.split('/').filter(|segment| !segment.is_empty()).collect();
    let plain = |segment: &&str| !matches!(*segment, "." | "..") && !segment.contains(['%', '?', '#', '\0']);
    if !segments.iter().all(plain) {
        return Err(setting(format!("`{prefix}` cannot be a mount prefix")).with_hint("give a plain path, as /wiki"));
    }
    Ok(segments.iter().flat_map(|segment| ["/", segment]).collect())
}

pub(super) fn setting(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Package, message)
}
