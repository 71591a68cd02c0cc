"""What a Docker engine leaves in the machine's network: rules, chains, the policy of FORWARD, and bridges.

The state before is recorded as text. Afterwards only what is new *and* Docker's goes: rules that others added
meanwhile stay.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import psutil

Network = IPv4Network | IPv6Network

_BRIDGE = re.compile(r"^(docker0|br-[0-9a-f]{12})$")
_DOCKERS = re.compile(r"\b(DOCKER[A-Z0-9_-]*|docker0|br-[0-9a-f]{12})\b")
_TO_ITSELF = re.compile(r"-s (\S+)/(?:32|128) -d \1/(?:32|128) .*-j MASQUERADE$")
"""The rule by which a container reaches its own published port: it names no bridge, only the container."""
_TIMEOUT_S = 30.0
_FAMILIES = ("iptables", "ip6tables")


@dataclass(frozen=True)
class Rules:
    """What `iptables-save` printed: for each table its chains with their policies, and its rules in order."""

    chains: dict[tuple[str, str], str]
    rules: list[tuple[str, str]]

    @classmethod
    def parse(cls, text: str) -> Rules:
        """Read the format of `iptables-save`."""
        table, chains, rules = "", {}, []
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith(":"):
                name, policy, *_ = line[1:].split()
                chains[table, name] = policy
            elif line.startswith("-A "):
                rules.append((table, line))
        return cls(chains, rules)


def saved_rules() -> dict[str, str]:
    """The rules of each family, as text; a family that the machine lacks is left out."""
    found = {}
    for family in _FAMILIES:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            found[family] = _run(f"{family}-save")
    return found


def links() -> list[str]:
    """The names of the network links."""
    return sorted(name for _, name in socket.if_nameindex())


def remove_rules(before: dict[str, str], links_before: list[str]) -> None:
    """Remove what Docker added to the rules since `before`, and put FORWARD's policy back.

    Call it while Docker's bridges are there: their networks tell which containers' rules are Docker's.
    """
    networks = _networks(_bridges(links_before))
    for family, now in saved_rules().items():
        for command in undoing(Rules.parse(before.get(family, "")), Rules.parse(now), networks):
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                _run(family, "-w", *command)


def undoing(before: Rules, now: Rules, networks: Sequence[Network]) -> Iterator[list[str]]:
    """Arguments of `iptables`, one list a call, that take Docker's part of the difference away.

    `networks` are those of Docker's bridges.
    """
    policy = before.chains.get(("filter", "FORWARD"), "ACCEPT")
    if now.chains.get(("filter", "FORWARD"), policy) != policy:
        yield ["-t", "filter", "-P", "FORWARD", policy]
    ours = [chain for chain in now.chains if chain not in before.chains and chain[1].startswith("DOCKER")]
    known = list(before.rules)
    for table, rule in now.rules:
        if (table, rule) in known:
            known.remove((table, rule))
        elif (table, _chain(rule)) not in ours and _is_dockers(rule, networks):
            yield ["-t", table, "-D", *shlex.split(rule)[1:]]
    for table, chain in ours:
        yield ["-t", table, "-F", chain]
    for table, chain in ours:
        yield ["-t", table, "-X", chain]


def remove_bridges(before: list[str]) -> None:
    """Remove Docker's bridges that were not there `before`."""
    for link in _bridges(before):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _run("ip", "link", "delete", link, "type", "bridge")


def _bridges(before: list[str]) -> list[str]:
    return [link for link in links() if link not in before and _BRIDGE.match(link)]


def _networks(bridges: list[str]) -> list[Network]:
    """The networks of links, by the addresses these have."""
    addresses = psutil.net_if_addrs()
    return [
        ip_network(f"{each.address}/{each.netmask}", strict=False)
        for link in bridges
        for each in addresses.get(link, ())
        if each.family == socket.AF_INET and each.netmask
    ]


def _is_dockers(rule: str, networks: Sequence[Network]) -> bool:
    if _DOCKERS.search(rule):
        return True
    container = _TO_ITSELF.search(rule)
    return container is not None and any(ip_address(container[1]) in network for network in networks)


def _chain(rule: str) -> str:
    return rule.split()[1]


def _run(*command: str) -> str:
    run = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=True
    )
    return run.stdout
