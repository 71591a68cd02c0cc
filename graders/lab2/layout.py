"""Where in the fleet's repository things are declared; pure but for looking."""

from pathlib import Path

from graders.lab2.names import ENVIRONMENTS

POLICIES, MESH = "policies", "mesh"


def folders(root: Path) -> dict[str, str]:
    """What is rendered of a repository: name and folder. Environments, policies and mesh, and each chart."""
    found = {name: f"clusters/{name}" for name in ENVIRONMENTS}
    found |= {name: name for name in (POLICIES, MESH) if (root / name).is_dir()}
    for chart in sorted(root.rglob("Chart.yaml")):
        path = chart.parent.relative_to(root).as_posix()
        within = any((above / "Chart.yaml").is_file() for above in chart.parent.parents if above != root)
        if path not in found.values() and not within:
            found[f"chart:{path}"] = path
    return found
