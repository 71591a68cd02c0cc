"""What can be judged of a hand-in without a cluster: report, runbook, backlog."""

import re
from collections.abc import Iterable
from datetime import datetime

from graders.chaos.reading import DEVIATED, experiment_in, outcomes_of, times_of
from graders.documents.fields import instant
from graders.documents.markdown import Section, sections
from graders.evidence.bundle import Bundle
from graders.evidence.handedin import unmet
from graders.faults import LocatedError, Unmet
from graders.judging import Facts, Findings, check
from graders.lab3.documents.audits import audit_ids
from graders.lab3.documents.backlog import PROJECT, BacklogItem, MitigationBacklog
from graders.lab3.documents.handedin import Lab3Files
from graders.lab3.documents.report import (
    HEADINGS,
    FrontMatter,
    Report,
    ReportedExperiment,
    ReportedFinding,
    read_report,
)
from graders.lab3.names import BACKLOG, CEILINGS, PAPERS, RUNBOOK, UNKNOWN

_GRAVE = ("S1", "S2")
_URGENT = ("P0", "P1")
_NOTHING_BY_HAND = "nothing to do by hand"
_ABOUT_S = 60.0
"""How far a time in the report may be from that in the journal."""


@check("report", tracks=(PAPERS,), hint="Compare the report with the files that it names.")
def check_report(bundle: Bundle, facts: Facts) -> None:
    """Your report is whole, names the files it rests on, and says what they say."""
    handin = Lab3Files(bundle)
    with unmet("a report as the lab text describes it"):
        report = read_report(handin)
        facts["findings"] = len(report.front.findings)
        with Findings("a report that agrees with the hand-in") as found:
            _headings(report, found)
            _targets(handin, report, found)
            _experiments(handin, report.front, found)
            _recoveries(handin, report.front, found)
            _has_findings(report.front, found)


def _headings(report: Report, found: Findings) -> None:
    for heading in HEADINGS:
        section = next((each for each in report.sections if each.title.lower() == heading.lower()), None)
        if section is None:
            found.miss(f"{report.file} has no heading {heading!r}", hint=f"Add a section {heading}.")
        elif section.is_empty:
            found.miss(f"{report.file}:{section.line}: nothing stands below {heading!r}")


def _targets(handin: Lab3Files, report: Report, found: Findings) -> None:
    promised = {(each.scenario, each.rto_s, each.rpo_s) for each in handin.manifest.targets}
    told = [(each.scenario, each.rto_s, each.rpo_s) for each in report.front.targets]
    if set(told) != promised or len(told) != len(promised):
        line = report.document.line(("targets",))
        found.miss(
            f"{report.file}:{line}: its targets are not those of submission.yaml",
            hint="Copy the targets from submission.yaml.",
        )


def _experiments(handin: Lab3Files, front: FrontMatter, found: Findings) -> None:
    wanted = {each.id: each for each in handin.manifest.chaos.experiments}
    told = {each.id: each for each in front.experiments}
    _all_named("experiment", wanted, [each.id for each in front.experiments], found)
    for name, own in wanted.items():
        if name not in told:
            continue
        each = told[name]
        if each.file != own.file:
            found.miss(f"experiment {name} is said to be in {each.file}, and is in {own.file}")
        _digest_holds(handin, each.file, each.sha256, found)
        _journal_agrees(handin, each, found)


def _journal_agrees(handin: Lab3Files, told: ReportedExperiment, found: Findings) -> None:
    try:
        journal = handin.json(told.journal)
        experiment = handin.document(told.file).data
    except (Unmet, LocatedError) as error:
        found.miss(f"experiment {told.id}: {error}")
        return
    if experiment_in(journal) != experiment:
        found.miss(
            f"the journal {told.journal} is of another version of {told.file}",
            hint="Run the experiment as it is handed in, and hand in the journal of that run.",
        )
    may_say = outcomes_of(journal)
    if told.outcome not in may_say:
        found.miss(
            f"experiment {told.id} is called {told.outcome}, and its journal says {' or '.join(may_say)}",
            hint="`upheld` needs the hypothesis met before and after, and every action done and succeeded.",
        )
    for what, said, was in zip(
        ("started", "finished"), (told.started, told.finished), _times(journal), strict=True
    ):
        if was is not None and abs((instant(said) - was).total_seconds()) > _ABOUT_S:
            found.miss(
                f"experiment {told.id} is said to have {what} {said}, and {told.journal} says {was:%FT%TZ}",
                hint="Copy the times from the journal; where no zone stands they are in UTC.",
            )


