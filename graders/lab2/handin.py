"""What was handed in, as files: checked, and with the grader's values in their places."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.admission.engines import POLICY_ENGINES
from graders.admission.kinds import kind_of
from graders.faults import BadSubmission
from graders.gitops.kustomizations import check_kustomization
from graders.gitops.releasefile import ReleaseFile
from graders.lab2.images import WEB, digest_of
from graders.lab2.names import ENVIRONMENTS, NOTE
from graders.submissions.kustomize import NAMES
from graders.submissions.survey import MANIFEST

MOST_FILES = 2000
MOST_BYTES = 10 * 1024 * 1024
KEY_FILE = "keys/cosign.pub"

_PLACEHOLDER = re.compile(r"\$\{(LAB_[A-Z_]+)\}")
_PEM = re.compile(r"(?m)^([ \t]*)\$\{LAB_COSIGN_PUB\}[ \t]*$")
_SUBMODULE = re.compile(r"[ \t]*path[ \t]*=[ \t]*(.*?)[ \t]*$")
_WRITTEN = (
    KEY_FILE,
    NOTE,
    *(f"clusters/{each}/extra/kustomization.yaml" for each in ENVIRONMENTS),
    *(f"secrets/{each}/web-token.yaml" for each in ENVIRONMENTS),
)
"""Files of the grader's own: in their place nothing else may be."""


@dataclass(frozen=True)
class Values:
    """What stands where a file has `${LAB_…}`; the key is PEM text, alone on its line."""

    git_url: str
    registry: str
    cache_image: str
    unsigned_image: str
    cosign_pub: str

    def image_of(self, version: str) -> str:
        """An image of web as manifests name it, with its digest."""
        return f"{self.registry}/{WEB}@{digest_of(version)}"

    def by_name(self) -> Mapping[str, str]:
        """The values of one line each."""
        return {
            "LAB_GIT_URL": self.git_url,
            "LAB_REGISTRY": self.registry,
            "LAB_CACHE_IMAGE": self.cache_image,
            "LAB_UNSIGNED_IMAGE": self.unsigned_image,
        }


def check_files(root: Path, release: ReleaseFile) -> None:
    """See that the folder can be the content of the fleet's repository.

    Raises:
        BadSubmission: it has a link, is too large, its release file has no such place, or a kustomization
            reads from elsewhere; says file and line.
    """
    files = list(_paths(root))
    if len(files) > MOST_FILES:
        raise BadSubmission(
            f"the submission has {len(files)} files, and {MOST_FILES} may be in it", file=MANIFEST,
            fix="leave out what the fleet does not need",
        )  # fmt: skip
    size_bytes = sum(path.stat().st_size for path in files)
    if size_bytes > MOST_BYTES:
        largest = max(files, key=lambda path: path.stat().st_size).relative_to(root).as_posix()
        raise BadSubmission(
            f"the submission has {size_bytes} bytes, and {MOST_BYTES} may be in it", file=largest,
            fix="keep what is large out of the repository",
        )  # fmt: skip
    _check_submodules(root, files)
    for own in _WRITTEN:
        above = next((each for each in (root / own).parents if each.is_file()), None)
        if above is not None or (root / own).is_dir():
            in_the_way = (above or root / own).relative_to(root).as_posix()
            raise BadSubmission(
                f"is in the way of {own}, which the grader writes",
                file=in_the_way,
                fix="give it another name",
            )
    for environment in ENVIRONMENTS:
        if not (root / "clusters" / environment).is_dir():
            raise BadSubmission(
                "there is no such folder", file=f"clusters/{environment}",
                fix="put the kustomization or the chart of that environment there",
            )  # fmt: skip
    for file in files:
        if file.name in NAMES:
            check_kustomization(file, file.relative_to(root).as_posix())
    if not (root / release.file).is_file():
        raise BadSubmission(
            f"release.file leads to {release.file}, which is no file", file=MANIFEST,
            fix="name the file in which the digest of the release stands",
        )  # fmt: skip
    release.placed((root / release.file).read_bytes(), "sha256:0")


def _check_submodules(root: Path, files: Sequence[Path]) -> None:
    file = root / ".gitmodules"
    if file not in files:
        return
    there = {above.as_posix() for each in files for above in each.relative_to(root).parents}
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        named = _SUBMODULE.match(line)
        if named is not None and named[1].strip('"/') not in there:
            raise BadSubmission(
                f"the submodule {named[1][:100]!r} is not there, and nothing is fetched",
                file=file.name, line=number, fix="put its files there themselves, and remove .gitmodules",
            )  # fmt: skip


def check_policies(declared: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """See that what Git declares are policies of engines that the submission names, or of the API server.

    Raises:
        BadSubmission: one is not, and no spoke would know its kind.
    """
    for item in declared:
        kind = kind_of(item)
        if kind is not None and kind.engine in POLICY_ENGINES and kind.engine not in names:
            title = POLICY_ENGINES[kind.engine].title
            raise BadSubmission(
                f"policies/ has the {kind.kind} {item['metadata']['name']}, which is {title}'s, and"
                f" policyEngines names {', '.join(names)}",
                file="submission.yaml", fix=f"add {kind.engine} to policyEngines, or take the policy out",
            )  # fmt: skip


def filled(root: Path, values: Values) -> dict[str, bytes]:
    """Every file of the submission by its path, `${LAB_…}` replaced in what is text."""
    found = {}
    for path in _paths(root):
        raw = path.read_bytes()
        try:
            found[path.relative_to(root).as_posix()] = fill(raw.decode("utf-8"), values).encode()
        except UnicodeDecodeError:
            found[path.relative_to(root).as_posix()] = raw
    found[KEY_FILE] = values.cosign_pub.encode()
    return found


def executables(root: Path) -> frozenset[str]:
    """The paths of those files that may be executed."""
    return frozenset(
        path.relative_to(root).as_posix() for path in _paths(root) if path.stat().st_mode & 0o100
    )


def fill(text: str, values: Values) -> str:
    """A text with the values in their places; the key is indented like its place."""

    def indented(place: re.Match[str]) -> str:
        return "\n".join(place[1] + line for line in values.cosign_pub.strip().splitlines())

    named = values.by_name()
    return _PLACEHOLDER.sub(lambda place: named.get(place[1], place[0]), _PEM.sub(indented, text))


def _paths(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            raise BadSubmission(
                "is a symbolic link", file=path.relative_to(root).as_posix(), fix="put the file itself there"
            )
        if path.is_file():
            yield path
