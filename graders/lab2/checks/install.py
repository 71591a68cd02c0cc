"""A fleet that comes up from Git, and rests once it is there."""

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.lab2.fixednames import misnamed, unprobed
from graders.lab2.names import CACHE, ENGINE, ENVIRONMENTS, HUB, INSTALL, NAMESPACE, NOTE, STEADY, WEB
from graders.lab2.reading import FleetRecord, changes, told


@check("installs", tracks=(INSTALL,), hint="Look at the engine's log in bundle/logs, and at hub/ first.")
def check_installs(bundle: Bundle, facts: Facts) -> None:
    """Within promote and a minute everything is on three spokes, stored by the engine, and ready."""
    record = FleetRecord(bundle, INSTALL)
    for late in record.all("not-reached"):
        raise Unmet(f"{late.data['waiting_for']} in time", str(late.data["seen"]))
    applied, installed = record.mark("applied").t, record.need("installed").t
    facts["installed_s"] = round(installed - applied, 1)
    facts["engine"] = str(bundle.manifest.block.get("processes", bundle.manifest.block["engine"]))
    with Findings() as found:
        uids: dict[str, set[str]] = {}
        for environment in ENVIRONMENTS:
            there = record.at(environment, "deployments", NAMESPACE, installed)
            for name in (WEB, CACHE):
                if found.expect(name in there, f"Deployment {name} in {environment}", "it is not there"):
                    uids.setdefault(name, set()).add(str(there[name]["metadata"]["uid"]))
                makers = [
                    event.user
                    for event in bundle.on(environment).audit_by_place.get(("deployments", NAMESPACE), ())
                    if event.name == name and event.did == "create" and event.ok and event.is_write
                ]
                found.expect(
                    makers == [ENGINE],
                    f"Deployment {name} in {environment} made by {ENGINE}, once",
                    f"made by {', '.join(makers) or 'nobody'}",
                )
                if name in there:
                    _named_as_fixed(record, environment, name, found)
        for name, different in uids.items():
            found.equal(f"spokes that have a {name} of their own:", len(ENVIRONMENTS), len(different))
        on_hub = {event.name for event in bundle.on(HUB).watch_events if event.resource == "deployments"}
        found.expect(not on_hub, "no Deployment on the hub", f"there is {', '.join(sorted(on_hub))}")


def _named_as_fixed(record: FleetRecord, environment: str, name: str, found: Findings) -> None:
    """What goes with a Deployment may come after it: what is settled counts."""
    at = (record.all("settled") or record.all("installed"))[0].t
    there, services, accounts = (
        record.at(environment, resource, NAMESPACE, at)
        for resource in ("deployments", "services", "serviceaccounts")
    )
    if name in there:
        for expected, observed in misnamed(name, there[name], services, accounts):
            found.miss(observed, f"{environment}: {expected}")
        # Those of production are a criterion of their own.
        for path in unprobed(there[name]) if name == WEB and environment != ENVIRONMENTS[-1] else ():
            found.miss("there is none", f"{environment}: a probe of {WEB} at {path} of its port")


@check("steady", tracks=(STEADY,))
def check_steady(bundle: Bundle, facts: Facts) -> None:
    """The engine writes nothing to a settled fleet, and nothing when a commit is about no object."""
    record = FleetRecord(bundle, STEADY)
    record.need("window-over", nth=1)
    with Findings(hint="Look for random values, times, and two that write the same field.") as found:
        for nth, why in enumerate(("while nothing changed", f"when {NOTE} was committed")):
            since, until = record.mark("window", nth).t, record.mark("window-over", nth).t
            for environment in ENVIRONMENTS:
                for event in changes(bundle, environment, since, until):
                    found.miss(told(event), f"nothing written {why}")
        facts["windows_s"] = round(until - since, 1)
