//! The values that options take as text.

use std::path::PathBuf;
use std::time::Duration;

use tower_wcgi::{Access, TrustedProxies};

/// The value of `--mapdir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MapDir {
    pub(crate) guest: String,
    pub(crate) host: PathBuf,
    pub(crate) access: Access,
}

/// Guest paths have no colon, host paths may (`C:\db`).
pub(crate) fn mapdir(text: &str) -> Result<MapDir, String> {
    let (guest, host) = text.split_once(':').ok_or("expected GUEST:HOST")?;
    let (host, access) = match host.rsplit_once(':') {
        Some((host, "ro")) => (host, Access::ReadOnly),
        Some((host, "rw")) => (host, Access::ReadWrite),
        _ => (host, Access::ReadWrite),
    };
    if guest.is_empty() || host.is_empty() {
        return Err("expected GUEST:HOST".to_owned());
    }
    Ok(MapDir { guest: guest.to_owned(), host: host.into(), access })
}

/// The value of `--quota`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) guest: String,
    pub(crate) bytes: u64,
}

pub(super) fn quota(text: &str) -> Result<Quota, String> {
    match text.rsplit_once('=') {
        Some((guest, bytes)) if !guest.is_empty() => Ok(Quota { guest: guest.to_owned(), bytes: size(bytes)? }),
        _ => Err("expected GUEST=SIZE".to_owned()),
    }
}

pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected a number of seconds, not negative".to_owned())
}

pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(A_SIZE.to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| A_SIZE)?;
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

pub(super) fn network(text: &str) -> Result<String, String> {
    match TrustedProxies::new([text]) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected an address or a network, such as 127.0.0.1 or 10.0.0.0/8".to_owned()),
    }
}

const A_SIZE: &str = "expected bytes, or a number with K, M, G, KB, MB, GB, KiB, MiB or GiB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("64", 64), ("64B", 64)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (units, bytes) in [(["K", "KB", "KiB", "k"], 1 << 10), (["M", "MB", "MiB", "mb"], 1 << 20)] {
            for unit in units {
                assert_eq!(size(&format!("3{unit}")), Ok(3 * bytes), "{unit}");
            }
        }
        for unit in ["G", "GB", "GiB", "g"] {
            assert_eq!(size(&format!("3{unit}")), Ok(3 << 30), "{unit}");
        }
        for text in [
            "",
            "M",
            "MiB",
            "1.5GiB",
            "-1",
            "1 MiB",
            "1T",
            "1iB",
            "1Mi",
            "1MMB",
            "99999999999999999999",
            "99999999999GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mapdirs() {
        let parsed = |guest: &str, host: &str, access| Ok(MapDir { guest: guest.into(), host: host.into(), access });
        assert_eq!(mapdir("/db:db"), parsed("/db", "db", Access::ReadWrite));
        assert_eq!(mapdir("/db:./db:ro"), parsed("/db", "./db", Access::ReadOnly));
        assert_eq!(mapdir("/db:/a:b:rw"), parsed("/db", "/a:b", Access::ReadWrite));
        assert_eq!(mapdir(r"/db:C:\db"), parsed("/db", r"C:\db", Access::ReadWrite));
        for text in ["", "/db", ":", "/db:", ":db", "/db::ro"] {
            assert!(mapdir(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for text in ["", "-1", "1s", "inf", "nan", "1e400"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
