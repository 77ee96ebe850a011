#!/bin/sh
# OpenSSL 3: libssl and libcrypto. Random numbers come from WASI's random_get. Certificates of authorities come from the file where Debian
# has them, unless a program or SSL_CERT_FILE names another.
. "$(dirname "$0")/common.sh"

cp "$(dirname "$0")/openssl.conf" Configurations/50-wasi.conf
# Not there: what needs threads, processes, a loader or a terminal; servers and datagrams; what TLS has given up.
sed -i 's#OPENSSLDIR "/cert.pem"#"/etc/ssl/certs/ca-certificates.crt"#' include/internal/common.h
perl Configure wasi no-afalgeng no-apps no-asm no-async no-autoload-config no-dgram no-docs no-dso no-dtls no-engine \
    no-http no-ktls no-legacy no-module no-multiblock no-posix-io no-quic no-secure-memory no-shared no-tests no-threads no-ui-console \
    no-aria no-bf no-camellia no-cast no-cmp no-ec2m no-gost no-idea no-md4 no-mdc2 no-ml-dsa no-rc2 no-rc4 no-seed no-siphash \
    no-slh-dsa no-sm2 no-sm3 no-sm4 no-srp no-whirlpool \
    --with-rand-seed=getrandom --prefix=/usr --openssldir=/etc/ssl
make -j"$JOBS" build_generated
make -j"$JOBS" libcrypto.a libssl.a
cp libcrypto.a libssl.a "$OUTPUT/lib"
cp -R include/openssl "$OUTPUT/include"
rm -f "$OUTPUT"/include/openssl/*.in
