"""What an essay is judged by."""

from graders.essay.pages import Page

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import check


@check("length", tracks=("reading",), hint="Write more.")
def check_length(bundle: Bundle) -> None:
    """It has at least fifty words."""
    words = sum(len(page.words) for page in bundle.records(Page))
    if words < 50:
        raise Unmet("at least 50 words", f"{words} words")


@check("subject", tracks=("reading",), hint="Say what you would do if etcd were lost.")
def check_subject(bundle: Bundle) -> None:
    """It speaks of etcd."""
    if not any("etcd" in word for page in bundle.records(Page) for word in page.words):
        raise Unmet("a word about etcd", "none")
