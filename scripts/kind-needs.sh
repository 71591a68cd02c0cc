#!/bin/sh
# What kind clusters need of the system: an engine that answers is enough; without one, root may start its
# own, and make node images from Debian packages. With `scale`, also what a container runtime is compiled with.
set -eu

docker_answers() {
    python3 - <<'END'
import os, socket, sys
host = os.environ.get("KUBEPROOF_DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
if not host.startswith("unix://"):
    sys.exit(0)
with socket.socket(socket.AF_UNIX) as door:
    door.settimeout(2)
    sys.exit(door.connect_ex(host.removeprefix("unix://")) != 0)
END
}

packages=""
if ! docker_answers; then
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || packages="$packages docker.io"
    command -v iptables >/dev/null || [ -x /usr/sbin/iptables ] || packages="$packages iptables"
fi
for need in debootstrap zstd; do
    command -v "$need" >/dev/null || [ -x "/usr/sbin/$need" ] || packages="$packages $need"
done
if [ "${1:-}" = scale ]; then
    command -v cc >/dev/null || packages="$packages gcc libc6-dev"
    command -v pkg-config >/dev/null || packages="$packages pkg-config"
    [ -f /usr/include/seccomp.h ] || packages="$packages libseccomp-dev"
fi
[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "kind tests lack:$packages" >&2
    echo "  fix: install them with your package manager (as root on Debian, this does it by itself)" >&2
    exit 2
fi
echo "installing system packages:$packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  (a list of words)
apt-get install -y -qq --no-install-recommends $packages >/dev/null
