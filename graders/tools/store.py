"""The cache folder of the programs: a program counts as there only once the manifest lists it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graders.faults import InfraFault
from graders.tools.platforms import Platform
from graders.wholefile import write_whole

MANIFEST = "manifest.json"
MAX_PROGRAM_BYTES = 1 << 30
CHUNK_BYTES = 1 << 20

Origin = Literal["release", "build", "archive"]


@dataclass(frozen=True)
class Tools:
    """Programs that are there and may be started; `source` says in words where they came from."""

    folder: Path
    source: str

    def path(self, program: str) -> Path:
        """Where `program` is.

        Raises:
            InfraFault: it is not in the folder (any more).
        """
        file = self.folder / program
        if not file.is_file():
            raise InfraFault(f"{file} is missing", fix="run `kubeproof setup`")
        return file


class ProgramFile(BaseModel):
    """What the manifest says of one program."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=1, le=MAX_PROGRAM_BYTES)]
    origin: Origin


class ToolsManifest(BaseModel):
    """`manifest.json` of a store."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Annotated[Literal["kubeproof/binaries/v1"], Field(alias="schema")] = "kubeproof/binaries/v1"
    platform: str
    versions: Mapping[str, str]
    files: Mapping[str, ProgramFile]


class Store:
    """One folder of the cache: the programs of one platform and one set of versions, by project."""

    def __init__(self, folder: Path, target: Platform, versions: Mapping[str, str]) -> None:
        self.folder = folder
        self.platform = target
        self.versions = versions

    def manifest(self) -> ToolsManifest:
        """What is there; an unreadable manifest is an empty store, for the programs can be had again."""
        empty = ToolsManifest(platform=str(self.platform), versions=dict(self.versions), files={})
        try:
            found = ToolsManifest.model_validate_json((self.folder / MANIFEST).read_bytes())
        except (OSError, ValidationError):
            return empty
        return found if (found.platform, found.versions) == (empty.platform, empty.versions) else empty

    def missing(self, programs: Iterable[str]) -> tuple[str, ...]:
        """Those of `programs` that are not there in the size the manifest says."""
        files = self.manifest().files
        return tuple(p for p in programs if p not in files or _size(self.folder / p) != files[p].size_bytes)

    def adopt(self, program: str, file: Path, origin: Origin) -> None:
        """Move `file` (on the same file system) in as `program`; call it under `lock`."""
        file.chmod(0o755)
        entry = ProgramFile(sha256=file_sha256(file), size_bytes=file.stat().st_size, origin=origin)
        file.replace(self.folder / program)
        manifest = self.manifest()
        manifest = manifest.model_copy(update={"files": {**manifest.files, program: entry}})
        write_whole(
            self.folder / MANIFEST, manifest.model_dump_json(by_alias=True, indent=2) + "\n", mode=0o600
        )

    def verify(self) -> None:
        """See that every program is what was put there.

        Raises:
            InfraFault: one is not.
        """
        for program, entry in self.manifest().files.items():
            if file_sha256(self.folder / program) != entry.sha256:
                raise InfraFault(
                    f"{self.folder / program} has changed since it was put into the cache",
                    fix=f"remove {self.folder} and run `kubeproof setup`",
                )

    def tools(self) -> Tools:
        """The programs of this store."""
        origins = sorted({entry.origin for entry in self.manifest().files.values()})
        words = {"release": "upstream release", "build": "built from Go modules", "archive": "archive"}
        return Tools(self.folder, "cache: " + " and ".join(words[o] for o in origins))


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
