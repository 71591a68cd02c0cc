"""A proxy before the API server that witnesses every request and, when told to, disturbs it."""

from graders.faultproxy.auditlog import ProxyAuditLog
from graders.faultproxy.crashpoint import CrashPoint
from graders.faultproxy.holdwatch import DelayWatchEvents, HoldWatchEvents
from graders.faultproxy.namespaceguard import NamespaceGuard
from graders.faultproxy.proxy import FaultProxy, Serving
from graders.faultproxy.rules import Delay, InterleavedWrite, Respond, Rule, RuleAnswer
from graders.kube.requestinfo import Match, RequestInfo, read_request_info, writes_in

__all__ = [
    "CrashPoint",
    "Delay",
    "DelayWatchEvents",
    "FaultProxy",
    "HoldWatchEvents",
    "InterleavedWrite",
    "Match",
    "NamespaceGuard",
    "ProxyAuditLog",
    "RequestInfo",
    "Respond",
    "Rule",
    "RuleAnswer",
    "Serving",
    "read_request_info",
    "writes_in",
]
