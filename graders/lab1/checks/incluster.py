"""The operator's own image as its own Deployment, and jobs whose containers really end."""

from collections.abc import Callable
from typing import TypeVar

from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark, Object
from graders.evidence.timeline import ObjectHistory
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.lab1.api import index_of, is_true, status_field
from graders.lab1.incluster.diagnosis import exit_codes, reasons, users_of
from graders.lab1.names import IN_CLUSTER
from graders.lab1.trackrecord import JobsRecord
from graders.model import Capability

T = TypeVar("T")

COUNTED = frozenset({"exit-137", "oom"})
"""What happens to pods of `told` that is a failure of the job's; the rest is somebody else's doing."""

_HINTS = (
    ("ImagePull", "A container names another image than the first one does: only your own is on the nodes."),
    ("ErrImageNeverPull", "A container names another image than the first one does: only yours is there."),
    ("CreateContainerConfigError", "USER in the Dockerfile has to be a number, and not 0."),
    ("violates PodSecurity", "Pods are held to the restricted Pod Security Standard: mend securityContext."),
    ("kubeproof-containment", "What reaches for the machine is forbidden: take it out of the Deployment."),
    ("Read-only file system", "The root file system is read-only: write to an emptyDir, or do not write."),
    ("CrashLoopBackOff", "Its last words are above, and all of them in bundle/logs: it ends by itself."),
    ("not Ready", "Do the probes reach it? A server that listens on 127.0.0.1 answers nobody in a pod."),
)
"""What a word in what was seen is a sign of; the first that is there counts."""


@check(
    "in-cluster",
    tracks=(IN_CLUSTER,),
    needs=(Capability.REAL_PODS,),
    hint="Build it with `docker build --network none .`, and apply your manifests to a cluster of kind's.",
)
def check_in_cluster(bundle: Bundle, facts: Facts) -> None:
    """Your image is built, your Deployment runs it as restricted, and it trains for real."""
    story = JobsRecord(bundle, IN_CLUSTER)
    _expect_image(story, facts)
    _expect_nothing_missed(story)
    ready = story.mark("ready")
    story.mark("end")  # a record that stops before shows nothing of what should have come
    with Findings() as found:
        _expect_restricted(found, story, ready, facts)
        _expect_trained(found, story, facts)
        _expect_ended(found, story, facts)


def _expect_image(story: JobsRecord, facts: Facts) -> None:
    """There is an image, or the mark says why not."""
    expected = "an image, built from your Dockerfile without a network"
    for mark in story.all("image-refused"):
        data = mark.data
        where = (
            f"{data['file']}:{data['line']}" if data.get("line") else str(data.get("file") or "Dockerfile")
        )
        raise Unmet(expected, f"{where}: {data['problem']}", hint=str(data.get("fix") or ""))
    for mark in story.all("image-failed"):
        raise Unmet(
            expected,
            f"the build failed: {mark.data['problem']}; it printed last: {mark.data['printed']}",
            hint="The whole of it is in bundle/logs/image-build.log.",
        )
    built = story.mark("image-built")
    facts["image_bytes"] = built.data["size_bytes"]
    facts["build_s"] = built.data["seconds"]


def _expect_nothing_missed(story: JobsRecord) -> None:
    for mark in story.all("missed"):
        seen, log = str(mark.data["seen"]), str(mark.data.get("log") or "").strip()
        words = f"{seen}; it printed last: {log}" if log else seen
        within = f", within {mark.data['within_s']:g} s" if "within_s" in mark.data else ""
        hint = next((hint for sign, hint in _HINTS if sign in words), "")
        raise Unmet(f"{mark.data['waiting_for']}{within}", words, hint=hint)


def _expect_restricted(found: Findings, story: JobsRecord, ready: Mark, facts: Facts) -> None:
    """What ran as the operator ran without rights on its node."""
    namespace = story.bundle.manifest.learner.split(":")[2]
    lives = {life.name: life for life in story.histories("pods", namespace)}
    pods = [lives[name] for name in ready.data["pods"] if name in lives]
    facts["replicas"] = len(pods)
    found.expect(pods, "a pod of the operator's Deployment", "its Deployment has none", "Set replicas.")
    for life in pods:
        spec = life.last["spec"]
        for container in spec["containers"]:
            whose = f"{life.name}, container {container['name']}"
            context = container.get("securityContext") or {}
            found.expect(
                context.get("readOnlyRootFilesystem") is True,
                "a read-only root file system in every container of the operator",
                f"{whose}: it could be written",
                "Set securityContext.readOnlyRootFilesystem: true.",
            )
            rootless = context.get("runAsNonRoot", (spec.get("securityContext") or {}).get("runAsNonRoot"))
            found.expect(
                rootless is True,
                "runAsNonRoot: true for every container of the operator",
                f"{whose}: runAsNonRoot is {rootless}",
                "Set securityContext.runAsNonRoot: true.",
            )
        users = sorted({user for seen in life.seen for user in users_of(seen.object)})
        facts.setdefault("users", users)
        found.expect(0 not in users, "containers that do not run as root", f"{life.name} ran as user 0")


def _expect_trained(found: Findings, story: JobsRecord, facts: Facts) -> None:
    """Each rank ran in a real container and ended with 0 by itself; then the job was Complete."""
    job = story.job("train").last
    found.expect(is_true(job, "Complete"), "train: Complete True", "train: Complete is not True")
    wanted = job["spec"]["trainer"]["numNodes"]
    ended = {index_of(life.last): _ends(life, exit_codes) for life in story.pods("train")}
    facts["ranks"] = ended
    found.expect(
        len(ended) == wanted and all(codes and set(codes) == {0} for codes in ended.values()),
        f"train: {wanted} ranks, each ended with exit code 0",
        f"train: exit codes by rank: {ended or 'none'}",
        "The pods meet at PET_MASTER_ADDR:PET_MASTER_PORT, by the name of your headless Service.",
    )


def _expect_ended(found: Findings, story: JobsRecord, facts: Facts) -> None:
    """Real failures are judged by their codes, and what others did to pods is none."""
    broken = story.job("broken").last
    found.expect(is_true(broken, "Failed"), "broken: Failed True", "broken: Failed is not True")
    codes = [code for life in story.pods("broken") for code in _ends(life, exit_codes)]
    found.equal("broken: exit codes (3 is permanent):", [3], codes)
    told = story.job("told").last
    disturbed = [str(mark.data["how"]) for mark in story.all("disturbed")]
    facts["disturbed"] = disturbed
    facts["restarts"] = status_field(told, "restarts")
    found.expect(is_true(told, "Complete"), "told: Complete True at the end", "told: Complete is not True")
    counted = sum(how in COUNTED for how in disturbed)
    found.equal(
        f"told: restarts, after {', '.join(disturbed)}:",
        counted,
        status_field(told, "restarts"),
        "An exit code of 137 and a kill for memory count; an eviction and a lost node do not.",
    )
    facts["oom_killed"] = sum("OOMKilled" in _ends(life, reasons) for life in story.pods("told"))


def _ends(life: ObjectHistory, read: Callable[[Object], list[T]]) -> list[T]:
    """How the containers of a pod ended; a pod is seen ended before it is seen gone."""
    return next((found for seen in reversed(life.seen) if (found := read(seen.object))), [])
