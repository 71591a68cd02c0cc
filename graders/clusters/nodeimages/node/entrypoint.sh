#!/bin/bash
# First process of a kind node: makes a container look like a machine, then becomes systemd.
# kind waits for systemd's "Multi-User System" line in what this prints.
set -o errexit -o nounset -o pipefail

readonly DOCKER_DNS=127.0.0.11

mounts() {
  # systemd wants /sys read-only in a container, and the kubelet wants its mounts seen by containers.
  mount -o remount,ro /sys
  mount --make-rshared /
}

# On cgroup v1 the kubelet's own cgroups have to be there before systemd is, which would tidy them away: hence
# the binds. On v2 the kubelet's unit makes them.
cgroups() {
  [[ -f /sys/fs/cgroup/cgroup.controllers ]] && return
  mount --make-rprivate /sys/fs/cgroup
  local hierarchy name
  while read -r hierarchy; do
    for name in kubelet kubelet.slice; do
      mkdir -p "${hierarchy}/${name}"
      if [[ -f "${hierarchy}/cpuset.cpus" ]]; then
        cat "${hierarchy}/cpuset.cpus" >"${hierarchy}/${name}/cpuset.cpus"
        cat "${hierarchy}/cpuset.mems" >"${hierarchy}/${name}/cpuset.mems"
      fi
      mount --bind "${hierarchy}/${name}" "${hierarchy}/${name}"
    done
  done < <(findmnt --list --noheadings --output TARGET --types cgroup)
  echo 'KUBELET_EXTRA_ARGS=--runtime-cgroups=/system.slice/containerd.service --fail-cgroupv1=false' \
    >/etc/default/kubelet
}

# Nodes are told apart by it.
machine_id() {
  rm -f /etc/machine-id
  systemd-machine-id-setup 2>/dev/null
}

# Without CAP_SYS_RESOURCE (bit 24) nothing may lower its oom_score_adj.
oom_scores() {
  local bounding
  bounding="0x$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)"
  if ((!((bounding >> 24) & 1))); then
    sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml
  fi
}

# Docker has put its rules for name resolution here, in the way its host does.
choose_iptables() {
  local mode=nft
  if (($(iptables-legacy-save 2>/dev/null | grep -c '^-') > $(iptables-nft-save 2>/dev/null | grep -c '^-'))); then
    mode=legacy
  fi
  update-alternatives --set iptables "/usr/sbin/iptables-${mode}" >/dev/null
  update-alternatives --set ip6tables "/usr/sbin/ip6tables-${mode}" >/dev/null
}

# Docker's name server is on a loopback address that pods cannot reach: let the gateway's address mean it.
name_resolution() {
  local gateway
  gateway="$(ip -4 route show default | awk '{ print $3; exit }')"
  [[ -n "${gateway}" ]] || return 0
  echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
  echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore
  echo 1 >/proc/sys/net/ipv4/ip_forward
  iptables-save | sed \
    -e "s/-d ${DOCKER_DNS}/-d ${gateway}/g" \
    -e 's/-A OUTPUT \(.*\) -j DOCKER_OUTPUT/\0\n-A PREROUTING \1 -j DOCKER_OUTPUT/' \
    -e "s/--to-source :53/--to-source ${gateway}:53/" \
    -e "s/p -j DNAT --to-destination ${DOCKER_DNS}/p --dport 53 -j DNAT --to-destination ${DOCKER_DNS}/" |
    iptables-restore
  cp /etc/resolv.conf /etc/resolv.conf.original
  sed "s/${DOCKER_DNS}/${gateway}/g" /etc/resolv.conf.original >/etc/resolv.conf
  if [[ "${KIND_DNS_SEARCH+x}" ]]; then
    sed '/^search/d' /etc/resolv.conf >/etc/resolv.conf.searched
    echo "search ${KIND_DNS_SEARCH}" >>/etc/resolv.conf.searched
    cat /etc/resolv.conf.searched >/etc/resolv.conf
  fi
}

# A node that Docker starts again may have another address.
address() {
  local now before file
  now="$(getent ahostsv4 "$(hostname)" | awk '{ print $1; exit }')"
  before="$(cat /kind/address 2>/dev/null || true)"
  echo -n "${now}" >/kind/address
  [[ -n "${before}" && "${before}" != "${now}" ]] || return 0
  for file in /etc/kubernetes/manifests/*.yaml /etc/kubernetes/*.conf /kind/kubeadm.conf \
    /var/lib/kubelet/kubeadm-flags.env; do
    [[ -f "${file}" ]] && sed -i "s/\b${before//./\\.}\b/${now}/g" "${file}"
  done
  if [[ -f /etc/kubernetes/pki/apiserver.crt ]]; then
    rm -f /etc/kubernetes/pki/apiserver.{crt,key}
    kubeadm init phase certs apiserver --config /kind/kubeadm.conf
  fi
}

mounts
cgroups
machine_id
oom_scores
choose_iptables
name_resolution
address
exec "$@"
