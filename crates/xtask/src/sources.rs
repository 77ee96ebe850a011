//! Libraries that guests and interpreters are built with: the C sources that crates carry, as crates.io can be had where
//! Debian's sources cannot.

use crate::fetch::Crate;

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
