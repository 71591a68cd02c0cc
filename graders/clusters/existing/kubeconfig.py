"""A person's kubeconfig: which contexts it has, and a copy of one of them that stands alone."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from graders.faults import UsageError

VARIABLE = "KUBECONFIG"

_FILES = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}
"""Fields that name a file, and those that hold what is in it."""

_PROXIES = ("http://", "https://")
_ANOTHER = frozenset({"as", "as-uid", "as-groups", "as-user-extra"})


@dataclass(frozen=True)
class Entry:
    """A named cluster, user or context, and the folder from which its relative paths count."""

    data: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Kubeconfig:
    """What one or more kubeconfig files say together; of two entries of one name the first counts."""

    files: tuple[Path, ...]
    clusters: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)
    contexts: dict[str, Entry] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Which files these are, for a person."""
        return os.pathsep.join(map(str, self.files))

    def context(self, name: str) -> Mapping[str, Any]:
        """The context of that name; it is never chosen for anybody.

        Raises:
            UsageError: no name is given, or there is no such context.
        """
        known = ", ".join(self.contexts) or "none"
        if not name:
            raise UsageError(
                "a cluster of yours is used only when its context is named: a current-context is not enough",
                file=self.shown,
                fix=f"add --context NAME; the contexts there are: {known}",
            )
        if name not in self.contexts:
            raise UsageError(
                f"there is no context {name!r}", file=self.shown, fix=f"the contexts there are: {known}"
            )
        return self.contexts[name].data


def find_kubeconfig(named: Path | None) -> Kubeconfig:
    """Read the file that is named, or those of $KUBECONFIG, or ~/.kube/config.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    if named is not None:
        files = [named]
    elif variable := os.environ.get(VARIABLE):
        # As kubectl does: files of the list that are not there do not matter.
        files = [file for each in variable.split(os.pathsep) if each and (file := Path(each)).is_file()]
    else:
        files = [Path.home() / ".kube" / "config"]
    if not files or not files[0].is_file():
        raise UsageError(
            f"there is no kubeconfig at {files[0] if files else os.environ[VARIABLE]}",
            fix="name the file of your cluster with --kubeconfig FILE",
        )
    found = Kubeconfig(tuple(file.absolute() for file in files))
    for file in found.files:
        data = _read(file)
        for key, place in (
            ("clusters", found.clusters),
            ("users", found.users),
            ("contexts", found.contexts),
        ):
            for name, entry in _named(data, key):
                place.setdefault(name, Entry(entry, file.parent))
    return found


def isolated(config: Kubeconfig, context: str) -> str:
    """Kubeconfig text (JSON, which is YAML) of that context alone: certificates are in it.

    Plugins that fetch credentials are left as they are; relative paths of theirs become absolute.

    Raises:
        UsageError: there is no such context, or kubeproof would not be safe with it.
    """
    chosen = config.context(context)
    cluster = _entry(config, config.clusters, "cluster", chosen, context)
    user = _entry(config, config.users, "user", chosen, context)
    _refuse(config, context, cluster.data, user.data)
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [{"name": "cluster", "cluster": _flat(config, cluster)}],
            "users": [{"name": "user", "user": _absolute(_flat(config, user), user.folder)}],
            "contexts": [{"name": context, "context": {"cluster": "cluster", "user": "user"}}],
        },
        indent=2,
    )


def _refuse(config: Kubeconfig, context: str, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    """See that what kubeproof sends goes to whom it is meant for, under the name that is told."""
    server, proxy = str(cluster.get("server", "")), str(cluster.get("proxy-url") or "http://")
    unverified = bool(cluster.get("insecure-skip-tls-verify"))
    problems = (
        (not server.startswith("https://"), "names no https server, so tokens would pass unprotected"),
        (unverified, "does not verify the API server (insecure-skip-tls-verify): tokens could go to anybody"),
        (not proxy.startswith(_PROXIES), "is reached by a proxy that is not of http"),
        (not _ANOTHER.isdisjoint(user), "impersonates somebody else, which kubeproof does not do"),
    )
    for met, problem in problems:
        if met:
            raise UsageError(
                f"context {context!r} {problem}", file=config.shown, fix="name a context without that"
            )


def _read(file: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"the kubeconfig cannot be read: {error}", file=file) from error
    if not isinstance(data, Mapping):
        raise UsageError("this is no kubeconfig", file=file, fix="name the file that `kubectl` uses")
    return data


def _named(data: Mapping[str, Any], key: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The entries of a list such as `clusters`, by name."""
    listed = data.get(key)
    inner = key.removesuffix("s")
    return [
        (str(each["name"]), each[inner])
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, Mapping) and each.get("name") and isinstance(each.get(inner), Mapping)
    ]


def _entry(
    config: Kubeconfig, entries: Mapping[str, Entry], kind: str, chosen: Mapping[str, Any], context: str
) -> Entry:
    name = str(chosen.get(kind) or "")
    if name not in entries:
        raise UsageError(
            f"context {context!r} names the {kind} {name!r}, which is not there", file=config.shown
        )
    return entries[name]


def _flat(config: Kubeconfig, entry: Entry) -> dict[str, Any]:
    """The entry with the contents of the files that it names."""
    flat = dict(entry.data)
    for named, held in _FILES.items():
        file = flat.pop(named, None)
        if not file or flat.get(held):
            continue
        try:
            content = (entry.folder / str(file)).read_bytes()
        except OSError as error:
            raise UsageError(f"{named} cannot be read: {error}", file=config.shown) from error
        flat[held] = base64.b64encode(content).decode("ascii")
    return flat


def _absolute(user: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The user with paths that do not depend on where the file stood; tokens in files are left there."""
    if user.get("tokenFile"):
        user["tokenFile"] = str(folder / str(user["tokenFile"]))
    plugin = user.get("exec")
    if isinstance(plugin, Mapping) and "/" in str(plugin.get("command", "")):
        user["exec"] = {**plugin, "command": str(folder / str(plugin["command"]))}
    return user
