"""The token of web: what it is on each spoke, whether a new one arrives, and where it can be read."""

import base64
import hashlib
import json
import secrets as dice
from collections.abc import Iterator
from pathlib import Path

from graders.audits.encodings import forms_in
from graders.audits.gitleaks import leaks
from graders.gitops.sealing import is_sops
from graders.lab2.context import FleetContext
from graders.lab2.engines import TOKEN
from graders.lab2.names import ENVIRONMENTS, NAMESPACE
from graders.lab2.records import Exposure, SecretSeen
from graders.polling import NotYet
from graders.services.gitcommands import run_git
from graders.submissions.rendering import render

GITLEAKS_SETTINGS = Path(__file__).parents[1] / "config" / "gitleaks.toml"
"""The lab's own, whatever the repository says of gitleaks."""
_PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets/{TOKEN.name}"


def replace_secrets(context: FleetContext) -> None:
    """Look at the values, put others in their place, and look for all of them where they must not be."""
    context.settle()
    known: list[bytes] = []
    for environment in ENVIRONMENTS:
        value = _value(context, environment)
        if value is None:
            context.miss(f"a Secret {TOKEN.name} with the key {TOKEN.key} in {environment}", "there is none")
        known.append(value)
        _note(context, environment, "handed-in", value)
    fresh = {environment: dice.token_hex(16).encode() for environment in ENVIRONMENTS}
    files: dict[str, bytes | None] = {}
    for environment, value in fresh.items():
        path = f"secrets/{environment}/{TOKEN.name}.yaml"
        sops = context.fleet.sops if is_sops(context.fleet.manager.text(path)) else None
        files[path] = TOKEN.sealed(value) if sops is None else TOKEN.encrypted(value, sops)
    context.change("Replace the tokens", files)
    context.mark("replaced")
    missing = dict(fresh)

    def arrived() -> None:
        for environment, value in list(missing.items()):
            if _value(context, environment) == value:
                _note(context, environment, "replaced", value)
                del missing[environment]
        if missing:
            raise NotYet(f"the new token is not in {', '.join(missing)}")

    context.wait("the new tokens", arrived, context.promises.promote_s)
    context.mark("arrived")
    with context.in_git():
        _look_for(context, [*known, *fresh.values()])
        _ask_gitleaks(context)
    context.mark("end")


def _value(context: FleetContext, environment: str) -> bytes | None:
    found = context.fleet.spokes[environment].kube.find(_PATH)
    written = ((found or {}).get("data") or {}).get(TOKEN.key)
    return base64.b64decode(written) if written else None


def _note(context: FleetContext, environment: str, phase: str, value: bytes) -> None:
    digest = hashlib.sha256(value).hexdigest()
    record = SecretSeen(context.now(), environment, phase, digest, len(value))
    context.fleet.recording.writer.add(record)


def _look_for(context: FleetContext, values: list[bytes]) -> None:
    """Search everything a reader of Git or of the hub can see."""
    fleet = context.fleet
    for where, text in _places(context):
        for value in values:
            for how in forms_in(text, value):
                fleet.recording.writer.add(Exposure(context.now(), where, how))


def _ask_gitleaks(context: FleetContext) -> None:
    """Let gitleaks look at what the learner committed: the first commit, and what was pushed since."""
    fleet = context.fleet
    if fleet.gitleaks is None:
        return
    clone = fleet.manager.checkout()
    report = clone.parent / "gitleaks.json"
    for leak in leaks(fleet.gitleaks, GITLEAKS_SETTINGS, clone, report, fleet.manager.made[1:]):
        where = f"{leak.file[:200]}, line {leak.line}, in commit {leak.commit[:12]}"
        fleet.recording.writer.add(Exposure(context.now(), where, f"gitleaks says ({leak.rule[:60]})"))


def _places(context: FleetContext) -> Iterator[tuple[str, bytes]]:
    fleet = context.fleet
    clone = fleet.manager.checkout()
    yield "a commit", run_git(clone, "log", "--all", "--patch", "--text", "--format=%H%n%B")
    for environment in ENVIRONMENTS:
        rendered = render(fleet.renderer, clone, f"clusters/{environment}").objects
        yield f"what {environment} renders to", json.dumps(rendered, ensure_ascii=False).encode()
    for resource in fleet.setup.watches:
        for item in fleet.hub.watches.everything(resource):
            yield f"{resource} {item['metadata']['name']} on the hub", json.dumps(item).encode()
