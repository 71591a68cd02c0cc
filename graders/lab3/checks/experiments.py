"""Whether experiments say what is so, do what they say, touch nothing else, and leave nothing behind."""

from graders.chaos.reading import failed_actions, journal_of, met_before, why_failed
from graders.chaos.records import ExperimentRun
from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent
from graders.judging import Facts, Findings, check
from graders.lab3.experimentrecord import ExperimentsRecord
from graders.lab3.handin import Experiment
from graders.lab3.names import EXPERIMENTS

_SICK = {
    "at-zero": "the Deployment at 0",
    "no-match": "a Service that selects nothing",
    "unready": "all pods unready",
}
_WHOLE_S, _EXIT_S = 45.0, 10.0


@check(
    "hypothesis",
    tracks=(EXPERIMENTS,),
    hint="Ask for what a client needs: ready addresses of the Service, not whether it exists.",
)
def check_hypothesis(bundle: Bundle, facts: Facts) -> None:
    """Each hypothesis holds while the workload is healthy, and not when nobody is served."""
    record = ExperimentsRecord(bundle)
    with Findings("true of a healthy workload, and false of each sick one") as found:
        for each in record.tried():
            run = record.run_of(each, "hypothesis-healthy")
            told = {"healthy": met_before(run)}
            if told["healthy"] is None:
                silent = f"{each.id}: its journal says nothing of a hypothesis; {_last_words(run.said)}"
                found.miss(silent, hint="Give the hypothesis probes: without any it says nothing.")
            elif not told["healthy"]:
                found.miss(f"{each.id}: it does not hold of the healthy workload; {_last_words(run.said)}")
            for name, words in _SICK.items():
                told[name] = met_before(record.run_of(each, f"hypothesis-{name}"))
                found.expect(
                    told[name] is not True, "false of a sick one", f"{each.id}: it holds with {words}"
                )
            facts[each.id.replace("-", "_")] = str(told)


@check(
    "injects",
    tracks=(EXPERIMENTS,),
    hint="`completed` also follows a selector that matches nothing: look at what the journal says.",
)
def check_injects(bundle: Bundle, facts: Facts) -> None:
    """Each experiment does what it says: something in its scope is another one afterwards."""
    record = ExperimentsRecord(bundle)
    effects = record.effects
    kills = changes = False
    for name, reason in record.not_shown.items():
        facts[name.replace("-", "_")] = f"not shown here: {reason}"
    with Findings("experiments that inject, end in time, and are recovered from") as found:
        for each in record.tried():
            run = record.run_of(each, "whole")
            failed = failed_actions(run)
            if failed is None:
                found.miss(f"{each.id}: {_nothing_told(run, f'no action was run; it {run.how}')}")
            elif failed:
                why = why_failed(run) or _last_words(run.said)
                found.miss(f"{each.id}: action {', '.join(failed)} failed: {why}")
            for event in effects.denied(run):
                found.miss(f"{each.id}: RBAC denied {event.verb} {event.resource}")
            hits = [
                event for event in effects.writes(run)
                if event.ok and effects.in_scope(event, each.scope) and effects.changed(event, run)
            ]  # fmt: skip
            facts[each.id.replace("-", "_")] = len(hits)
            found.expect(
                hits, "a change of something in scope", f"{each.id}: nothing in its scope was changed"
            )
            kills |= any(map(_kills, hits))
            changes |= any(event.verb in ("patch", "update") for event in hits)
            if run.t_end - run.t > _WHOLE_S * record.scale:
                found.miss(f"{each.id}: it took {run.t_end - run.t:.1f} s, over {_WHOLE_S:g} s")
            if not record.mark("ready-again", id=each.id).data["ready"]:
                found.miss(f"{each.id}: not all replicas were ready 15 s after it")
        found.expect(kills, "an experiment that kills pods", "none kills pods")
        found.expect(
            changes, "an experiment that changes what has to be undone", "none changes what has to be undone"
        )


