//! Sources of the libraries that guests and interpreters are built with. Some are C sources that crates carry; Debian has the others.

use crate::fetch::{Crate, DebianSource};

/// hiredis 0.13.3, in `source`.
pub(crate) const HIREDIS: Crate = Crate {
    name: "hiredis-sys",
    version: "0.4.1",
    sha256: "236458586a3ffa2d4979bd73c0b86b83297ebbebba172e1607ecf2151f8aa958",
};

/// zlib 1.3.2, in `src/zlib`.
pub(crate) const ZLIB: Crate = Crate {
    name: "libz-sys",
    version: "1.1.31",
    sha256: "ff20308ecabd635a2dc1dd5834a86c462cca20efba1d5d3ddab1f8aea3455cb2",
};

/// The amalgamation of SQLite 3.54.1, in `sqlite3`.
pub(crate) const SQLITE: Crate = Crate {
    name: "libsqlite3-sys",
    version: "0.40.0",
    sha256: "b06e69070b7e12262b0cd90832f0a7396f142a2b330181255562decf9f0c6215",
};

/// OpenSSL 3.5, which gets security updates until April 2030.
pub(crate) const OPENSSL: DebianSource = DebianSource {
    name: "openssl",
    suite: "trixie",
    version: None,
    file: "openssl_3.5.7.orig.tar.gz",
    sha256: "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
    megabytes: 53,
};

/// libcurl.
pub(crate) const CURL: DebianSource = DebianSource {
    name: "curl",
    suite: "trixie",
    version: None,
    file: "curl_8.14.1.orig.tar.gz",
    sha256: "6766ada7101d292b42b8b15681120acd68effa4a9660935853cf6d61f0d984d4",
    megabytes: 4,
};

/// libpq, a part of `PostgreSQL`.
pub(crate) const POSTGRESQL: DebianSource = DebianSource {
    name: "postgresql-15",
    suite: "bookworm",
    version: None,
    file: "postgresql-15_15.18.orig.tar.bz2",
    sha256: "11df0df97fe3ea4ba9a791faaf39cee1d2fe571e78885b5b55d8517d27c323b4",
    megabytes: 23,
};
