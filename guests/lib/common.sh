# What the recipes of this folder share; each includes this first. `cargo xtask` calls them, with
#   WCGI_CC    the C compiler for WASI: a zig, `cc` and its target
#   SOURCE     the archive of the library's source, or a folder with it
#   SOCKETS    guests/sockets
#   LIBRARIES  where the libraries are that this one needs, each in a folder of its own
#   WORK       a folder to build in, made anew
#   OUTPUT     where `include` and `lib` go, made anew
#   JOBS       how many compilers may run at a time
# What a recipe makes holds no path of the machine and no time.
set -eu
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=0 PKG_CONFIG_LIBDIR=/nonexistent
rm -rf "$WORK" "$OUTPUT"
mkdir -p "$WORK/source" "$WORK/bin" "$OUTPUT/include" "$OUTPUT/lib"
if [ -d "$SOURCE" ]; then
    cp -R "$SOURCE/." "$WORK/source"
else
    tar -x --no-same-owner --strip-components=1 -C "$WORK/source" -f "$SOURCE"
fi

# The compiler under a name without a path, as some libraries keep the command line that they were compiled with.
flags="-O2 -g0 -fno-sanitize=all -w -D_WASI_EMULATED_MMAN -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_SIGNAL
    -D_WASI_EMULATED_PROCESS_CLOCKS -I$SOCKETS/include ${INCLUDES:-}"
zig=${WCGI_CC%% *}
cat >"$WORK/bin/wasi-cc" <<END
#!/bin/sh
exec $WCGI_CC $(echo $flags) -ffile-prefix-map=$WORK/source=. "\$@"
END
for tool in ar ranlib; do
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$zig" "$tool" >"$WORK/bin/wasi-$tool"
done
chmod +x "$WORK"/bin/*
PATH="$WORK/bin:$PATH"
cd "$WORK/source"

# For configure: the tools, and what a program is linked with, as functions are looked for by linking.
wasi-cc -c "$SOCKETS/sockets.c" -o "$WORK/sockets.o"
wasi-ar rcs "$WORK/libwcgi-sockets.a" "$WORK/sockets.o"
emulated="-lwasi-emulated-getpid -lwasi-emulated-signal -lwasi-emulated-process-clocks -lwasi-emulated-mman"
export CC=wasi-cc AR=wasi-ar RANLIB=wasi-ranlib CFLAGS="" LIBS="-L$WORK -lwcgi-sockets $emulated"
