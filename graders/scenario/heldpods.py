"""How simulated pods of one workload behave: they run, and are ready only when the grader says so."""

from pathlib import Path

import yaml

from graders.clusters.components import STAGES

_LABEL = '.metadata.labels["app.kubernetes.io/name"]'
_READY_BY_ITSELF = ("pod-running", "pod-ready-again")
_STATUS = """\
{{ $now := Now }}
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "False", reason: ContainersNotReady, lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "False", reason: ContainersNotReady, lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: false, started: true, restartCount: 0, \
state: {running: {startedAt: {{ $now | Quote }}}}}
{{ end }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""


def write_stages(path: Path, name: str) -> Path:
    """Write kwok's stages: those of every cluster, but for pods that are labelled with the name."""
    stages = list(yaml.safe_load_all(STAGES.read_text("utf-8")))
    for stage in stages:
        if stage["metadata"]["name"] in _READY_BY_ITSELF:
            _expressions(stage).append({"key": _LABEL, "operator": "NotIn", "values": [name]})
        if stage["metadata"]["name"] == "pod-running":
            held = yaml.safe_load(yaml.safe_dump(stage))
    held["metadata"]["name"] = "pod-held"
    _expressions(held)[-1]["operator"] = "In"
    held["spec"]["next"] = {"statusTemplate": _STATUS}
    path.write_text(yaml.safe_dump_all([*stages, held]), encoding="utf-8")
    return path


def _expressions(stage: dict[str, object]) -> list[dict[str, object]]:
    return stage["spec"]["selector"]["matchExpressions"]  # type: ignore[index,no-any-return]
