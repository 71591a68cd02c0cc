"""Reads a Prometheus text page as far as lab 1 needs it; no I/O here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

PREFIX = "mltrainingjob_"
COUNTERS = (
    "mltrainingjob_jobs_created_total",
    "mltrainingjob_jobs_successful_total",
    "mltrainingjob_jobs_failed_total",
    "mltrainingjob_jobs_restarted_total",
)

_COUNTER = re.compile(r"^#[ \t]+TYPE[ \t]+(\S+)[ \t]+counter[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Family:
    """One metric family of ours: `type` and `help` as the page declares them."""

    name: str
    type: str
    help: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Page:
    """The families of a page whose names begin with `mltrainingjob_`, by name without `_total`."""

    families: Mapping[str, Family]

    def total(self, sample: str, **labels: str) -> float:
        """The sum of all series of a sample name that carry `labels`; a missing series is 0."""
        # Plain addition: infinities of both signs are a learner's to write, and fsum raises on them.
        return sum(
            each.value
            for family in self.families.values()
            for each in family.samples
            if each.name == sample and all(each.labels.get(k) == v for k, v in labels.items())
        )


@lru_cache(maxsize=32)
def read_page(text: str) -> Page | str:
    """The page, or what is wrong with it in words; who waits for something reads one page many times."""
    families: dict[str, Family] = {}
    counters = set(_COUNTER.findall(text))
    try:
        for metric in text_string_to_metric_families(text):
            if metric.name.startswith(PREFIX):
                samples = tuple(metric.samples)
                # The parser gives every counter its suffix, also those that have none on the page.
                if metric.type == "counter" and f"{metric.name}_total" not in counters:
                    samples = tuple(s._replace(name=s.name.removesuffix("_total")) for s in samples)
                family = Family(metric.name, metric.type, metric.documentation, samples)
                before = families.get(metric.name)
                if before is not None:
                    if metric.type != "unknown":
                        return f"the family {metric.name} is declared twice"
                    # Series without a TYPE come one by one.
                    family = replace(before, samples=before.samples + samples)
                families[metric.name] = family
    except (ValueError, KeyError, IndexError) as error:
        return str(error) or repr(error)
    return Page(families)


def lint(page: Page) -> list[str]:
    """Breaches of the Prometheus naming conventions (prometheus.io/docs/practices/naming), in words."""
    found = []
    for family in page.families.values():
        name = family.name
        if not family.help.strip():
            found.append(f"{name} has no HELP text")
        if family.type == "unknown":
            found.append(f"{name} has no TYPE, or a counter without _total")
        if family.type == "counter" and not all(s.name.endswith("_total") for s in family.samples):
            found.append(f"the counter {name} does not end in _total")
        if family.type != "counter" and name.endswith("_total"):
            found.append(f"{name} ends in _total and is a {family.type}")
        if family.type != "histogram" and name.endswith(("_bucket", "_count", "_sum")):
            found.append(f"{name} has a suffix that belongs to histograms")
        if name != name.lower():
            found.append(f"{name} is not in snake_case")
        if any(
            part in ("ms", "sec", "secs", "msec", "milliseconds", "minutes", "kb", "mb")
            for part in name.split("_")
        ):
            found.append(f"{name} is not in a base unit such as seconds or bytes")
        if any(part in ("counter", "gauge", "histogram", "summary") for part in name.split("_")):
            found.append(f"{name} has its type in its name")
    return found
