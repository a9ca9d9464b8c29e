# Sourced by the Makefile: sets up what the build needs beside a Rust toolchain, a C++ compiler and make.
#
# Finds or installs libclang (Debian package, else PyPI wheel), which RocksDB's bindings are made with, and prepares
# RocksDB's library (deploy/rocksdb.sh). Safe to run again: what is there is used.

set -eu

say() { printf 'setup: %s\n' "$*" >&2; }

need() {
    command -v "$1" >/dev/null 2>&1 || { say "expected \`$1\` on the PATH, found none. $2"; exit 1; }
}

# The minimum version stands once, in Cargo.toml. It is compared here, offline: a rust-toolchain.toml would make rustup
# download a channel, and says nothing to a compiler that a distribution installed.
version_wanted="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)"
need cargo "Install Rust $version_wanted or newer from https://rustup.rs."
version_found="$(rustc --version | cut -d ' ' -f 2)"
if [ "$(printf '%s\n' "$version_wanted" "${version_found%%-*}" | sort -V | head -n 1)" != "$version_wanted" ]; then
    say "expected Rust $version_wanted or newer, found $version_found ($(command -v rustc)). Run \`rustup update stable\`."
    exit 1
fi

need c++ "Install a C++ compiler, for example \`apt-get install g++\`."

libclang_folder() {
    for folder in "${LIBCLANG_PATH:-}" /usr/lib/llvm-*/lib /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu /usr/lib64 /usr/local/lib "$CBDC_CACHE"/libclang/clang/native; do
        [ -n "$folder" ] || continue
        for library in "$folder"/libclang.so "$folder"/libclang.so.* "$folder"/libclang-[0-9]*.so*; do
            [ -e "$library" ] && { printf '%s\n' "$folder"; return 0; }
        done
    done
    return 1
}

install_libclang() {
    if command -v apt-get >/dev/null 2>&1; then
        as_root=""
        [ "$(id -u)" = 0 ] || as_root="sudo -n"
        say "installing libclang-dev (needed once, to compile RocksDB's bindings)"
        if $as_root apt-get update -qq >&2 && $as_root apt-get install -y -qq --no-install-recommends libclang-dev >&2; then
            return 0
        fi
    fi
    say "installing libclang from PyPI into $CBDC_CACHE/libclang"
    need python3 "Without root rights, Python 3 with pip is needed to fetch libclang."
    python3 -m pip install --quiet --target "$CBDC_CACHE/libclang" libclang >&2
}

CBDC_CACHE="${CBDC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cbdc-ledger}"
mkdir -p "$CBDC_CACHE"
# The target directory lies outside the clone and is shared by all clones: RocksDB is compiled once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CBDC_CACHE/target}"

folder="$(libclang_folder)" || { install_libclang; folder="$(libclang_folder)"; } || {
    say "expected libclang after installing it, found none; set LIBCLANG_PATH to the folder that holds libclang.so"
    exit 1
}
case "$folder" in
    # The wheel must be pointed at, and brings no headers of its own: the compiler's serve. A system's libclang is found
    # without help, and LIBCLANG_PATH stays unset, since RocksDB is compiled anew whenever it changes.
    "$CBDC_CACHE"/*)
        export LIBCLANG_PATH="$folder"
        export BINDGEN_EXTRA_CLANG_ARGS="-I$(${CC:-cc} -print-file-name=include)"
        ;;
esac

# RocksDB is compiled once, outside of cargo's target directory; where that cannot be had, `librocksdb-sys` compiles it.
if [ -z "${ROCKSDB_LIB_DIR:-}" ] && library="$(deploy/rocksdb.sh "$CBDC_CACHE")"; then
    export ROCKSDB_LIB_DIR="$library" ROCKSDB_STATIC=1
fi
set +eu