def _times(journal: object) -> tuple[datetime, datetime] | tuple[None, None]:
    return times_of(journal) or (None, None)


def _recoveries(handin: Lab3Files, front: FrontMatter, found: Findings) -> None:
    _all_named("recovery from", CEILINGS, [each.scenario for each in front.recoveries], found)
    for each in front.recoveries:
        _digest_holds(handin, each.evidence, each.sha256, found)


def _has_findings(front: FrontMatter, found: Findings) -> None:
    sources = {each.source for each in front.findings}
    wanting = [each.id for each in front.experiments if each.outcome == DEVIATED]
    wanting += [each.scenario for each in front.recoveries if not each.met]
    for name in wanting:
        found.expect(
            name in sources,
            f"a finding with source {name}",
            f"{name} deviated or missed its target, and no finding has it as its source",
        )


def _all_named(what: str, wanted: Iterable[str], told: list[str], found: Findings) -> None:
    for name in wanted:
        found.expect(
            told.count(name) == 1, f"one {what} {name}", f"{what} {name} is told {told.count(name)} times"
        )
    for name in dict.fromkeys(told):
        if name not in set(wanted):
            found.miss(f"there is no {what} {name}")


def _digest_holds(handin: Lab3Files, path: str, told: str, found: Findings) -> None:
    there = handin.sha256(path)
    if not there:
        found.miss(f"there is no file {path} in the hand-in")
    elif there != told:
        found.miss(
            f"{path} has SHA-256 {there[:12]}…, and the report says {told[:12]}…",
            hint=f"`sha256sum {path}` prints it; write the report about the files that you hand in.",
        )


@check("runbook", tracks=(PAPERS,), hint="Write it for somebody who was not there when it was made.")
def check_runbook(bundle: Bundle) -> None:
    """Your runbook says for each scenario what is to be done, in what time, and when to give up."""
    handin = Lab3Files(bundle)
    text = handin.text(RUNBOOK)
    found_sections = sections(text)
    with Findings("a runbook that somebody else can follow") as found:
        for name in (*CEILINGS, UNKNOWN, "verify"):
            _steps_for(name, found_sections, found)
        for target in handin.manifest.targets:
            told = [(target.rto_s, f"is to be over in {target.rto_s:g} s")]
            # That nothing may be lost can be said in many words.
            told += [(target.rpo_s, f"may cost {target.rpo_s:g} s of writes")] if target.rpo_s else []
            for seconds, words in told:
                found.expect(
                    _tells_target(target.scenario, seconds, text, found_sections),
                    "each target",
                    f"{RUNBOOK} does not say that {target.scenario} {words}",
                    "Say it below the heading of the scenario, in a line that names it, or below Targets.",
                )
        found.expect(
            any(each.names("give up") or "give up" in each.plain for each in found_sections),
            "when to give up",
            f"{RUNBOOK} does not say when to give up",
            "Say after what time, or upon what sign, somebody is to be called.",
        )


def _steps_for(name: str, there: list[Section], found: Findings) -> None:
    mine = [each for each in there if each.names(name)]
    if not mine:
        found.miss(f"{RUNBOOK} has no heading that names {name}", hint=f"Add a section on {name}.")
    elif not any(each.has_steps or _NOTHING_BY_HAND in each.plain for each in mine):
        found.miss(
            f"{RUNBOOK}:{mine[0].line}: below {mine[0].title!r} stands no step and no command",
            hint=f'Write steps as a list, commands as code, or "{_NOTHING_BY_HAND}".',
        )


