#!/usr/bin/env bash
# Builds CPython for WASI with the main program beside this file. Called by `cargo xtask python`, with
#   WCGI_CC        the C compiler for WASI: a zig, `cc` and its target, so that `ar` is to be had in the same place
#   SOURCE         the archive of CPython's source
#   ZLIB, OPENSSL  folders with `include` and `lib` of these libraries, as `guests/lib` has built them
#   SOCKETS        guests/sockets
#   SQLITE         a directory with the amalgamation of SQLite
#   BUILD_PYTHON   a Python of the same minor version; empty: one is built from the same source first
#   WORK           a directory to build in, made anew
# Leaves WORK/python.wasm and WORK/python313.zip.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
jobs=$(nproc)
rm -rf "$WORK"
mkdir -p "$WORK/source" "$WORK/libraries" "$WORK/build"
tar -x -J --strip-components=1 -C "$WORK/source" -f "$SOURCE"

quietly() { # what it says is of interest only when it fails
  "$@" >"$WORK/log" 2>&1 || { tail -n 40 "$WORK/log" >&2; return 1; }
}

if [ -z "$BUILD_PYTHON" ]; then
  echo "python: building a native one, which the other is built with"
  mkdir "$WORK/native"
  cd "$WORK/native"
  quietly ../source/configure --without-ensurepip --disable-test-modules
  quietly make -j"$jobs" python
  quietly make -j"$jobs" sharedmods
  BUILD_PYTHON=$WORK/native/python
fi

echo "python: building SQLite and the sockets"
cd "$WORK/libraries"
flags=(-O3 -fno-sanitize=all -w -D_WASI_EMULATED_MMAN -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_SIGNAL
  -D_WASI_EMULATED_PROCESS_CLOCKS)
$WCGI_CC "${flags[@]}" -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_MATH_FUNCTIONS \
  -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_DQS=0 -DSQLITE_DEFAULT_MEMSTATUS=0 -c "$SQLITE/sqlite3.c" -o sqlite3.o
$WCGI_CC "${flags[@]}" -I"$SOCKETS/include" -c "$SOCKETS/sockets.c" -o sockets.o
archive="${WCGI_CC%% *} ar"
$archive rcs libsqlite3.a sqlite3.o
$archive rcs libwcgi-sockets.a sockets.o
cp "$SQLITE/sqlite3.h" .

echo "python: configuring"
cp "$here/python.c" "$here/settle.h" "$WORK/source/Programs"
for patch in "$here"/patches/*.patch; do
  patch --quiet -d "$WORK/source" -p1 --input "$patch"
done
cd "$WORK/build"
export CC="$WCGI_CC" AR="$archive" RANLIB=true OPT="-DNDEBUG -O3" CFLAGS="-fno-sanitize=all -w -D_WASI_EMULATED_MMAN"
# CPython insists on an OpenSSL for threads; there are none here. The libc's headers lack SOCK_RAW.
export CPPFLAGS="-I$SOCKETS/include -I$WORK/libraries -DWCGI_SQLITE -DOPENSSL_THREADS -DSOCK_RAW=3"
export LDFLAGS="-s -Wl,-z,stack-size=8388608" LIBS="-L$WORK/libraries -lwcgi-sockets"
export ZLIB_CFLAGS="-I$ZLIB/include" ZLIB_LIBS="-L$ZLIB/lib -lz"
export LIBSQLITE3_CFLAGS="-I$WORK/libraries" LIBSQLITE3_LIBS="-L$WORK/libraries -lsqlite3"
# Nothing of the machine it is built on, and none of what zig's libc declares and does not have. mmap is malloc there.
export PKG_CONFIG_LIBDIR=/nonexistent CONFIG_SITE="$WORK/source/Tools/wasm/config.site-wasm32-wasi"
for function in mmap dlopen epoll_create epoll_create1 setgroups memfd_create timerfd_create; do
  export "ac_cv_func_$function=no"
done
export ac_cv_header_libintl_h=no ac_cv_lib_dl_dlopen=no
for module in _bz2 _lzma _ctypes readline _curses _curses_panel _uuid _tkinter _gdbm _dbm; do
  export "py_cv_module_$module=n/a"
done
quietly ../source/configure --host=wasm32-wasip1 --build="$(../source/config.guess)" --with-build-python="$BUILD_PYTHON" \
  --with-pymalloc --without-ensurepip --disable-test-modules --enable-ipv6 --with-openssl="$OPENSSL"

echo "python: compiling"
# In place of options for the linker that zig's does not know.
link="-Wl,--initial-memory=20971520"
quietly make -j"$jobs" python.wasm CONFIGURE_LDFLAGS_NODIST="$link"
"$BUILD_PYTHON" "$here/library.py" "$WORK/source/Lib" "$WORK/python313.zip" "$here/wcgi_main.py" \
  "$here/_sysconfigdata__wasi_wasm32-wasi.py"
cp python.wasm "$WORK/python.wasm"
