"""A program that records and does nothing else, and then says what it loaded of the course and of others.

    python -P tests/cluster/recordalone.py WANTED LOADED

WANTED is a pickle of (settings of the lab, submission, folder for all that is made, tracks or None), LOADED
becomes JSON. What judges must not come with the settings, so whoever starts this reads them.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

READ: set[str] = set()


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str):
        READ.add(arguments[0])


def main() -> None:
    sys.addaudithook(_note)
    settings, submission, folder, tracks = pickle.loads(Path(sys.argv[1]).read_bytes())

    from graders.definition import lab_package
    from graders.progress import Silent
    from graders.recording import Preparing, RecordOptions, RecordRequest, record, scenario_of
    from graders.submissions import load_submission

    scratch = folder / "scratch"
    scratch.mkdir()
    block = lab_package(settings.id).load("block")
    handed_in = load_submission(submission, lab=settings.id, block=block, learner_id="", scratch=scratch)
    scenario_of(settings.id).examine(handed_in)
    place = scratch / "attempt"
    place.mkdir()
    wanted = RecordRequest(settings, folder / "bundle", how=RecordOptions(), tracks=tracks)
    record(wanted, handed_in, place, Silent(), Preparing())
    Path(sys.argv[2]).write_text(json.dumps({"modules": sorted(sys.modules), "read": sorted(READ)}))


if __name__ == "__main__":
    main()
