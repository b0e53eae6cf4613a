#!/bin/sh
# Installs what the build and the tests need beyond Rust: a C compiler; PostgreSQL, Valgrind, Chromium, Node.js with npm,
# Python, strace, and the packages of the browser and client tests. With the argument `build`, only the first.
# Installs Debian packages only where it may (as root, or with sudo that asks nothing); else it says in one sentence
# what is missing. Only a missing Rust tool chain or linker is an error: everything else fails the test that needs it.
set -eu

cd "$(dirname "$0")/.."

say() {
    echo "setup: $*" >&2
}

# Runs a command that needs the network, up to three times: a mirror that is slow or away for a moment is no reason to go
# without.
again() {
    for pause in 5 20; do
        "$@" && return
        say "$1 failed; trying again in $pause s"
        sleep "$pause"
    done
    "$@"
}

# Echoes the command that runs another as root, or nothing where that is not possible.
root_prefix() {
    if [ "$(id -u)" -eq 0 ]; then
        echo env
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        echo sudo
    fi
}

# Echoes the Debian packages of the programs that are missing.
missing_packages() {
    command -v cc >/dev/null 2>&1 || echo gcc libc6-dev
    [ "$scope" = build ] && return
    [ -n "${PINION_TEST_POSTGRES:-}" ] || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || echo postgresql
    command -v node >/dev/null 2>&1 || echo nodejs
    command -v valgrind >/dev/null 2>&1 || echo valgrind
    command -v curl >/dev/null 2>&1 || echo curl
    command -v npm >/dev/null 2>&1 || echo npm
    python3 -c 'import ensurepip' >/dev/null 2>&1 || echo python3 python3-venv
    command -v strace >/dev/null 2>&1 || echo strace
    [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || echo chromium
}

install_packages() {
    as_root=$(root_prefix)
    if [ -z "$as_root" ] || ! command -v apt-get >/dev/null 2>&1; then
        say "please install $* (on Debian, as root: apt-get install $*)."
        return
    fi
    say "installing $*"
    # Without fresh lists those that are there may do.
    again apt_get update -q >&2 || say "apt-get could not read the lists of packages anew."
    if ! again apt_get install -qy --no-install-recommends "$@" >&2; then
        say "apt-get could not install $*; please install them by hand."
    fi
}

# Asks nobody, and waits for whoever installs at the moment.
apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# A Python environment with exactly the packages of its requirements file, made again when that changes.
install_client_tests() {
    folder=tests/clients
    [ -f "$folder/requirements.txt" ] || return 0
    if [ -f "$folder/.venv/requirements.txt" ] && cmp -s "$folder/requirements.txt" "$folder/.venv/requirements.txt"; then
        return
    fi
    if ! { python3 -m venv --clear "$folder/.venv" &&
        again "$folder/.venv/bin/pip" install --quiet --retries 10 --timeout 60 --disable-pip-version-check --no-deps -r "$folder/requirements.txt" &&
        cp "$folder/requirements.txt" "$folder/.venv/requirements.txt"; } >&2; then
        say "the Python environment of the client tests could not be made; they cannot run until it is."
    fi
}

# The packages of a folder's package-lock.json, again when that changes. A file that was only checked out anew is the same.
install_node_packages() {
    folder=$1
    [ -f "$folder/package-lock.json" ] || return 0
    stamp=$folder/node_modules/.installed-lock.json
    npms=$folder/node_modules/.package-lock.json
    if cmp -s "$folder/package-lock.json" "$stamp" ||
        { [ -f "$npms" ] && [ ! "$folder/package-lock.json" -nt "$npms" ]; }; then
        return
    fi
    if ! command -v npm >/dev/null 2>&1; then
        say "the tests in $folder need npm."
    elif ! (cd "$folder" && again npm ci --no-audit --no-fund --loglevel=error --fetch-retries=5 &&
        cp package-lock.json node_modules/.installed-lock.json) >&2; then
        say "npm ci failed in $folder; its tests cannot run until it succeeds."
    fi
}

scope=${1:-all}
if ! command -v cargo >/dev/null 2>&1; then
    say "Rust is missing: install it from https://rustup.rs/ and run this again."
    exit 1
fi
packages=$(missing_packages)
if [ -n "$packages" ]; then
    # Word splitting is wanted: one argument a package.
    # shellcheck disable=SC2046,SC2086
    install_packages $(echo $packages)
fi
if ! command -v cc >/dev/null 2>&1; then
    say "Rust cannot link without a C compiler."
    exit 1
fi
if [ "$scope" != build ]; then
    install_node_packages tests/browser
    install_node_packages tests/clients
    install_client_tests
fi
