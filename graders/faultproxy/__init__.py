"""A proxy before the API server that witnesses every request and, when told to, disturbs it."""

from graders.faultproxy.crashpoint import CrashPoint
from graders.faultproxy.fence import Fence
from graders.faultproxy.held import HeldFrames, LateFrames
from graders.faultproxy.notary import Notary
from graders.faultproxy.proxy import FaultProxy, Serving
from graders.faultproxy.rules import Answer, Delay, Hold, Meanwhile, Respond, Rule, Swallow
from graders.kube.requestinfo import Asked, Match, read_asked, writes_in

__all__ = [
    "Answer",
    "Asked",
    "CrashPoint",
    "Delay",
    "FaultProxy",
    "Fence",
    "HeldFrames",
    "Hold",
    "LateFrames",
    "Match",
    "Meanwhile",
    "Notary",
    "Respond",
    "Rule",
    "Serving",
    "Swallow",
    "read_asked",
    "writes_in",
]
