"""Signatures: who vouches, for what, and what a change of it is told as."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from graders.attestation.envelope import ForgedError
from graders.attestation.keys import new_keys, private_key, public_key
from graders.attestation.signing import check_signature, sign
from graders.faults import UsageError
from graders.reports import write_reports
from graders.reports.registry import SIGNATURE
from tests.unit.synthetic_bundle import make_bundle
from tests.unit.synthetic_report import graded

CONTEXT = {"GITHUB_REPOSITORY": "course/lab-ada", "GITHUB_SHA": "a" * 40, "SECRET": "not said"}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return new_keys(tmp_path / "keys")


@pytest.fixture
def out(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """Signed results."""
    folder = tmp_path / "out"
    write_reports(graded(), make_bundle(folder / "bundle"), folder)
    sign(folder, SIGNATURE, private_key(keys[0].read_text(), ""), CONTEXT)
    return folder


def test_what_was_signed_is_vouched_for_with_where_it_came_from(out: Path, keys: tuple[Path, Path]) -> None:
    statement = check_signature(out, SIGNATURE, public_key(keys[1]))
    assert statement.context == {"repository": "course/lab-ada", "commit": "a" * 40}


def test_a_bundle_that_is_not_there_any_more_is_no_forgery(out: Path, keys: tuple[Path, Path]) -> None:
    shutil.rmtree(out / "bundle")
    assert check_signature(out, SIGNATURE, public_key(keys[1])).bundle


def change_report(out: Path) -> None:
    path = out / "report.json"
    path.write_text(path.read_text().replace('"total": 8.85', '"total": 15.85'))


def change_bundle(out: Path) -> None:
    with (out / "bundle" / "marks.jsonl").open("a") as file:
        file.write("{}\n")


def add_to_bundle(out: Path) -> None:
    (out / "bundle" / "more.jsonl").write_text("{}\n")


def change_statement(out: Path) -> None:
    envelope = json.loads((out / SIGNATURE).read_text())
    payload = base64.b64decode(envelope["payload"]).replace(b"lab-ada", b"lab-eve")
    (out / SIGNATURE).write_text(json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}))


def sign_with_another(out: Path) -> None:
    secret, _ = new_keys(out.parent / "others")
    sign(out, SIGNATURE, private_key(secret.read_text(), ""), CONTEXT)


def claim_the_key(out: Path) -> None:
    """Signed with another key that goes by the name of the right one."""
    name = json.loads((out / SIGNATURE).read_text())["signatures"][0]["keyid"]
    sign_with_another(out)
    envelope = json.loads((out / SIGNATURE).read_text())
    envelope["signatures"][0]["keyid"] = name
    (out / SIGNATURE).write_text(json.dumps(envelope))


def change_type(out: Path) -> None:
    envelope = json.loads((out / SIGNATURE).read_text())
    (out / SIGNATURE).write_text(json.dumps(envelope | {"payloadType": "text/plain"}))


FORGERIES: list[tuple[Callable[[Path], object], str]] = [
    (change_report, "report.json is not the one that was signed"),
    (change_bundle, "the bundle is not the one that was signed"),
    (add_to_bundle, "the bundle is not the one that was signed"),
    (change_statement, "the signature does not fit: what it vouches for was changed"),
    (sign_with_another, "the report is signed with another key than yours"),
    (claim_the_key, "the signature does not fit"),
    (change_type, "the signature is for something else than a report"),
    (lambda out: (out / SIGNATURE).unlink(), "the report is not signed"),
    (lambda out: (out / SIGNATURE).write_text("{}"), "the signature is no DSSE envelope"),
    (lambda out: (out / SIGNATURE).write_text("[" * 100_000), "the signature is no DSSE envelope"),
    (lambda out: (out / SIGNATURE).write_bytes(b"\xff\xfe"), "the signature cannot be read"),
]


@pytest.mark.parametrize(("forge", "says"), FORGERIES)
def test_a_forgery_is_told_by_what_was_done(
    forge: Callable[[Path], object], says: str, out: Path, keys: tuple[Path, Path]
) -> None:
    forge(out)
    with pytest.raises(ForgedError, match=says):
        check_signature(out, SIGNATURE, public_key(keys[1]))


def test_a_signature_goes_when_the_report_is_written_anew(out: Path) -> None:
    write_reports(graded(), None, out)
    assert not (out / SIGNATURE).exists()


# --- keys ------------------------------------------------------------------------------------------


def test_the_key_that_signs_is_its_owners_alone(keys: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600


def test_a_key_is_never_replaced(keys: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"there is a key here already.*\n  fix: name a new folder"):
        new_keys(keys[0].parent)


def test_verifying_with_the_secret_key_is_refused(keys: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="this key signs: whoever has it can forge reports"):
        public_key(keys[0])


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048)
    text = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(UsageError, match=r"k\.pem: this key is not an Ed25519 one\n  fix: make a pair"):
        private_key(text, "k.pem")
    path = tmp_path / "public.pem"
    path.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(UsageError, match="this key is not an Ed25519 one"):
        public_key(path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hello")
    with pytest.raises(UsageError, match="this is no key to verify with in PEM"):
        public_key(tmp_path / "key")
    with pytest.raises(UsageError, match="the key cannot be read: No such file"):
        public_key(tmp_path / "none")
    with pytest.raises(UsageError, match="this is no key to sign with in PEM"):
        private_key("hello", "KUBEPROOF_SIGNING_KEY")


def test_there_is_nothing_to_sign_without_a_report(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"there is no report here\n  fix: name the folder of a grading"):
        sign(tmp_path / "nothing", SIGNATURE, private_key(keys[0].read_text(), ""), {})
