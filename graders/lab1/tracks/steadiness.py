"""An operator at rest, and one that is led about: what it writes, and where a job ends up."""

from graders.lab1.api import is_true, job_manifest, phase
from graders.lab1.jobscontext import JobsContext
from graders.lab1.walk import FIRST_NODES, Walk, merged, walker
from graders.polling import NotYet
from graders.scenario.deadlines import MOST_STRETCH, LearnerClock
from graders.scenario.environment import QUIET_S

SETTLED_S = 5.0
"""Without a write for so long, an operator is at rest."""
WINDOW_S = 12.0
"""For so long it is watched at rest: a write every ten seconds for each of four jobs is seen."""
AFTER_POKE_S = 4.0
POKED = "runs"

ROAMER, RETURNER, SCOUT = "roams", "returns", "scout"
FRESH = ("fresh", "again")
"""Parts with jobs that have the last spec from the start; what differs between two such is chance."""


def quiet(context: JobsContext) -> None:
    """A running, a suspended, a completed and a once-restarted job, left alone; then one is touched."""
    namespace = context.namespace()
    context.create(job_manifest(namespace, POKED, nodes=2))
    context.create(job_manifest(namespace, "sleeps", nodes=2, run_policy={"suspend": True}))
    context.create(job_manifest(namespace, "done", nodes=1))
    context.create(job_manifest(namespace, "restarted", nodes=2))
    for name, nodes in ((POKED, 2), ("done", 1), ("restarted", 2)):
        context.wait_pods(namespace, name, nodes)
    context.settle(namespace)
    victim, uid = context.pod(namespace, "restarted")
    context.end_pod(namespace, victim, "137")
    context.end_pod(namespace, context.pod(namespace, "done")[0], "0")
    # Whether it replaces and completes is for other tracks to demand: this one looks at what follows.
    context.reached("a new pod for a failed one", lambda: _replaced(context, namespace, "restarted", uid))
    context.reached(
        "the job done: Complete is True", lambda: _condition(context, namespace, "done", "Complete")
    )
    stretch = context.env.quiet_s / QUIET_S
    context.settle(namespace, for_s=SETTLED_S * stretch)
    context.mark("watching", namespace=namespace)
    let_pass(context, "watching what is written while nothing changes", WINDOW_S * stretch)
    poke = {"metadata": {"annotations": {"example.org/note": "seen"}}}
    context.change(namespace, POKED, poke, "poke")
    let_pass(context, "watching what is written after an annotation", AFTER_POKE_S * stretch)
    context.mark("end", namespace=namespace)


def let_pass(context: JobsContext, what: str, seconds: float) -> None:
    """Let time go by, as much of it as the operator has for itself."""
    clock = LearnerClock(context.env)

    def probe() -> None:
        left_s = seconds - clock.now()
        if left_s > 0:
            raise NotYet(f"{left_s:.1f} s to go")

    if seconds > 0:
        context.wait(what, probe, timeout_s=(1 + MOST_STRETCH) * seconds + 5)


def random_walk(context: JobsContext) -> None:
    """Two jobs are led about; in two other namespaces jobs of their names have the last spec at once."""
    here = context.namespace()
    for name in (SCOUT, ROAMER, RETURNER):
        context.create(walker(here, name))
    for name in (SCOUT, ROAMER, RETURNER):
        context.wait_pods(here, name, FIRST_NODES)
    moves = _scouted(context, here)
    # The namespace is named by the run's seed, so the same seed leads the same way.
    walks = {name: Walk(f"{here}/{name}", moves, ends_paused=name == RETURNER) for name in (ROAMER, RETURNER)}
    for name, walk in walks.items():
        context.mark(
            "walk", job=name, seed=f"{here}/{name}", moves=sorted(moves), steps=[s.patch for s in walk.steps]
        )
        for part in FRESH:
            twin = walker(context.namespace(part), name)
            context.create({**twin, "spec": walk.spec})
    _lead(context, here, walks)
    spaces = (here, *(context.namespace(part) for part in FRESH))
    for name, walk in walks.items():
        for space in spaces:
            context.wait_pods(space, name, walk.nodes)
    context.settle(*spaces)
    context.mark("end", namespace=here)


def _scouted(context: JobsContext, namespace: str) -> frozenset[str]:
    """Which moves the operator follows when they come singly; those it does not cost other criteria."""
    moves = set()
    for move, nodes in (("grow", FIRST_NODES + 1), ("shrink", FIRST_NODES)):
        context.change(namespace, SCOUT, {"spec": {"trainer": {"numNodes": nodes}}}, "scout", move=move)
        if context.reached(f"{nodes} pods of {SCOUT}", lambda n=nodes: _sized(context, namespace, SCOUT, n)):  # type: ignore[misc]
            moves.add(move)
    left = len(context.pods(namespace, SCOUT))
    followed = []
    for suspended, nodes in ((True, 0), (False, left)):
        patch = {"spec": {"runPolicy": {"suspend": suspended}}}
        context.change(namespace, SCOUT, patch, "scout", move="pause" if suspended else "resume")
        what = f"{nodes} pods of {SCOUT}"
        followed.append(context.reached(what, lambda n=nodes: _sized(context, namespace, SCOUT, n)))  # type: ignore[misc]
        if not followed[-1]:
            break
    if all(followed):
        moves.add("pause")
    if not moves:
        # Whoever follows no change at all has nothing here to be equal in.
        context.wait_pods(namespace, SCOUT, 0)
    return frozenset(moves)


def _lead(context: JobsContext, namespace: str, walks: dict[str, Walk]) -> None:
    states = {name: walker("", "")["spec"] for name in walks}
    for steps in zip(*(walk.steps for walk in walks.values()), strict=True):
        for name, step in zip(walks, steps, strict=True):
            states[name] = merged(states[name], step.patch)
            nodes = states[name]["trainer"]["numNodes"]
            context.change(namespace, name, {"spec": step.patch}, "step", nodes=nodes, spec=step.patch)
        for name, step in zip(walks, steps, strict=True):
            if step.rests:
                paused = states[name]["runPolicy"].get("suspend")
                wanted = 0 if paused else states[name]["trainer"]["numNodes"]
                what = f"{wanted} pods of {name}"
                context.reached(what, lambda n=name, w=wanted: _sized(context, namespace, n, w))  # type: ignore[misc]
        if any(step.rests for step in steps):
            context.settle(namespace)
        else:
            let_pass(context, "a moment between two changes", max(step.pause_s for step in steps))


def _sized(context: JobsContext, namespace: str, job: str, count: int) -> None:
    pods = context.pods(namespace, job)
    if len(pods) != count or any(phase(pod) != "Running" for pod in pods.values()):
        raise NotYet("pods: " + (", ".join(f"{n} {phase(p)}" for n, p in sorted(pods.items())) or "none"))


def _replaced(context: JobsContext, namespace: str, job: str, uid: str) -> None:
    pods = context.pods(namespace, job)
    if any(pod["metadata"]["uid"] == uid for pod in pods.values()):
        raise NotYet("the failed pod is still there")
    _sized(context, namespace, job, 2)


def _condition(context: JobsContext, namespace: str, job: str, condition: str) -> None:
    if not is_true(context.the_job(namespace, job), condition):
        raise NotYet(f"{condition} is not True")
