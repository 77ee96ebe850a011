#!/bin/sh
# Builds php-cgi.wasm from the sources in the current directory (php, sqlite, zlib, libpng, libjpeg, libxml2), which are as their authors
# made them. `cargo xtask php` fetches and unpacks them and calls this. In the environment:
#   WCGI_CC         zig cc -target wasm32-wasi, zig with its path
#   WCGI_PHP_COUNT  if it is set, what is built counts which opcode handler comes after which (README.md)
set -eu
zig=${WCGI_CC%% *}
export CC="$WCGI_CC" AR="$zig ar" RANLIB="$zig ranlib"
ours=$(cd "$(dirname "$0")" && pwd)
here=$(pwd)
wasi="$ours/wasi"
jobs=$(nproc 2>/dev/null || echo 2)

# Real longjmp by wasm exceptions; what the C library emulates.
longjmp="-mexception-handling -mllvm -wasm-enable-sjlj -mllvm -wasm-use-legacy-eh=false"
emulated="-D_WASI_EMULATED_MMAN -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS"
flags="-Os -fno-sanitize=all -w -D_GNU_SOURCE $emulated $longjmp"
export CFLAGS="$flags -include $wasi/compat.h"
export LDFLAGS="-lwasi-emulated-getpid -lwasi-emulated-signal -lwasi-emulated-process-clocks -Wl,-z,stack-size=8388608"

step() {
    printf 'php: %s\n' "$*"
}
# Runs a command and shows what it said only when it fails.
quietly() {
    if ! "$@" >"$here/log" 2>&1; then
        tail -n 40 "$here/log"
        echo "php: $* failed; $here/log has all it said" >&2
        exit 1
    fi
}

# compile FLAG... SOURCE.c...: an object of each source here, which zig makes of the first only when it is given several.
compile() {
    options=""
    while case $1 in -*) true ;; *) false ;; esac; do
        options="$options $1"
        shift
    done
    printf '%s\n' "$@" | xargs -P "$jobs" -n 1 $CC $flags $options -c
}

step "SQLite"
cd "$here/sqlite"
quietly patch -p1 --input "$ours/patches/sqlite-wal.patch"
sqlite_options="-DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_COLUMN_METADATA
    -DSQLITE_EXTRA_INIT=wasi_sqlite_extra_init -DSQLITE_DEFAULT_UNIX_VFS=\"unix\""
quietly $CC $CFLAGS -O2 $sqlite_options -c sqlite3.c
quietly $CC $CFLAGS -I. -c "$wasi/sqlite-host.c"
quietly $AR rcs libsqlite3.a sqlite3.o sqlite-host.o

step "zlib"
cd "$here/zlib"
quietly compile -O2 -DHAVE_UNISTD_H adler32.c compress.c crc32.c deflate.c gzclose.c gzlib.c gzread.c gzwrite.c infback.c \
    inffast.c inflate.c inftrees.c trees.c uncompr.c zutil.c
