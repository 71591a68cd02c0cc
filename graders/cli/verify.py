"""`kubeproof verify`, `kubeproof sign` and `kubeproof keygen`."""

import json
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from graders.attestation.keys import KEY_VARIABLE, new_keys, private_key, public_key
from graders.attestation.signing import sign as sign_results
from graders.cli.progress import TerminalProgress, printable
from graders.cli.providers import ProviderOption
from graders.cli.screen import Screen, print_raw
from graders.course import load_course
from graders.faults import UsageError
from graders.reports.registry import SIGNATURE
from graders.verification import Judgement, VerifiedReport, VerifyRequest, hand_ins
from graders.verification import verify as verify_reports

_SCHEMA = "kubeproof/verify/v1"
_STYLES = {Judgement.CONFIRMED: "green", Judgement.CONSISTENT: "blue", Judgement.UNVERIFIED: "yellow"}


def verify(  # noqa: PLR0913, PLR0917  (a command line has as many options as it has)
    lab: Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")],
    reports: Annotated[Path, typer.Argument(help="Folder with a folder of results for each learner.")],
    submissions: Annotated[
        Path, typer.Argument(help="Folder with each learner's submission: a folder, archive or repository.")
    ],
    sample: Annotated[
        int | None, typer.Option(min=0, help="Grade only so many again, drawn at random. [default: all]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draw the same sample as before.")] = None,
    key: Annotated[Path | None, typer.Option(help="The key that signatures are verified with.")] = None,
    ref: Annotated[str, typer.Option(help="In repositories, the commit that no signature names.")] = "HEAD",
    within: Annotated[str, typer.Option(help="In repositories, the submission's folder.")] = ".",
    tolerance: Annotated[str, typer.Option(help="Points that a new grading may be apart.")] = "0",
    provider: ProviderOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Gradings side by side.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the new gradings.")] = Path("out/verify"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Verify reports that learners handed in: signature, submission, record, and a grading of your own.

    A report is REPORTS/LEARNER/report.json, with bundle/ and report.dsse.json beside it where they are; the
    submission is SUBMISSIONS/LEARNER. Ends with 1 when a report cannot be believed, and with 3 when one
    could not be verified.

    Example: kubeproof verify 1 reports/ clones/ --sample 10 --key verifying-key.pem
    """
    from graders.clusters.registry import default_provider  # noqa: PLC0415  (--help should not wait for it)

    with TerminalProgress(Screen(stderr=True)) as progress:
        found = load_course().find_lab(lab)
        request = VerifyRequest(
            lab=found,
            hand_ins=hand_ins(reports, submissions),
            out=out,
            provider=provider or default_provider(found.shown),
            sample=sample,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            key=public_key(key) if key is not None else None,
            ref=ref,
            within=_relative(within),
            tolerance=_points(tolerance),
            jobs=jobs,
        )
        findings = verify_reports(request, progress)
    if as_json:
        document = {"schema": _SCHEMA, "lab": request.lab.id, "seed": request.seed,
                    "findings": [asdict(each) for each in findings]}  # fmt: skip
        print_raw(json.dumps(document, indent=1) + "\n")
    else:
        _show(findings, signed=key is not None)
    raise typer.Exit(exit_code(findings))


def exit_code(findings: Sequence[VerifiedReport]) -> int:
    """1 where a report cannot be believed, 3 where one could not be verified, else 0."""
    if any(each.judgement.suspicious for each in findings):
        return 1
    return 3 if any(each.judgement is Judgement.UNVERIFIED for each in findings) else 0


def sign(
    out: Annotated[Path, typer.Argument(help="The folder that `kubeproof grade --out` wrote.")],
    key: Annotated[
        Path | None,
        typer.Option(
            help=f"The key to sign with, in PEM. [default: what {KEY_VARIABLE} holds]", show_default=False
        ),
    ] = None,
) -> None:
    """Sign a report and its bundle, so that `kubeproof verify` can tell whether they were changed.

    Whoever has the key can sign anything: keep it where no learner code runs, and no learner's workflow.

    Example: kubeproof sign out/LAB --key signing-key.pem
    """
    text, where = os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE
    if key is not None:
        where = str(key)
        try:
            text = key.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(
                "the key cannot be read", file=key, fix="kubeproof keygen DIR makes one"
            ) from error
    if not text:
        raise UsageError("there is no key to sign with", fix=f"name one with --key, or set {KEY_VARIABLE}")
    path = sign_results(out, SIGNATURE, private_key(text, where), os.environ)
    Screen(stderr=True).tell(f"signed: {path}")


def keygen(
    folder: Annotated[Path, typer.Argument(help="A folder for the two keys.")],
) -> None:
    """Make a pair of keys: one that signs reports, for you alone, and one that verifies them.

    Example: kubeproof keygen keys
    """
    secret, public = new_keys(folder)
    Screen(stderr=True).tell(f"signs, keep it secret: {secret}\nverifies: {public}")


def _show(findings: Sequence[VerifiedReport], *, signed: bool) -> None:
    console = Screen()
    table = Table("learner", "report", "claimed", "found", "", box=None, pad_edge=False)
    for each in findings:
        style = _STYLES.get(each.judgement, "bold red")
        told = Text("\n".join(printable(text) for text in each.told))
        table.add_row(
            Text(printable(each.learner)), Text(each.judgement.value, style), each.claimed, each.found, told
        )
    console.print(table)
    counts = Counter(each.judgement for each in findings)
    console.print(", ".join(f"{counts[each]} {each.value}" for each in Judgement if counts[each]))
    if not signed:
        console.print("Signatures were not looked at: name your key with --key.")


def _relative(text: str) -> str:
    if Path(text).is_absolute() or ".." in Path(text).parts:
        raise UsageError(f"--within {text} leads out of the repository", fix="name a folder in it")
    return text


def _points(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise UsageError(f"--tolerance {text} is no number of points", fix="use a number from 0 on")
    return value
