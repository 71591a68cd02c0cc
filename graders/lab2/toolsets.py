"""The programs of the lab: engines, what renders, and the registry, each from Go modules of its own.

What several programs share is compiled once where they stand in one module.
"""

from __future__ import annotations

from pathlib import Path

from graders.tools import Program, Project, Toolset

_MODULES = Path(__file__).resolve().parent / "programs"
_CRANE = Project("go-containerregistry", "github.com/google/go-containerregistry", "v0.22.1")

ARGOCD_VERSION = "v3.6.1"
ARGOCD = Toolset(
    "argocd",
    "Argo CD",
    _MODULES / "argocd",
    (Program("argocd", Project("argocd", "kubeproof/lab2/argocd", ARGOCD_VERSION)),),
    {"github.com/argoproj/argo-cd/v3/common.version": ARGOCD_VERSION.removeprefix("v")},
)
"""Controller, repository server and application sets in one program; its role is the name it is called by."""

KUSTOMIZE = Toolset(
    "kustomize",
    "kustomize",
    _MODULES / "kustomize",
    (Program("kustomize", Project("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1")),),
)
HELM = Toolset(
    "helm",
    "Helm",
    _MODULES / "helm",
    (Program("helm", Project("helm", "helm.sh/helm/v4", "v4.3.1"), "cmd/helm"),),
)
REGISTRY = Toolset(
    "registry",
    "image registry",
    _MODULES / "registry",
    (Program("crane", _CRANE, "cmd/crane"),),
)

COSIGN = Toolset(
    "cosign",
    "cosign",
    _MODULES / "supplychain",
    (Program("cosign", Project("cosign", "github.com/sigstore/cosign/v3", "v3.1.3"), "cmd/cosign"),),
)

FLUX = Toolset(
    "flux",
    "Flux",
    _MODULES / "flux",
    (
        Program(
            "kustomize-controller",
            Project("kustomize-controller", "github.com/fluxcd/kustomize-controller", "v1.9.6"),
        ),
    ),
)
SOPS = Toolset(
    "sops",
    "sops",
    _MODULES / "flux",
    (Program("sops", Project("sops", "github.com/getsops/sops/v3", "v3.13.2"), "cmd/sops"),),
)
"""From the module graph of Flux, whose controller compiles most of it anyway."""

_KYVERNO = Project("kyverno", "github.com/kyverno/kyverno", "v1.19.1")
KYVERNO = Toolset("kyverno", "Kyverno", _MODULES / "kyverno", (Program("kyverno", _KYVERNO, "cmd/kyverno"),))
KYVERNO_CLI = Toolset(
    "kyverno-cli",
    "the command line of Kyverno",
    _MODULES / "kyverno",
    (Program("kyverno", _KYVERNO, "cmd/cli/kubectl-kyverno"),),
)
"""Both are called `kyverno`: the admission controller, and what a preflight has under that name."""

_GATEKEEPER = Project("gatekeeper", "github.com/open-policy-agent/gatekeeper/v3", "v3.23.1")
GATEKEEPER = Toolset(
    "gatekeeper", "Gatekeeper", _MODULES / "gatekeeper", (Program("gatekeeper", _GATEKEEPER),)
)
GATOR = Toolset(
    "gator",
    "the command line of Gatekeeper",
    _MODULES / "gatekeeper",
    (Program("gator", _GATEKEEPER, "cmd/gator"),),
)
CONFTEST = Toolset(
    "conftest",
    "conftest",
    _MODULES / "supplychain",
    (Program("conftest", Project("conftest", "github.com/open-policy-agent/conftest", "v0.71.1")),),
)
GITLEAKS = Toolset(
    "gitleaks",
    "gitleaks",
    _MODULES / "gitleaks",
    (Program("gitleaks", Project("gitleaks", "github.com/zricethezav/gitleaks/v8", "v8.30.1")),),
)

TOOLSETS = (
    ARGOCD, KUSTOMIZE, HELM, REGISTRY, COSIGN, GITLEAKS, FLUX, SOPS, KYVERNO, KYVERNO_CLI,
    GATEKEEPER, GATOR, CONFTEST,
)  # fmt: skip
"""What `kubeproof setup lab2` has ready; a grading alone has no more than its submission names."""
