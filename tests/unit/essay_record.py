"""The record of an essay, the tiny course's lab without a cluster: soon judged, where any record would do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from graders.evidence.manifest import BundleManifest, TrackResult
from graders.paths import REPOSITORY

COURSE = REPOSITORY / "tests" / "tinycourse"
GOOD = "etcd " + "word " * 60
"""An essay that earns both points: it names etcd, and has fifty words."""


def essay_record(folder: Path, text: str = GOOD, learner: str = "ada") -> Path:
    """Make the bundle `folder` of a learner's essay with that text."""
    folder.mkdir(parents=True)
    (folder / "pages.jsonl").write_text(json.dumps({"t": 0.5, "words": text.split()}) + "\n")
    manifest = BundleManifest(
        lab="essay", run_id="1", created_at="2026-10-10T12:00:00Z", seed=1, provider="embedded",
        sandbox="bubblewrap", kubeproof_version="0.1.0",
        submission={"learner_id": learner, "digest": f"sha256:{learner}"},
        tracks={"reading": TrackResult("done", 0.0, 1.0)}, records={"pages.jsonl": 1},
    )  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(dataclasses.asdict(manifest)))
    return folder