@check("blast-radius", tracks=(EXPERIMENTS,), hint="Select by labels and namespace, and say how many.")
def check_blast_radius(bundle: Bundle, facts: Facts) -> None:
    """No experiment touches more than its scope says."""
    record = ExperimentsRecord(bundle)
    with Findings("no more targets than `max`, all of them in scope") as found:
        for each in record.tried():
            run = record.run_of(each, "whole")
            _has_acted(each, run, found)
            writes = [event for event in record.effects.writes(run) if event.ok]
            counted = [event for event in writes if not each.scope.nodes or event.resource == "nodes"]
            targets = {(event.resource, event.name) for event in counted}
            facts[each.id.replace("-", "_")] = len(targets)
            if len(targets) > each.scope.max:
                found.miss(f"{each.id}: {len(targets)} targets, where its scope has at most {each.scope.max}")
            for event in writes:
                if not record.effects.in_scope(event, each.scope):
                    found.miss(f"{each.id}: {event.verb} {event.resource} {event.name} is out of its scope")


@check("dry", tracks=(EXPERIMENTS,), hint="`--dry actions` leaves out actions alone: a fault has to be one.")
def check_dry(bundle: Bundle) -> None:
    """A dry run changes nothing, and does not deviate."""
    record = ExperimentsRecord(bundle)
    with Findings("a dry run without a change") as found:
        for each in record.tried():
            run = record.run_of(each, "dry")
            for event in record.effects.writes(run):
                found.miss(f"{each.id}: a dry run did {event.verb} {event.resource} {event.name}")
            if journal_of(run).get("deviated") is not False:
                found.miss(f"{each.id}: {_nothing_told(run, 'a dry run deviates')}")


@check(
    "abort",
    tracks=(EXPERIMENTS,),
    hint="Rollbacks follow an interruption only with runtime.rollbacks.strategy: always in the settings.",
)
def check_abort(bundle: Bundle, facts: Facts) -> None:
    """Whether it ends or is aborted, an experiment leaves all as it was."""
    record = ExperimentsRecord(bundle)
    with Findings("an end within 10 s, and all as it was before") as found:
        for each in record.tried():
            run = record.run_of(each, "aborted")
            found.expect(journal_of(run), "a run", f"{each.id}: {_nothing_told(run, 'it did not run')}")
            _has_acted(each, record.run_of(each, "whole"), found)
            if run.aborted is not None:
                facts[f"{each.id.replace('-', '_')}_s"] = round(run.t_end - run.aborted, 2)
                if run.t_end - run.aborted > _EXIT_S * record.scale:
                    found.miss(f"{each.id}: it went on for {run.t_end - run.aborted:.1f} s after SIGTERM")
            elif any(event.ok for event in record.effects.writes(run)):
                found.miss(
                    f"{each.id}: it did not pause after its first change, so it could not be aborted there",
                    hint="Let its last action have pauses.after of 3 s or more.",
                )
            else:
                told = f"{each.id}: when it was to be aborted it changed nothing; {_last_words(run.said)}"
                found.miss(told, hint="Select what is there now: names of pods are others after each run.")
            for when, words in (("whole", "a normal end"), ("aborted", "being aborted")):
                left = record.left_behind(each, when)
                if left:
                    found.miss(f"{each.id}: after {words}, {', '.join(left[:3])} is not as before")


def _has_acted(experiment: Experiment, run: ExperimentRun, found: Findings) -> None:
    """Who does nothing touches nothing, and shows nothing by it."""
    acted = failed_actions(run) is not None
    told = f"{experiment.id}: {_nothing_told(run, 'no action was run')}"
    found.expect(acted, "an action in its journal", told, "Write the fault as an action of its method.")


def _kills(event: AuditEvent) -> bool:
    """Whether it asks for the end of a pod."""
    ends = event.verb in ("delete", "deletecollection") or event.subresource == "eviction"
    return event.resource == "pods" and ends


def _nothing_told(run: ExperimentRun, otherwise: str) -> str:
    """Why a run shows nothing: it was stopped before it wrote its journal, or `otherwise`."""
    how = otherwise if run.code is not None or journal_of(run) else f"its {run.purpose} run {run.how}"
    return f"{how}; {_last_words(run.said)}"


def _last_words(said: str) -> str:
    """The end of what was printed."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    return f"it printed last: {lines[-1][-200:]}" if lines else "it printed nothing"
