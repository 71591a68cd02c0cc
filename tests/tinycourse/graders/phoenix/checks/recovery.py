"""Whether the control plane came back, and with what."""

from graders.evidence.bundle import Bundle
from graders.evidence.timeline import TrackRecord
from graders.faults import Unmet
from graders.judging import check


@check("back", tracks=("loss",), hint="Copy a backup into /restored.")
def check_back(bundle: Bundle) -> None:
    """The API server answers again."""
    record = TrackRecord(bundle, "loss")
    if not record.all("back"):
        raise Unmet("the API server to be ready again", str(record.mark("not-back").data["why"]))


@check("newest", tracks=("loss",), requires=("back",), hint="Take the backup with the highest number.")
def check_newest(bundle: Bundle) -> None:
    """What was written before the last backup is there."""
    found = TrackRecord(bundle, "loss").request("after").response["items"]
    names = sorted(each["metadata"]["name"] for each in found)
    if "second" not in names:
        raise Unmet("a ConfigMap second, as in the last backup", f"there are {', '.join(names)}")
