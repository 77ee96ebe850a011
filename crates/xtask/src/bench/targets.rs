//! What is aimed at, and whether a run got there.

use super::findings::Findings;
use super::http::{HELLO_C, LIGHTTPD_PHP, NATIVE, NGINX_PHP, PAGE, PHP, PHP_SNAPSHOT, WASMER};
use super::memory::{BLOCKED, PACKAGES_EACH, PACKAGES_WARM};
use super::sites;
use super::spin::BESIDE;
use super::start::{BUILT, SECOND};
use super::stream::{NATIVE_IN, NATIVE_OUT, SCRIPT_IN, SCRIPT_OUT};
use super::wordpress::{LIGHTTPD_WORDPRESS, NGINX_WORDPRESS, WORDPRESS_SNAPSHOT};

/// One line of the table.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    bound: Bound,
    unit: &'static str,
    measured: fn(&Findings, f64) -> Option<f64>,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    pub(crate) fn bound(&self) -> String {
        match self.bound {
            Bound::AtMost(value) => format!("≤ {value}{}", self.unit),
            Bound::AtLeast(value) => format!("≥ {value}{}", self.unit),
        }
    }

    /// What a run on this many cores measured, and whether that is enough; nothing if it was not measured.
    pub(crate) fn judge(&self, findings: &Findings, cores: usize) -> Option<(String, bool)> {
        let measured = (self.measured)(findings, cores as f64)?;
        let met = match self.bound {
            Bound::AtMost(value) => measured <= value,
            Bound::AtLeast(value) => measured >= value,
        };
        Some((format!("{measured:.2}{}", self.unit), met))
    }
}

