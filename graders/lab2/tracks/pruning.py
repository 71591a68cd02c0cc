"""What is committed comes, and what is removed goes, with nothing else."""

from graders.admission.specimens import config_map, deployment
from graders.lab2.context import FleetContext
from graders.lab2.extras import extra_files, without_extras
from graders.lab2.names import ENVIRONMENTS, NAMESPACE
from graders.polling import NotYet

NAME = "lab-prune"


def prune(context: FleetContext) -> None:
    """A ConfigMap and a Deployment in every extra/, committed, then removed."""
    context.settle()
    image = context.fleet.values.cache_image
    files: dict[str, bytes | None] = {}
    for environment in ENVIRONMENTS:
        extras = {"map.yaml": config_map(NAME, NAMESPACE), "load.yaml": deployment(NAME, image, NAMESPACE)}
        files |= extra_files(environment, extras)
    context.change("Add an extra to every environment", files)
    context.mark("added", object=NAME)
    promote_s = context.promises.promote_s
    context.wait("what was added", lambda: _there(context, wanted=True), promote_s)
    context.mark("there")
    context.settle("the fleet to settle with what was added")
    context.mark("before-removal")
    context.change("Remove it again", without_extras(files))
    context.mark("removed", object=NAME)
    context.wait("what was removed to go", lambda: _there(context, wanted=False), promote_s)
    context.mark("gone")
    context.settle("the fleet to settle without it")
    context.mark("end")


def _there(context: FleetContext, *, wanted: bool) -> None:
    for environment in ENVIRONMENTS:
        watches = context.fleet.spokes[environment].watches
        for resource in ("configmaps", "deployments"):
            if (NAME in watches.objects(resource, NAMESPACE)) is not wanted:
                raise NotYet(f"{resource} {NAME} is {'not' if wanted else 'still'} in {environment}")
