"""Takes away the jobs of tracks that are over, before the restart that all others share.

An operator that starts looks at every job there is. Those that nobody waits for any more would only show
how many jobs stand around, for a client that holds itself to some requests a second sees to them as well.
"""

from collections.abc import Collection

from graders.evidence.records import CLEARED
from graders.kube.client import ApiRefused
from graders.lab1.api import PLURAL, controller_uid, jobs_path
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.names import FOREIGN_FINALIZER, RUN
from graders.polling import NotYet, TimedOut, wait_for


def clear(env: OperatorEnvironment, tracks: Collection[str]) -> None:
    """Delete the jobs of `tracks`, which are over, and give them and their pods T to go.

    Their record ends with the mark `cleared`, so that what comes of it is nobody's evidence. What has not
    gone by then is only marked: to see to that is another track's business.

    Raises:
        InfraFault: the API server gives no answer.
    """
    spaces = {name: key.partition("/")[0] for key, name in env.namespaces.items()}
    over = [name for name, track in spaces.items() if track in tracks]
    doomed = {name: env.watches.objects(PLURAL, name) for name in over}
    for namespace in over:
        env.recording.mark(spaces[namespace], CLEARED, namespace=namespace)
    for namespace, jobs in doomed.items():
        for name in jobs:
            _remove(env, jobs_path(namespace, name))
    uids = {job["metadata"]["uid"] for jobs in doomed.values() for job in jobs.values()}

    def gone() -> None:
        jobs = sum(len(env.watches.objects(PLURAL, name)) for name in over)
        pods = [pod for name in over for pod in env.watches.objects("pods", name).values()]
        orphans = sum(controller_uid(pod) in uids for pod in pods)
        if jobs or orphans:
            raise NotYet(f"{jobs} jobs and {orphans} pods of them are still there")

    try:
        with env.recording.changes.listener() as bell:
            wait_for(gone, timeout_s=env.deadline_s, interval_s=0.1, wake=bell)
    except TimedOut as left:
        env.recording.mark(RUN, "not-cleared", seen=str(left))


def _remove(env: OperatorEnvironment, path: str) -> None:
    """Delete a job and let go of it; that it has gone meanwhile is no fault."""
    try:
        env.kube.delete(path, propagationPolicy="Background")
        job = env.kube.find(path)
        held = ((job or {}).get("metadata") or {}).get("finalizers") or []
        if FOREIGN_FINALIZER in held:
            kept = [each for each in held if each != FOREIGN_FINALIZER]
            env.kube.patch(path, {"metadata": {"finalizers": kept}})
    except ApiRefused:
        return
