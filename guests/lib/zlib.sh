#!/bin/sh
# zlib, without the functions for files.
. "$(dirname "$0")/common.sh"

for file in adler32 compress crc32 deflate infback inffast inflate inftrees trees uncompr zutil; do
    wasi-cc -c "$file.c"
done
wasi-ar rcs "$OUTPUT/lib/libz.a" ./*.o
cp zlib.h zconf.h "$OUTPUT/include"
