#!/bin/sh
# libpq of PostgreSQL, with OpenSSL, over guests/sockets. What it needs of PostgreSQL's own libraries is in the same archive.
INCLUDES="-I$LIBRARIES/openssl/include"
. "$(dirname "$0")/common.sh"

export LDFLAGS="-L$LIBRARIES/openssl/lib"
# Found, or found to work, and not there.
for function in dlopen fork getpeerucred getpwuid_r getrlimit getrusage mkdtemp popen shm_open socketpair; do
    export "ac_cv_func_$function=no"
done
# In libpq.h.
export ac_cv_func_getpeereid=yes
./configure --host=wasm32-wasi --build="$(config/config.guess)" --prefix=/usr --with-template=netbsd --with-openssl --without-readline \
    --without-zlib --disable-thread-safety --disable-spinlocks --disable-rpath
make -C src/port pg_config_paths.h
make -C src/backend generated-headers
# There are no unix sockets to look for in a folder. So the host is localhost unless the program names one.
sed -i 's#define DEFAULT_PGSOCKET_DIR .*#define DEFAULT_PGSOCKET_DIR ""#' src/include/pg_config_manual.h

cd src
mkdir objects
compile="wasi-cc -include $(dirname "$SOCKETS")/lib/libpq.h -DFRONTEND -DUNSAFE_STAT_OK -DSO_MAJOR_VERSION=5 -fno-strict-aliasing -fwrapv
    -I. -Iinclude -Iport -Iinterfaces/libpq"
export compile
for file in fe-auth fe-auth-scram fe-connect fe-exec fe-lobj fe-misc fe-print fe-protocol3 fe-secure fe-secure-common fe-secure-openssl fe-trace \
    libpq-events pqexpbuffer; do
    echo "interfaces/libpq/$file"
done >list
for file in base64 cryptohash_openssl encnames fe_memutils hmac_openssl ip link-canary md5_common protocol_openssl psprintf saslprep scram-common \
    string stringinfo unicode_norm username wchar; do
    echo "common/$file"
done >>list
for file in chklocale inet_net_ntop noblock path pg_strong_random pgstrcasecmp pgstrsignal pqsignal snprintf strerror thread timingsafe_bcmp; do
    echo "port/$file"
done >>list
xargs -P "$JOBS" -I FILE sh -c 'exec $compile -c FILE.c -o objects/"$(basename FILE)".o' <list
wasi-ar rcs "$OUTPUT/lib/libpq.a" objects/*.o
cp interfaces/libpq/libpq-fe.h interfaces/libpq/libpq-events.h include/postgres_ext.h include/pg_config_ext.h "$OUTPUT/include"
