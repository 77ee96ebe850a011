#!/bin/sh
# libcurl for HTTP and HTTPS, by OpenSSL, over guests/sockets. Names are looked up by the host, and certificates of authorities come from the file
# where Debian has them, unless a program names another.
INCLUDES="-I$LIBRARIES/openssl/include -I$LIBRARIES/zlib/include"
. "$(dirname "$0")/common.sh"

export LDFLAGS="-L$LIBRARIES/openssl/lib -L$LIBRARIES/zlib/lib"
# Found, or found to work, and not there.
for function in alarm fork geteuid getppid getpwuid getpwuid_r getrlimit if_nametoindex pipe pipe2 eventfd sendmmsg sigaction siginterrupt sigsetjmp \
    socketpair utime utimes; do
    export "ac_cv_func_$function=no" "curl_disallow_$function=yes"
done
sed -i '/#include <setjmp.h>/d' lib/hostip.h lib/hostip.c
./configure --host=wasm32-wasi --build="$(./config.guess)" --prefix=/usr --disable-shared --enable-static --with-openssl --with-zlib \
    --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt --without-ca-path --disable-threaded-resolver --disable-socketpair \
    --disable-unix-sockets --enable-ipv6 --disable-docs --disable-manual --disable-dict --disable-file --disable-ftp --disable-gopher \
    --disable-imap --disable-ipfs --disable-ldap --disable-mqtt --disable-ntlm --disable-pop3 --disable-rtsp --disable-smb --disable-smtp \
    --disable-telnet --disable-tftp --disable-tls-srp --disable-websockets --without-brotli --without-libidn2 --without-libpsl --without-libssh2 \
    --without-nghttp2 --without-zstd
make -C lib -j"$JOBS" libcurl.la
cp lib/.libs/libcurl.a "$OUTPUT/lib"
cp -R include/curl "$OUTPUT/include"
rm -f "$OUTPUT"/include/curl/Makefile*
