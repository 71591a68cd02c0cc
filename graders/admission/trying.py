"""Makes attempts as a named user, and puts the answers on record."""

from dataclasses import dataclass

from graders.admission.attempts import Attempt
from graders.admission.records import AttemptAnswer
from graders.admission.specimens import Manifest, pod, service
from graders.evidence.recording import Recording
from graders.kube.client import Answer, Kube
from graders.kube.paths import resource_path

STRATEGIC = "application/strategic-merge-patch+json"
GOOD = "lab-good"
"""A pod and a Service that break nothing, for attempts that change or extend one."""
_MOST_CHARS = 500
_RESOURCES = {
    "Pod": "pods", "Service": "services", "Deployment": "deployments", "StatefulSet": "statefulsets",
    "Job": "jobs",
}  # fmt: skip
_AT_ONCE = {"gracePeriodSeconds": 0}


@dataclass(frozen=True)
class Intruder:
    """A user of one cluster who tries what is to be denied there, in one namespace.

    `kube` is that user's, `track` the one whose attempts they are.
    """

    user: str
    kube: Kube
    cluster: str
    namespace: str
    track: str
    recording: Recording

    def bring_good(self, image: str) -> list[str]:
        """Make what is good; gives the paths of what is there."""
        goods = (pod(GOOD, image, self.namespace), service(GOOD, namespace=self.namespace))
        return [path_of(each) for each in goods if self._create(each).ok]

    def attempt(self, group: str, attempt: Attempt) -> tuple[Answer, str]:
        """Make an attempt; gives the answer, which is on record, and the path of the object it is about."""
        answer, path = self.tried(attempt)
        item = attempt.object
        self.note(f"{group}/{attempt.case}", item, answer.code, _said(answer), rule=attempt.rule)
        return answer, path

    def attempt_and_remove(self, group: str, attempt: Attempt) -> None:
        """Make an attempt, and delete what was let in."""
        answer, path = self.attempt(group, attempt)
        if answer.ok:
            self.remove(path)

    def tried(self, attempt: Attempt) -> tuple[Answer, str]:
        """Make an attempt that is no evidence; gives the answer, and the path of the object it is about."""
        if attempt.how == "create":
            return self._create(attempt.object), path_of(attempt.object)
        path = resource_path("v1", attempt.changes, namespace=self.namespace, name=GOOD)
        if attempt.how == "ephemeral":
            path += "/ephemeralcontainers"
        return self.kube.request("PATCH", path, body=attempt.object, content_type=STRATEGIC), path

    def remove(self, path: str) -> None:
        """Delete an object at once."""
        self.kube.request("DELETE", path, query=_AT_ONCE)

    def dry_run(self, case: str, name: str, item: Manifest) -> None:
        """Ask what an object of anybody's would be answered, and put it on record as `name`.

        Raises:
            ApiRefused: there is no such kind. Others: it is no object.
        """
        path = self.kube.path_for(item, collection=True)
        answer = self.kube.request("POST", path, query={"dryRun": "All"}, body=item)
        self.note(case, item, answer.code, _said(answer), name=name, dry_run=True)

    def note(
        self, case: str, item: Manifest | None, code: int, message: str, *,
        rule: str = "", name: str = "", dry_run: bool = False,
    ) -> None:  # fmt: skip
        """Put an answer on record; of a dry run the object as well."""
        known = item or {}
        named = name or str((known.get("metadata") or {}).get("name", GOOD))
        self.recording.writer.add(
            AttemptAnswer(
                self.recording.clock.now(), self.cluster, self.track, case, rule, self.user,
                str(known.get("kind", "")), self.namespace, named, code, message[:_MOST_CHARS], dry_run,
                item if dry_run else None,
            )
        )  # fmt: skip

    def _create(self, item: Manifest) -> Answer:
        return self.kube.request("POST", _collection(item), body=item)


def path_of(item: Manifest) -> str:
    """Where a specimen is on an API server."""
    return f"{_collection(item)}/{item['metadata']['name']}"


def _collection(item: Manifest) -> str:
    namespace = item["metadata"]["namespace"]
    return resource_path(item["apiVersion"], _RESOURCES[item["kind"]], namespace=namespace)


def _said(answer: Answer) -> str:
    return "" if answer.ok else answer.message
