#!/bin/sh
# Makes a CI runner ready: bubblewrap, user namespaces for it, and what a lab needs of the system. Changes nothing
# that is there.
#
#     sh scripts/prepare-runner.sh [LAB [COURSE]]
#
# graders/LAB/system-packages.txt, here or in another course's folder, has a line PROGRAM:PACKAGE for each need.
set -eu

say() { printf '%s\n' "$*" >&2; }

# As root there is nothing to ask for; elsewhere a runner lets sudo do it without a password.
root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

packages=
need() {
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}
need bwrap bubblewrap
need setpriv util-linux
for lab in ${1:+"$1" "lab$1"}; do
    for root in "${0%/*}/.." ${2:+"$2"}; do
        list=$root/graders/$lab/system-packages.txt
        [ ! -f "$list" ] || while IFS=: read -r program package; do need "$program" "$package"; done <"$list"
    done
done
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
