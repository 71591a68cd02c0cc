"""Each twin was told its own name: the same namespace, the same object, two clusters."""

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import check


@check("east", tracks=("promotion",), hint="Write east.txt.")
def check_east(bundle: Bundle) -> None:
    """The east is greeted as the east."""
    _expect(bundle, "east")


@check("west", tracks=("promotion",), hint="Write west.txt.")
def check_west(bundle: Bundle) -> None:
    """The west is greeted as the west."""
    _expect(bundle, "west")


def _expect(bundle: Bundle, cluster: str) -> None:
    seen = bundle.on(cluster).watch_events_by_place.get(("configmaps", "web"), ())
    said = [each.object["data"]["said"] for each in seen if each.name == "greeting"]
    if said != [cluster]:
        raise Unmet(f"the ConfigMap greeting of {cluster} to say {cluster!r}", f"it said {said}")
