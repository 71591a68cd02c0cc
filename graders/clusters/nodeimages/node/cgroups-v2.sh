#!/bin/sh
# Before the kubelet on cgroup v2: hand all controllers down to the cgroups that it keeps pods in.
# On v1 the entrypoint has done what is needed.
set -eu
cd /sys/fs/cgroup
if [ ! -f cgroup.controllers ]; then
  mkdir -p systemd/kubelet
  exit 0
fi
for group in . kubelet kubelet.slice; do
  mkdir -p "$group"
  sed -e 's/ / +/g' -e 's/^/+/' "$group/cgroup.controllers" >"$group/cgroup.subtree_control"
done
