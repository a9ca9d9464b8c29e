#!/bin/bash
# Tests the clients in other languages: the known answers of proto/vectors without a network, then each client's
# examples against a real development network of two banks.
#
#   CBDC=PROGRAM clients/test.sh [python] [typescript] [go] all that can be had here, if none is named
#
# `make test-clients` builds the program. What is installed (Python's and Node's packages, pinned) is kept in CBDC_CACHE
# (else the user's cache). A language without its tools is skipped, and that is said; a language that is named is not.

set -eu
here="$(cd "$(dirname "$0")" && pwd)"
cbdc="${CBDC:?expected CBDC to name the program, found none: use make test-clients}"
cache="${CBDC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cbdc-ledger}/clients"
work="$(mktemp -d)"
network=""
trap '[ -z "$network" ] || { kill "$network" && wait "$network"; } 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir -p "$cache"
passed=0

say() { echo "test-clients: $*" >&2; }

run() {
    say "$*"
    "$@"
    passed=$((passed + 1))
}

# Whether a language is tested: named and there, or none is named and it is there.
is_tested() {
    local language="$1" tool="$2" version="$3"
    shift 3
    if command -v "$tool" >/dev/null && eval "$version"; then
        [ $# = 0 ] || [[ " $* " == *" $language "* ]]
    elif [[ " $* " == *" $language "* ]]; then
        say "expected $tool for $language in the version that clients/test.sh asks for, found none"
        exit 1
    else
        [ $# != 0 ] || say "skipping $language: there is no $tool in the version that it needs"
        return 1
    fi
}

start_network() {
    "$cbdc" up "$work/network" --banks 2 --base-port 0 --json >"$work/up.json" 2>"$work/up.log" &
    network=$!
    for _ in $(seq 600); do
        [ ! -s "$work/up.json" ] || return 0
        kill -0 "$network" 2>/dev/null || break
        sleep 0.1
    done
    say "expected a development network, found: $(tail -5 "$work/up.log")"
    exit 1
}

test_python() {
    local environment="$cache/python" package="$here/python"
    if ! cmp -s "$package/requirements.txt" "$environment/requirements.txt"; then
        say "installing $(tr '\n' ' ' <"$package/requirements.txt")into $environment"
        python3 -m venv "$environment"
        "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$package/requirements.txt"
        cp "$package/requirements.txt" "$environment/requirements.txt"
    fi
    # Built in a copy, so that the clone stays as it is.
    mkdir -p "$work/clients"
    cp -r "$package" "$work/clients/python"
    cp -r "$here/../proto" "$work/proto"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps \
        --force-reinstall "$work/clients/python"
    run "$environment/bin/python" -m pytest --quiet -p no:cacheprovider "$work/clients/python/tests"
    run "$environment/bin/python" "$package/examples/pay.py" "$work/network"
    run "$environment/bin/python" "$package/examples/stream.py" "$work/network" 1000
    run "$environment/bin/python" "$package/examples/watch.py" "$work/network" bob 2
}

test_typescript() {
    local package="$cache/typescript" lock="$here/typescript/package-lock.json"
    mkdir -p "$package"
    if ! cmp -s "$lock" "$package/package-lock.json" || [ ! -d "$package/node_modules" ]; then
        say "installing the packages of clients/typescript/package-lock.json into $package"
        cp "$here/typescript/package.json" "$here/typescript/package-lock.json" "$package/"
        (cd "$package" && npm ci --silent --no-fund --no-audit)
    fi
    mkdir -p "$work/clients"
    cp -r "$here/typescript" "$work/clients/typescript"
    [ -d "$work/proto" ] || cp -r "$here/../proto" "$work/proto"
    rm -rf "$work/clients/typescript/node_modules"
    ln -s "$package/node_modules" "$work/clients/typescript/node_modules"
    cd "$work/clients/typescript"
    run npm run --silent build
    run npm test --silent
    run node dist/examples/pay.js "$work/network"
    run node dist/examples/stream.js "$work/network" 1000
    run node dist/examples/watch.js "$work/network" bob 2
    cd "$here"
}

test_go() {
    cd "$here/go"
    export GOCACHE="$cache/go" GOFLAGS=-mod=readonly GOPROXY=off GOTOOLCHAIN=local
    run go vet ./...
    run go test ./...
    run go run . "$work/network"
    cd "$here"
}

start_network
is_tested python python3 "python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'" "$@" \
    && test_python
is_tested typescript node "node -e 'const [a, b] = process.versions.node.split(\".\").map(Number);
    process.exit(a > 20 || (a === 20 && b >= 18) ? 0 : 1)' && command -v npm >/dev/null" "$@" && test_typescript
is_tested go go "go version | grep -qE 'go(1\.(19|[2-9][0-9])|[2-9])'" "$@" && test_go
[ $passed -gt 0 ] || { say "expected Python 3.11 with venv, Node 20.18 with npm or Go 1.19, found none"; exit 1; }
echo "$passed passed, 0 failed"
