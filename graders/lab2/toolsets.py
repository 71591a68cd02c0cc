"""The programs of the lab: engines, what renders, and the registry, each from Go modules of its own.

What several programs share is compiled once where they stand in one module.
"""

from collections.abc import Mapping
from pathlib import Path

from graders.tools import Program, Project, Toolset

_MODULES = Path(__file__).resolve().parent / "programs"


def _toolset(title: str, module: str, program: Program, name: str = "", **variables: str) -> Toolset:
    """A toolset of one program, called like it, out of the Go module in `programs/MODULE`."""
    return Toolset(name or program.name, title, _MODULES / module, (program,), variables)


ARGOCD_VERSION = "v3.6.1"
ARGOCD = _toolset(
    "Argo CD",
    "argocd",
    Program("argocd", Project("argocd", "kubeproof/lab2/argocd", ARGOCD_VERSION)),
    **{"github.com/argoproj/argo-cd/v3/common.version": ARGOCD_VERSION.removeprefix("v")},
)
"""Controller, repository server and application sets in one program; its role is the name it is called by."""

_PROJECTS = {
    name: Project(name, module, version)
    for name, module, version in (
        ("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1"),
        ("helm", "helm.sh/helm/v4", "v4.3.1"),
        ("go-containerregistry", "github.com/google/go-containerregistry", "v0.22.1"),
        ("cosign", "github.com/sigstore/cosign/v3", "v3.1.3"),
        ("conftest", "github.com/open-policy-agent/conftest", "v0.71.1"),
        ("kustomize-controller", "github.com/fluxcd/kustomize-controller", "v1.9.6"),
        ("sops", "github.com/getsops/sops/v3", "v3.13.2"),
        ("kyverno", "github.com/kyverno/kyverno", "v1.19.1"),
        ("gatekeeper", "github.com/open-policy-agent/gatekeeper/v3", "v3.23.1"),
        ("gitleaks", "github.com/zricethezav/gitleaks/v8", "v8.30.1"),
    )
}


def _program(name: str, package: str = "", project: str = "") -> Program:
    return Program(name, _PROJECTS[project or name], package)


KUSTOMIZE = _toolset("kustomize", "kustomize", _program("kustomize"))
HELM = _toolset("Helm", "helm", _program("helm", "cmd/helm"))
REGISTRY = _toolset(
    "image registry", "registry", _program("crane", "cmd/crane", "go-containerregistry"), "registry"
)
COSIGN = _toolset("cosign", "supplychain", _program("cosign", "cmd/cosign"))
CONFTEST = _toolset("conftest", "supplychain", _program("conftest"))
GITLEAKS = _toolset("gitleaks", "gitleaks", _program("gitleaks"))
FLUX = _toolset("Flux", "flux", _program("kustomize-controller"), "flux")
SOPS = _toolset("sops", "flux", _program("sops", "cmd/sops"))
"""From the module graph of Flux, whose controller compiles most of it anyway."""
KYVERNO = _toolset("Kyverno", "kyverno", _program("kyverno", "cmd/kyverno"))
KYVERNO_CLI = _toolset(
    "the command line of Kyverno", "kyverno", _program("kyverno", "cmd/cli/kubectl-kyverno"), "kyverno-cli"
)
"""Both are called `kyverno`: the admission controller, and what a preflight has under that name."""
GATEKEEPER = _toolset("Gatekeeper", "gatekeeper", _program("gatekeeper"))
GATOR = _toolset("the command line of Gatekeeper", "gatekeeper", _program("gator", "cmd/gator", "gatekeeper"))

BELT: Mapping[str, Toolset] = {
    "cosign": COSIGN, "conftest": CONFTEST, "gator": GATOR, "gitleaks": GITLEAKS, "kyverno": KYVERNO_CLI,
    "sops": SOPS,
}  # fmt: skip
"""What a learner's programs may call, by the names under which they do; what a hand-in names is built."""
POLICY_PROGRAMS = {"kyverno": KYVERNO, "gatekeeper": GATEKEEPER}
"""What policy engines are, by their names."""

TOOLSETS = (
    ARGOCD, KUSTOMIZE, HELM, REGISTRY, COSIGN, GITLEAKS, FLUX, SOPS, KYVERNO, KYVERNO_CLI,
    GATEKEEPER, GATOR, CONFTEST,
)  # fmt: skip
"""What `kubeproof setup lab2` has ready; a grading alone has no more than its submission names."""
