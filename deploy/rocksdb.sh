#!/usr/bin/env bash
# Compiles the RocksDB that the crate `librocksdb-sys` of Cargo.lock brings, in a third of that crate's own time, and
# prints the folder of the library.
#
#   deploy/rocksdb.sh <cache folder>
#
# RocksDB is 343 C++ files, and reading its headers takes most of the time of each. Here the crate's own sources are
# included into 16 units of about 22 files, compiled with the crate's own flags. `librocksdb-sys` links the result where
# ROCKSDB_LIB_DIR and ROCKSDB_STATIC point at it, and still makes its bindings itself.
#
# The library is kept in the cache under a key of everything that it is made of: the crate's version, its build script,
# the compiler, the flags. So no profile, feature or Rust flag compiles it anew.
#
# Fails, with one line that says why, where the flags below are not known to be the crate's: another version, another
# processor, another system. The crate's own build serves then.

set -euo pipefail

CACHE=$1
UNITS=16

# The build script whose flags stand below. Another one may use others.
KNOWN_BUILD_SCRIPT=2dbb97b102a2c13f0192ee75a49d4fc0f84fa0692ac9ffc84d364a7a28b472a3

give_up() { printf 'RocksDB is left to its crate (15 to 20 minutes on two cores): %s\n' "$*" >&2; exit 1; }
say() { printf 'setup: %s\n' "$*" >&2; }

version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
[ -n "$version" ] || give_up "expected librocksdb-sys in Cargo.lock, found none"
[ "$(uname -s)" = Linux ] || give_up "expected Linux, found $(uname -s)"
[ "$(uname -m)" = x86_64 ] || give_up "its flags are known for x86_64 only, this is $(uname -m)"

registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
find_crate() {
    [ ! -d "$registry" ] || find "$registry" -mindepth 2 -maxdepth 2 -name "librocksdb-sys-$version" -print -quit
}
crate=$(find_crate)
if [ -z "$crate" ]; then
    say "fetching the crates of Cargo.lock"
    cargo fetch --quiet --locked >&2 || give_up "\`cargo fetch\` failed"
    crate=$(find_crate)
fi
[ -n "$crate" ] || give_up "expected librocksdb-sys-$version in $registry, found none"
build_script=$(sha256sum <"$crate/build.rs" | cut -c1-64)
[ "$build_script" = "$KNOWN_BUILD_SCRIPT" ] ||
    give_up "the build script of librocksdb-sys $version is not the known one"

# As the crate passes them for a release build without features, warnings left out. The instructions for checksums are
# those that .cargo/config.toml gives to the crate's own build.
checksum_flags=(-msse4.2 -mpclmul)
grep -qxF "CXXFLAGS_x86_64_unknown_linux_gnu = \"${checksum_flags[*]}\"" .cargo/config.toml ||
    give_up "expected the flags ${checksum_flags[*]} in .cargo/config.toml, found others"
compiler=${CXX:-c++}
compiler_version=$("$compiler" --version 2>/dev/null) ||
    give_up "expected \`$compiler --version\` to answer, it does not"
flags=(
    -O3 -ffunction-sections -fdata-sections -fPIC -m64 -march=x86-64 -msse2 "${checksum_flags[@]}" -std=c++20
    -include cstdint
    -DNDEBUG=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX
    -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT
    -DROCKSDB_RANGESYNC_PRESENT
    -Irocksdb/include/ -Irocksdb/ -Irocksdb/third-party/gtest-1.8.1/fused-src/ -I.
)
key=$(
    printf '%s\n' "$version" "$build_script" "$UNITS" "${flags[@]}" "$compiler_version" | sha256sum | cut -c1-16
)
library=$CACHE/rocksdb/$version-$key

build_units() {
    local folder=$1 files unit file started=$SECONDS running=0 done=0
    # The crate brings this file in a form of its own, beside the sources.
    mapfile -t files < <(grep -v '^util/build_version\.cc$' "$crate/rocksdb_lib_sources.txt")
    for file in "${!files[@]}"; do
        printf '#include "rocksdb/%s"\n' "${files[$file]}" >>"$folder/unit$((file * UNITS / ${#files[@]})).cc"
    done
    printf '#include "build_version.cc"\n' >>"$folder/unit$((UNITS - 1)).cc"
    ended() {
        wait -n || { cat "$folder"/*.log >&2; give_up "a unit did not compile"; }
        running=$((running - 1)) done=$((done + 1))
        say "RocksDB: $done of $UNITS units compiled, $((SECONDS - started)) s"
    }
    for unit in "$folder"/unit*.cc; do
        [ "$running" -lt "$(nproc)" ] || ended
        (cd "$crate" && exec "$compiler" "${flags[@]}" -w -c "$unit" -o "${unit%.cc}.o" 2>"${unit%.cc}.log") 9>&- &
        running=$((running + 1))
    done
    while [ "$running" -gt 0 ]; do ended; done
    ar crs "$folder/librocksdb.a" "$folder"/unit*.o || give_up "ar failed"
    rm -f "$folder"/unit*
}

mkdir -p "$CACHE/rocksdb"
# One at a time; whoever waited finds the library there.
exec 9>"$CACHE/rocksdb/lock"
flock -n 9 || { say "waiting for another build that compiles RocksDB"; flock 9; }
if [ ! -e "$library/librocksdb.a" ]; then
    say "compiling RocksDB $version in $UNITS units: about 3 minutes on two cores, once for this compiler"
    unfinished=$(mktemp -d "$CACHE/rocksdb/unfinished.XXXXXX")
    trap 'running=$(jobs -p); [ -z "$running" ] || kill $running 2>/dev/null; rm -rf "$unfinished"' EXIT
    trap 'exit 130' INT TERM
    build_units "$unfinished"
    mv -T "$unfinished" "$library"
fi
printf '%s\n' "$library"
