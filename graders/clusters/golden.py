"""Golden etcd: the data of a store in which what a lab always installs is there already, made once."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from graders.clusters.bareapi import bare_api
from graders.clusters.binaries import ETCD, Binaries, ensure_binaries
from graders.clusters.etcdclient import etcd_client, etcd_key
from graders.clusters.etcddata import copy_data
from graders.controlplane import EtcdAccess
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.once import one_at_a_time, scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress

_SCHEMA = "kubeproof/golden/v1"
_ENDS_WITHIN_S = 10.0
_OF_ONE_CLUSTER = ("/registry/configmaps/kube-system/extension-apiserver-authentication", "/registry/leases/")
"""Keys, by their beginnings, of what an API server keeps about itself: its authorities, its name."""


def golden_etcd(parts: Sequence[str], prepare: Callable[[Kube], None], progress: Progress) -> Path:
    """The data folder of an etcd with what `prepare` puts there, for `ClusterSpec.golden`.

    It is made once for all that `parts` (texts or digests that say what `prepare` does) and the versions of
    Kubernetes and etcd name. `prepare` has an API server and no controllers; what it makes must not hold
    tokens or certificates, which are those of one cluster. It waits until its kinds are established.

    Raises:
        InfraFault: the control plane does not come up, or there is no room. Others: as `prepare`.
    """
    binaries = ensure_binaries(progress)
    named = [_SCHEMA, binaries.version, ETCD, binaries.source, *parts]
    place = cache_folder() / "golden" / hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]
    data = place / "etcd"
    if not data.is_dir():
        _make_once(binaries, prepare, data, progress)
    return data


def _make_once(binaries: Binaries, prepare: Callable[[Kube], None], data: Path, progress: Progress) -> None:
    place = data.parent
    with one_at_a_time(place.with_name(f"{place.name}.lock"), "golden etcd data", progress):
        if data.is_dir():
            return
        with (
            scratch_folder(place) as scratch,
            progress.task("preparing an etcd to begin with"),
            bare_api("golden", binaries) as (kube, control),
        ):
            prepare(kube)
            control.kill("kube-apiserver")
            _forget_this_cluster(control.etcd)
            control.stop("etcd", _ENDS_WITHIN_S)
            try:
                copy_data(control.etcd.data_folders["etcd"], scratch / data.name)
                (scratch / data.name).rename(data)
            except OSError as error:
                raise InfraFault(
                    f"golden etcd data cannot be put into {place}: {error}",
                    fix="make room there, or set KUBEPROOF_CACHE to a folder that can be written",
                ) from error


def _forget_this_cluster(etcd: EtcdAccess) -> None:
    with etcd_client(etcd) as client:
        for start in _OF_ONE_CLUSTER:
            beyond = start[:-1] + chr(ord(start[-1]) + 1)
            keys = {"key": etcd_key(start), "range_end": etcd_key(beyond)}
            try:
                client.post("/kv/deleterange", json=keys).raise_for_status()
            except httpx.HTTPError as error:
                raise InfraFault(f"etcd does not forget its first cluster: {error}") from error
