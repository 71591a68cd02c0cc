"""The policies' own tests, against dev."""

from __future__ import annotations

from graders.documents import read_documents
from graders.faults import BadSubmission
from graders.kube.client import ApiRefused, Kube
from graders.lab2.names import INTRUDER, NAMESPACE
from graders.lab2.records import AttemptAnswer
from graders.lab2.stage import FleetContext

TESTS = ("policies/tests/pass", "policies/tests/fail")
_WHERE = "dev"
_MOST_TESTS = 100


def review(context: FleetContext) -> None:
    """Each file of policies/tests, by a server dry run on dev."""
    context.settle()
    live = context.stage.spokes[_WHERE]
    kube = Kube(live.cluster.identities[INTRUDER])
    with context.in_git():
        root = context.stage.manager.checkout()
    for folder in TESTS:
        for file in sorted((root / folder).glob("*.y*ml"))[:_MOST_TESTS]:
            name = file.relative_to(root).as_posix()
            try:
                (item,) = [each.data for each in read_documents(file.read_bytes(), shown_as=name)]
                item = {**item, "metadata": {"namespace": NAMESPACE, **item["metadata"]}}
                path = kube.path_for(item, collection=True)
                answer = kube.request("POST", path, query={"dryRun": "All"}, body=item)
                code, message = answer.code, answer.message if not answer.ok else ""
            except (BadSubmission, ValueError, TypeError, KeyError, AttributeError, ApiRefused) as error:
                item, code, message = None, 0, f"it holds no single object: {error}"
            context.stage.recording.writer.add(
                AttemptAnswer(
                    context.now(), _WHERE, context.track, f"review/{name}", "", INTRUDER,
                    str((item or {}).get("kind", "")), NAMESPACE, name, code, message[:500], dry_run=True,
                    object=item,
                )
            )  # fmt: skip
    context.check_judges()
    context.mark("reviewed")