quietly $AR rcs libz.a ./*.o

step "libpng"
cd "$here/libpng"
cp scripts/pnglibconf.h.prebuilt pnglibconf.h
quietly compile -O2 -I"$here/zlib" png.c pngerror.c pngget.c pngmem.c pngpread.c pngread.c pngrio.c pngrtran.c pngrutil.c \
    pngset.c pngtrans.c pngwio.c pngwrite.c pngwtran.c pngwutil.c
quietly $AR rcs libpng.a ./*.o

step "libjpeg-turbo"
cd "$here/libjpeg"
cp "$wasi/jconfig.h" "$wasi/jconfigint.h" .
sed 's/@COPYRIGHT_YEAR@/2023/' jversion.h.in >jversion.h
quietly compile -O2 jaricom.c jcapimin.c jcapistd.c jcarith.c jccoefct.c jccolor.c jcdctmgr.c jchuff.c jcicc.c jcinit.c \
    jcmainct.c jcmarker.c jcmaster.c jcomapi.c jcparam.c jcphuff.c jcprepct.c jcsample.c jctrans.c jdapimin.c jdapistd.c \
    jdarith.c jdatadst.c jdatasrc.c jdcoefct.c jdcolor.c jddctmgr.c jdhuff.c jdicc.c jdinput.c jdmainct.c jdmarker.c \
    jdmaster.c jdmerge.c jdphuff.c jdpostct.c jdsample.c jdtrans.c jerror.c jfdctflt.c jfdctfst.c jfdctint.c jidctflt.c \
    jidctfst.c jidctint.c jidctred.c jmemmgr.c jmemnobs.c jquant1.c jquant2.c jsimd_none.c jutils.c
quietly $AR rcs libjpeg.a ./*.o

step "libxml2"
cd "$here/libxml2"
cp "$here/php/build/config.sub" . # its own knows no WASI
quietly patch -p1 --input "$ours/patches/libxml2-stack-limit.patch"
quietly ./configure --host=wasm32-wasi --disable-shared --without-catalog --without-debug --without-ftp --without-http \
    --with-iconv --without-icu --without-legacy --without-lzma --without-modules --without-python --without-threads --without-zlib
quietly make -j"$jobs" libxml2.la

step "patching PHP"
cd "$here/php"
for patch in "$ours"/patches/0*.patch; do
    quietly patch -p1 --input "$patch"
done
awk -f "$ours/patches/tail-calls.awk" "$ours/patches/likely-next.txt" Zend/zend_vm_execute.h >tail-calls.h
mv tail-calls.h Zend/zend_vm_execute.h

step "configuring PHP"
# Functions that are found, or found to work, where they are not.
missing="mmap getrusage sigaction popen socketpair mmap_fixed_mapped"
for function in $missing; do
    export "ac_cv_func_$function=no"
done
# In wasi/compat.c or the C library, where compat.h keeps configure from finding them.
for function in asprintf atoll fdatasync flock getcwd mkstemp putenv setenv strtoll symlink unsetenv usleep vasprintf; do
    export "ac_cv_func_$function=yes"
done
export SQLITE_CFLAGS="-I$here/sqlite" SQLITE_LIBS="-L$here/sqlite -lsqlite3"
export ZLIB_CFLAGS="-I$here/zlib" ZLIB_LIBS="-L$here/zlib -lz"
export PNG_CFLAGS="-I$here/libpng" PNG_LIBS="-L$here/libpng -lpng"
export JPEG_CFLAGS="-I$here/libjpeg" JPEG_LIBS="-L$here/libjpeg -ljpeg"
export LIBXML_CFLAGS="-I$here/libxml2/include" LIBXML_LIBS="-L$here/libxml2/.libs -lxml2"
quietly ./configure --host=wasm32-wasi \
    --disable-all --enable-cgi --disable-cli --disable-phpdbg --disable-phar --disable-rpath \
    --without-pcre-jit --disable-zend-signals --disable-fiber-asm --without-valgrind \
    --enable-bcmath --enable-calendar --enable-ctype --enable-dom --enable-exif --enable-fileinfo --enable-filter \
    --enable-gd --enable-mbstring --disable-mbregex --enable-pdo --enable-session --enable-simplexml --enable-tokenizer \
    --enable-xml --enable-xmlreader --enable-xmlwriter --with-iconv --with-jpeg --with-libxml --with-pdo-sqlite --with-sqlite3 --with-zlib

step "opcache and what the C library lacks"
mkdir objects
for source in compat opcache-memory; do
    quietly $CC $CFLAGS -I. -IZend -Imain -ITSRM -Iext/opcache -c "$wasi/$source.c" -o objects/$source.o
done
quietly $CC -c "$wasi/longjmp-tag.s" -o objects/longjmp-tag.o
quietly $CC $flags -O2 -fno-builtin -msimd128 -c "$wasi/memory.c" -o objects/memory.o
quietly $CC $flags -O2 -fno-builtin -c "$wasi/malloc.c" -o objects/malloc.o
# Its own configuration makes a shared library of it, or nothing.
for source in ZendAccelerator zend_accelerator_blacklist zend_accelerator_debug zend_accelerator_hash \
    zend_accelerator_module zend_accelerator_util_funcs zend_file_cache zend_persist zend_persist_calc zend_shared_alloc; do
    quietly $CC $CFLAGS -O2 -include "$wasi/opcache.h" -DZEND_ENABLE_STATIC_TSRMLS_CACHE=1 -I. -IZend -Imain -ITSRM \
        -Iext/opcache -c ext/opcache/$source.c -o objects/$source.o
done

step "compiling PHP"
# Faster code where the time goes, small code elsewhere.
hot='Zend/[^/]*|main/.*|ext/(json|pcre|pdo|pdo_sqlite|spl|standard)/.*'
sed -E -i -e "s#-c (/[^ ]*/php/($hot)\.c) #-O3 -c \1 #" -e "s#-c /[^ ]*/Zend/zend_execute\.c #-mtail-call &#" -e 's/-export-dynamic//g' -e "s#^EXTRA_LIBS =#EXTRA_LIBS = $(echo objects/*.o)#" Makefile
quietly make -j"$jobs" cgi EXTRA_CFLAGS="-DPHP_WASI_OPCACHE ${WCGI_PHP_COUNT:+-DPHP_WASI_COUNT} -I$wasi"
cp sapi/cgi/php-cgi "$here/php-cgi.wasm"