pub(crate) const TARGETS: [Target; 25] = [
    Target {
        what: "in-process hello (C), `call` to the last byte, against the floor",
        bound: Bound::AtMost(1.4),
        unit: "×",
        measured: |found, _| Some(found.call("hello/call/1")? / found.call("hello/floor/1")?),
    },
    Target {
        what: "the same from two threads against one",
        bound: Bound::AtLeast(1.7),
        unit: "×",
        measured: |found, _| Some(found.call("hello/call/1")? / found.call("hello/call/2")?),
    },
    Target {
        what: "HTTP hello (C) against the native axum route, 32 connections",
        bound: Bound::AtLeast(0.45),
        unit: "×",
        measured: |found, _| Some(found.rate(HELLO_C, 32)? / found.rate(NATIVE, 32)?),
    },
    Target {
        what: "PHP hello at 8 connections against lighttpd with native php-cgi",
        bound: Bound::AtLeast(8.0),
        unit: "×",
        measured: |found, _| Some(found.rate(PHP, 8)? / found.rate(LIGHTTPD_PHP, 8)?),
    },
    Target {
        what: "PHP hello at 8 connections against the in-process floor × cores",
        bound: Bound::AtLeast(0.85),
        unit: "×",
        measured: |found, cores| Some(found.rate(PHP, 8)? / (1e9 / found.call("php/floor/1")? * cores)),
    },
    Target {
        what: "hello page (C) against Wasmer, one connection",
        bound: Bound::AtLeast(8.0),
        unit: "×",
        measured: |found, _| Some(found.rate(PAGE, 1)? / found.rate(WASMER, 1)?),
    },
    Target {
        what: "second start of a PHP package, process start to first byte",
        bound: Bound::AtMost(60.0),
        unit: " ms",
        measured: |found, _| found.value(SECOND),
    },
    Target {
        what: "resident memory of each of 1,000 exchanges (C) blocked on a slow client",
        bound: Bound::AtMost(120.0),
        unit: " KiB",
        measured: |found, _| found.value(BLOCKED),
    },
    Target {
        what: "resident memory of each of 1,000 idle packages in one engine",
        bound: Bound::AtMost(300.0),
        unit: " KiB",
        measured: |found, _| found.value(PACKAGES_EACH),
    },
    Target {
        what: "the 1,000 packages opened, warm cache",
        bound: Bound::AtMost(10.0),
        unit: " s",
        measured: |found, _| found.value(PACKAGES_WARM),
    },
    Target {
        what: "streaming out, against a native axum handler",
        bound: Bound::AtLeast(0.6),
        unit: "×",
        measured: |found, _| Some(found.stream(SCRIPT_OUT)?.rate.median() / found.stream(NATIVE_OUT)?.rate.median()),
    },
    Target {
        what: "streaming in, against a native axum handler",
        bound: Bound::AtLeast(0.5),
        unit: "×",
        measured: |found, _| Some(found.stream(SCRIPT_IN)?.rate.median() / found.stream(NATIVE_IN)?.rate.median()),
    },
    Target {
        what: "memory grown while streaming out, at most",
        bound: Bound::AtMost(8.0),
        unit: " MiB",
        measured: |found, _| Some(found.stream(SCRIPT_OUT)?.growth.max() / MIB),
    },
    Target {
        what: "memory grown while streaming in, at most",
        bound: Bound::AtMost(8.0),
        unit: " MiB",
        measured: |found, _| Some(found.stream(SCRIPT_IN)?.growth.max() / MIB),
    },
    Target {
        what: "p99 of a native route while 64 guests spin",
        bound: Bound::AtMost(5.0),
        unit: " ms",
        measured: |found, _| found.value(BESIDE),
    },
    Target {
        what: "PHP hello in a snapshot, 8 connections, against nginx with php-fpm",
        bound: Bound::AtLeast(0.6),
        unit: "×",
        measured: |found, _| Some(found.rate(PHP_SNAPSHOT, 8)? / found.rate(NGINX_PHP, 8)?),
    },
    Target {
        what: "the same against lighttpd with native php-cgi",
        bound: Bound::AtLeast(60.0),
        unit: "×",
        measured: |found, _| Some(found.rate(PHP_SNAPSHOT, 8)? / found.rate(LIGHTTPD_PHP, 8)?),
    },
    Target {
        what: "WordPress front page in a snapshot, 8 connections, against nginx with php-fpm",
        bound: Bound::AtLeast(0.4),
        unit: "×",
        measured: |found, _| Some(found.rate(WORDPRESS_SNAPSHOT, 8)? / found.rate(NGINX_WORDPRESS, 8)?),
    },
    Target {
        what: "the same against lighttpd with native php-cgi",
        bound: Bound::AtLeast(1.5),
        unit: "×",
        measured: |found, _| Some(found.rate(WORDPRESS_SNAPSHOT, 8)? / found.rate(LIGHTTPD_WORDPRESS, 8)?),
    },
    Target {
        what: "a freshly started server with a built package, process start to first byte",
        bound: Bound::AtMost(100.0),
        unit: " ms",
        measured: |found, _| found.value(BUILT),
    },
    Target {
        what: "memory of the server with WordPress in a snapshot at 8 connections, what is mapped several times counted once",
        bound: Bound::AtMost(150.0),
        unit: " MiB",
        measured: |found, _| Some(found.proportional(WORDPRESS_SNAPSHOT, 8)? / MIB),
    },
    Target {
        what: "forty PHP sites that differ in one variable, opened with an empty cache",
        bound: Bound::AtMost(30.0),
        unit: " s",
        measured: |found, _| found.value(sites::COLD),
    },
    Target {
        what: "resident memory of each of the forty sites",
        bound: Bound::AtMost(3.0),
        unit: " MB",
        measured: |found, _| found.value(sites::EACH_COLD),
    },
    Target {
        what: "their cache, all together",
        bound: Bound::AtMost(200.0),
        unit: " MB",
        measured: |found, _| found.value(sites::CACHE),
    },
    Target {
        what: "the forty sites opened by a new process, all in the cache",
        bound: Bound::AtMost(0.5),
        unit: " s",
        measured: |found, _| found.value(sites::WARM),
    },
];

const MIB: f64 = (1 << 20) as f64;
