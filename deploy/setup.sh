# Sourced by the Makefile, from the root of the repository: sets up what the build needs beside a Rust toolchain, a C++
# compiler and make.
#
# Finds or installs libclang (Debian package, else PyPI wheel), which RocksDB's bindings are made with, and prepares
# RocksDB's library (deploy/rocksdb.sh); with CBDC_WITHOUT_ROCKSDB=1 neither, for builds that do not need it. Safe to
# run again: what is there is used. Returns 1, with one line that says why, where something is missing.

cbdc_say() { printf 'setup: %s\n' "$*" >&2; }

cbdc_need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    cbdc_say "expected \`$1\` on the PATH, found none. $2"
    return 1
}

# The minimum version stands once, in Cargo.toml. It is compared here, offline: a rust-toolchain.toml would make rustup
# download a channel, and says nothing to a compiler that a distribution installed.
cbdc_check_rust() {
    local wanted found
    wanted="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)"
    cbdc_need cargo "Install Rust $wanted or newer from https://rustup.rs." || return 1
    found="$(rustc --version | cut -d ' ' -f 2)"
    [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" = "$wanted" ] && return 0
    cbdc_say "expected Rust $wanted or newer, found $found ($(command -v rustc)). Run \`rustup update stable\`."
    return 1
}

cbdc_libclang_folder() {
    local folder library
    for folder in "${LIBCLANG_PATH:-}" /usr/lib/llvm-*/lib /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu \
        /usr/lib64 /usr/local/lib "$CBDC_CACHE"/libclang/clang/native; do
        [ -n "$folder" ] || continue
        for library in "$folder"/libclang.so "$folder"/libclang.so.* "$folder"/libclang-[0-9]*.so*; do
            [ -e "$library" ] && { printf '%s\n' "$folder"; return 0; }
        done
    done
    return 1
}

cbdc_install_libclang() {
    local as_root=""
    if command -v apt-get >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || as_root="sudo -n"
        cbdc_say "installing libclang-dev (needed once, to compile RocksDB's bindings)"
        if $as_root apt-get update -qq >&2 &&
            $as_root apt-get install -y -qq --no-install-recommends libclang-dev >&2; then
            return 0
        fi
    fi
    cbdc_say "installing libclang from PyPI into $CBDC_CACHE/libclang"
    cbdc_need python3 "Without root rights, Python 3 with pip is needed to fetch libclang." || return 1
    python3 -m pip install --quiet --target "$CBDC_CACHE/libclang" libclang >&2
}

cbdc_set_up_rocksdb() {
    local folder library
    cbdc_need c++ "Install a C++ compiler, for example \`apt-get install g++\`." || return 1
    folder="$(cbdc_libclang_folder)" || { cbdc_install_libclang && folder="$(cbdc_libclang_folder)"; } || {
        cbdc_say "expected libclang after installing it, found none;" \
            "set LIBCLANG_PATH to the folder that holds libclang.so"
        return 1
    }
    case "$folder" in
        # The wheel must be pointed at, and brings no headers of its own: the compiler's serve. A system's libclang is
        # found without help, and LIBCLANG_PATH stays unset, since RocksDB's bindings are made again whenever it
        # changes.
        "$CBDC_CACHE"/*)
            export LIBCLANG_PATH="$folder"
            export BINDGEN_EXTRA_CLANG_ARGS="-I$(${CC:-cc} -print-file-name=include)"
            ;;
    esac
    # RocksDB is compiled once, outside of cargo's target directory; where that cannot be had, `librocksdb-sys` does it.
    if [ -z "${ROCKSDB_LIB_DIR:-}" ] && library="$(deploy/rocksdb.sh "$CBDC_CACHE")"; then
        export ROCKSDB_LIB_DIR="$library" ROCKSDB_STATIC=1
    fi
}

cbdc_set_up() {
    CBDC_CACHE="${CBDC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cbdc-ledger}"
    mkdir -p "$CBDC_CACHE" || return 1
    # The target directory lies outside the clone and is shared by all clones.
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CBDC_CACHE/target}"
    cbdc_check_rust || return 1
    [ -n "${CBDC_WITHOUT_ROCKSDB:-}" ] || cbdc_set_up_rocksdb
}

cbdc_set_up
