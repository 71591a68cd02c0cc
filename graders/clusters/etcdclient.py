"""etcd past the API server, by its JSON gateway: for the harness, never for a learner."""

import ssl
from base64 import b64encode

import httpx

from graders.controlplane import EtcdAccess


def etcd_client(etcd: EtcdAccess, member: int = 0) -> httpx.Client:
    """A client of one member, whose paths begin behind `/v3`; any thread may use it, its maker closes it."""
    trust = ssl.create_default_context(cafile=str(etcd.ca))
    trust.load_cert_chain(etcd.certificate, etcd.key)
    return httpx.Client(base_url=f"{etcd.endpoints[member]}/v3", verify=trust, trust_env=False, timeout=30.0)


def etcd_key(key: str) -> str:
    """A key as the gateway wants it."""
    return b64encode(key.encode()).decode()
