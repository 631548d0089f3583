# Sourced by the scripts beside this folder: where things are, and how they speak. Not a program.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export ROOT

# The folder of the local cluster: its data, logs and secret. Absolute, since scripts change directory and since the
# nodes take a path in a configuration as relative to that file.
LOCAL_CLUSTER=$(realpath -m -- "$ROOT/cluster/local")
CLUSTER_DIR=$(realpath -m -- "${RINGMASTER_CLUSTER_DIR:-$LOCAL_CLUSTER}")
# A script that calls another one means the same cluster.
export RINGMASTER_CLUSTER_DIR=$CLUSTER_DIR

# One target directory for the quickstart, the tests and the local cluster, so that RocksDB, which takes minutes, is
# compiled once. A build cache outside the working copy is used where there is one.
if [ -z "${CARGO_TARGET_DIR:-}" ]; then
    BUILD_CACHE=${RINGMASTER_BUILD_CACHE:-$HOME/.cache/ringmaster/target}
    if [ -d "$BUILD_CACHE" ]; then
        CARGO_TARGET_DIR=$BUILD_CACHE
    else
        CARGO_TARGET_DIR=$ROOT/target
    fi
fi
# Cargo is always called in $ROOT.
case $CARGO_TARGET_DIR in /*) ;; *) CARGO_TARGET_DIR=$ROOT/$CARGO_TARGET_DIR ;; esac
export CARGO_TARGET_DIR
# Used by the scripts that source this file.
# shellcheck disable=SC2034
RINGMASTER=$CARGO_TARGET_DIR/release/ringmaster

# The local cluster is never behind a proxy.
export no_proxy=127.0.0.1${no_proxy:+,$no_proxy} NO_PROXY=127.0.0.1${NO_PROXY:+,$NO_PROXY}

# rustup puts cargo where only login shells look.
if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
fi

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' CYAN=$'\e[36m' PLAIN=$'\e[0m'
else
    BOLD='' DIM='' RED='' GREEN='' CYAN='' PLAIN=''
fi

# What is being done.
say() { printf '%s\n' "${BOLD}$*${PLAIN}"; }
# What came of it.
good() { printf '%s\n' "${GREEN}✓${PLAIN} $*"; }
# A detail.
note() { printf '%s\n' "${DIM}$*${PLAIN}"; }
# A command that is about to be run.
command_line() { printf '%s\n' "${CYAN}\$ $*${PLAIN}"; }
# What went wrong, in the first argument, and what to do, in the others.
die() {
    printf '%s\n' "${RED}${BOLD}error:${PLAIN} $1" >&2
    shift
    local line
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}

# json KEY: prints one value of the JSON document on standard input; KEY may have dots, numbers index arrays.
json() {
    python3 -c '
import json, sys
value = json.load(sys.stdin)
for part in sys.argv[1].split("."):
    value = value[int(part)] if isinstance(value, list) else value[part]
print(value if isinstance(value, str) else json.dumps(value))' "$1"
}

build() {
    command_line "cargo build --release --locked"
    (cd "$ROOT" && cargo build --release --locked) ||
        die "the build failed" "the compiler's message stands above; scripts/prerequisites installs what a build needs"
}
