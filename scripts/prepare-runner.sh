#!/bin/sh
# Makes a CI runner ready for the sandbox: bubblewrap, and user namespaces for it. Changes nothing that is there.
set -eu

say() { printf '%s\n' "$*" >&2; }

# As root there is nothing to ask for; elsewhere a runner lets sudo do it without a password.
root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

packages=
command -v bwrap >/dev/null 2>&1 || packages="$packages bubblewrap"
command -v setpriv >/dev/null 2>&1 || packages="$packages util-linux"
if [ -n "$packages" ]; then
    say "installing$packages"
    # shellcheck disable=SC2086
    if ! { root apt-get update -qq && root apt-get install -qq --yes --no-install-recommends $packages; } >&2; then
        say "kubeproof: this runner lacks$packages, and they cannot be installed"
        say "  fix: use runs-on: ubuntu-24.04, or install them in the runner's image"
        exit 3
    fi
fi

enter="bwrap --unshare-all --ro-bind / / true"
if ! $enter 2>/dev/null; then
    # Ubuntu since 24.04 keeps user namespaces from programs without a profile of AppArmor's.
    root sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=0 >&2 || true
    if ! $enter; then
        say "kubeproof: this runner allows no user namespaces, which the sandbox is made of"
        say "  fix: use runs-on: ubuntu-24.04; in a container, run it with --privileged"
        exit 3
    fi
fi
