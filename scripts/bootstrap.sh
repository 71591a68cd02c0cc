#!/bin/sh
# Makes .venv from the hash-locked requirements, after seeing to the system packages that it and the
# sandbox need. Run by make; `.venv/.ready` says that it is complete.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# Two makes at once set up once. The lock goes with the process, whatever ends it.
if command -v flock >/dev/null 2>&1 && [ "${KUBEPROOF_BOOTSTRAP_LOCKED:-}" != 1 ]; then
    mkdir -p build
    KUBEPROOF_BOOTSTRAP_LOCKED=1 exec flock build/bootstrap.lock sh scripts/bootstrap.sh
fi
if [ -f .venv/.ready ] && [ -z "$(find requirements.lock pyproject.toml scripts/bootstrap.sh -newer .venv/.ready)" ]; then
    exit 0
fi

# KUBEPROOF_PYTHON names the Python to use; else the newest that is there.
python=
for candidate in ${KUBEPROOF_PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        python=$candidate
        break
    fi
done

packages=
[ -n "$python" ] || packages="$packages python3"
if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    packages="$packages python3-venv"
fi
if [ "$(uname -s)" = Linux ]; then
    command -v bwrap >/dev/null 2>&1 || packages="$packages bubblewrap"
    command -v setpriv >/dev/null 2>&1 || packages="$packages util-linux"
fi

if [ -n "$packages" ]; then
    install="apt-get install --yes --no-install-recommends$packages"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing system packages:$packages"
        export DEBIAN_FRONTEND=noninteractive
        log=$(mktemp)
        # shellcheck disable=SC2086
        if ! { apt-get update && $install; } >"$log" 2>&1; then
            cat "$log" >&2
            rm -f "$log"
            say "could not install:$packages"
            say "  fix: see apt's message above; when it is mended, run make again"
            exit 2
        fi
        rm -f "$log"
    else
        say "this machine lacks system packages:$packages"
        if command -v apt-get >/dev/null 2>&1; then
            say "  fix: run \`sudo apt-get update && sudo $install\`, then make again"
        else
            say "  fix: install them with this system's package tool (names are Debian's), then run make again"
            say "       (Python must be 3.11 or later; KUBEPROOF_PYTHON=/path/to/python3 names one)"
        fi
        exit 2
    fi
    [ -n "$python" ] || python=python3
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        say "$("$python" --version) is too old: kubeproof needs Python 3.11 or later"
        say "  fix: install a newer Python and run make again with KUBEPROOF_PYTHON=/path/to/python3"
        exit 2
    fi
fi

# An environment whose making was interrupted is made again from nothing.
if [ -e .venv/.unfinished ] || ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
    rm -rf .venv
fi
if [ ! -d .venv ]; then
    say "making .venv with $("$python" --version)"
    mkdir .venv
    : >.venv/.unfinished
    "$python" -m venv .venv
fi
: >.venv/.unfinished
say "installing the locked requirements into .venv"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes --only-binary :all: --no-deps -r requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps --no-build-isolation --no-index --editable .
touch .venv/.ready
rm -f .venv/.unfinished
