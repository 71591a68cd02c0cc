"""Moves etcd's revision ahead by writes that no API server looks at.

gRPC by hand: of etcd's whole interface one call with two fields is needed.
"""

from pathlib import Path

import grpc

from graders.controlplane import EtcdAccess
from graders.faults import InfraFault

_PUT = "/etcdserverpb.KV/Put"
_KEY = b"kubeproof/ahead"
_AT_ONCE = 64
_ANSWER_S = 10.0


def move_ahead(etcd: EtcdAccess, revisions: int) -> None:
    """Write one key outside of /registry `revisions` times.

    Raises:
        InfraFault: etcd does not take it.
    """
    credentials = grpc.ssl_channel_credentials(
        Path(etcd.ca).read_bytes(), Path(etcd.key).read_bytes(), Path(etcd.certificate).read_bytes()
    )
    # PutRequest: field 1 is the key, field 2 the value, both bytes shorter than 128.
    message = bytes([10, len(_KEY)]) + _KEY + bytes([18, 1]) + b"x"
    target = etcd.endpoints[0].removeprefix("https://")
    with grpc.secure_channel(target, credentials) as channel:
        put = channel.unary_unary(_PUT)
        left = revisions
        try:
            while left:
                batch = [put.future(message, timeout=_ANSWER_S) for _ in range(min(_AT_ONCE, left))]
                for each in batch:
                    each.result()
                left -= len(batch)
        except grpc.RpcError as error:
            raise InfraFault(f"etcd's revision cannot be moved ahead: {error}") from error