def _tells_target(scenario: str, seconds: float, text: str, there: list[Section]) -> bool:
    """Whether the number stands in the scenario's section, in one on targets, or in a line that names it."""
    number = re.compile(rf"(?<![\d.]){re.escape(f'{seconds:g}')}(?![\d]|\.\d)")
    named = re.compile(rf"(?i)(?<![\w-]){scenario.replace('-', '[- ]')}(?![\w-])")
    return any(number.search(line) and named.search(line) for line in text.splitlines()) or any(
        number.search(each.body)
        and (each.names(scenario) or (each.names("targets") and _says(each, scenario)))
        for each in there
    )


def _says(section: Section, scenario: str) -> bool:
    return scenario.replace("-", " ") in section.plain


@check("backlog", tracks=(PAPERS,), hint="An item is done when something that can be run shows it.")
def check_backlog(bundle: Bundle, facts: Facts) -> None:
    """Your backlog answers every grave finding with work that can be checked."""
    handin = Lab3Files(bundle)
    with unmet("a backlog as the lab text describes it"):
        items = handin.read(BACKLOG, MitigationBacklog).items
        front = read_report(handin).front
        facts["items"] = len(items)
        with Findings("a backlog that can be worked off") as found:
            for finding in front.findings:
                _answered(finding, items, found)
            for each in items:
                _refers(handin, front, each, found)
                _done_shows(handin, each, found)
            found.expect(
                any(each.status == "done" for each in items), "one item that is done", "no item is done"
            )
            twice = [each.id for at, each in enumerate(items) if each.id in [o.id for o in items[:at]]]
            for name in twice:
                found.miss(f"two items are called {name}")


def _answered(finding: ReportedFinding, items: list[BacklogItem], found: Findings) -> None:
    mine = [each for each in items if each.finding == finding.id]
    if finding.severity not in _GRAVE:
        return
    found.expect(
        any(each.priority in _URGENT for each in mine),
        f"an item of P0 or P1 for {finding.id}",
        f"finding {finding.id} of {finding.severity} has no item of P0 or P1",
    )
    found.expect(
        any(each.type == "prevent" for each in mine),
        f"an item of type prevent for {finding.id}",
        f"finding {finding.id} of {finding.severity} has no item that prevents it",
    )


def _refers(handin: Lab3Files, front: FrontMatter, item: BacklogItem, found: Findings) -> None:
    audits = set(audit_ids(handin))
    known = {
        "finding": {each.id for each in front.findings} | audits,
        "scenario": set(CEILINGS),
        "experiment": {each.id for each in handin.manifest.chaos.experiments},
        "audit": audits,
    }
    for kind, name in [("finding", item.finding), *item.verify_by.named]:
        found.expect(
            name in known[kind], f"a {kind} that exists", f"item {item.id}: there is no {kind} {name}"
        )
    found.expect(
        item.in_project,
        f"a link to {PROJECT} or below it in each item",
        f"item {item.id} links to {', '.join(item.links)}",
    )
    last = max((instant(each.finished) for each in front.experiments), default=None)
    if last is not None and instant(item.due) <= last:
        found.miss(f"item {item.id} is due {item.due}, before the last experiment had finished")


def _done_shows(handin: Lab3Files, item: BacklogItem, found: Findings) -> None:
    if item.status != "done":
        found.expect(
            item.mitigation is None, "a mitigation where an item is done", f"item {item.id} is {item.status}"
        )
        return
    for part in ("before", "after"):
        folder = f"{item.mitigation}/{part}"
        found.expect(
            item.mitigation and any(path.endswith((".yaml", ".yml")) for path in handin.below(folder)),
            "manifests before and after in the folder of each mitigation",
            f"item {item.id} is done, and {folder} holds no manifest"
            if item.mitigation
            else f"item {item.id} is done and names no mitigation",
        )
