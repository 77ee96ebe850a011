#!/usr/bin/env bash
# debian-rust.sh OUT: Debian's Rust compiler and a std for wasm32-wasip1 built from Debian's own source of it, unpacked
# privately in OUT; for a machine where rustup cannot add the target. No root; about 140 MB to fetch, then a minute.
#
# Leaves OUT/rustc (the compiler, with its libraries found) and OUT/sysroot (the std). WCGI_CC is the C compiler
# for WASI as a command line; it makes OUT/shim.o, which every program links.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
target=wasm32-wasip1

# The packages carry versions in their names: the standard library is what -dev depends on, and LLVM what that does.
dependency() {
    apt-cache depends "$1" | grep -m 1 -oE "$2" || {
        echo "apt knows no $1 that depends on $2: run 'apt-get update' as root, or it is not in this release" >&2
        exit 1
    }
}
std=$(dependency libstd-rust-web-dev 'libstd-rust-web-[0-9.]+')
llvm=$(dependency "$std" 'libllvm[0-9]+')
mkdir -p "$out/packages"
(cd "$out/packages" && apt-get -qq download rustc-web "$std" libstd-rust-web-dev "$llvm" rust-web-src wasi-libc)
for package in "$out"/packages/*.deb; do dpkg -x "$package" "$out/unpacked"; done
rm -rf "$out/packages"

libraries=("$out"/unpacked/usr/lib/*-linux-gnu)
cat >"$out/rustc" <<EOF
#!/bin/sh
LD_LIBRARY_PATH='${libraries[0]}' exec '$out/unpacked/usr/bin/rustc' "\$@"
EOF
chmod +x "$out/rustc"

# Cargo builds the std of an empty crate; what it leaves is the sysroot.
libc=$out/unpacked/usr/lib/wasm32-wasi
mkdir -p "$out/empty/src"
: >"$out/empty/src/lib.rs"
cat >"$out/empty/Cargo.toml" <<'EOF'
[package]
name = "empty"
version = "0.0.0"
edition = "2021"
[workspace]
[profile.release]
panic = "abort"
opt-level = "s"
EOF
(cd "$out/empty" && env RUSTC="$out/rustc" RUSTC_BOOTSTRAP=1 \
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-L native=$libc -C embed-bitcode=yes" \
    cargo build --quiet --release -Zbuild-std=std,panic_abort --target "$target" --target-dir "$out/empty/target")
lib=$out/sysroot/lib/rustlib/$target/lib
mkdir -p "$lib/self-contained"
cp "$out/empty/target/$target"/release/deps/lib*.rlib "$lib/"
rm -rf "$lib"/libempty-* "$out/empty"
cp "$libc"/crt1-command.o "$libc"/crt1-reactor.o "$libc"/libc.a "$lib/self-contained/"

# shellcheck disable=SC2086 # a command line, not a file
$WCGI_CC -Os -c -o "$out/shim.o" "$here/shim.c"
