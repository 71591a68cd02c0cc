"""The policies' own tests, against dev."""

from graders.documents import read_documents
from graders.faults import BadSubmission
from graders.kube.client import ApiRefused
from graders.lab2.context import FleetContext
from graders.lab2.names import NAMESPACE
from graders.lab2.tracks.admission import intruder

TESTS = ("policies/tests/pass", "policies/tests/fail")
_WHERE = "dev"
_MOST_TESTS = 100


def review(context: FleetContext) -> None:
    """Each file of policies/tests, by a server dry run on dev."""
    context.settle()
    by = intruder(context, _WHERE)
    with context.in_git():
        root = context.fleet.manager.checkout()
    for folder in TESTS:
        for file in sorted((root / folder).glob("*.y*ml"))[:_MOST_TESTS]:
            name = file.relative_to(root).as_posix()
            try:
                (item,) = [each.data for each in read_documents(file.read_bytes(), shown_as=name)]
                item = {**item, "metadata": {"namespace": NAMESPACE, **item["metadata"]}}
                by.dry_run(f"review/{name}", name, item)
            except (BadSubmission, ValueError, TypeError, KeyError, AttributeError, ApiRefused) as error:
                said = f"it holds no single object: {error}"
                by.note(f"review/{name}", None, 0, said, name=name, dry_run=True)
    context.check_judges()
    context.mark("reviewed")
