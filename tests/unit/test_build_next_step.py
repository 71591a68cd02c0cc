"""What a build that failed is answered with."""

from graders.sandbox.building import next_step
from graders.sandbox.goruntime import compiled_already
from graders.sandbox.protocol import MIB

FULL = "link: mapping output file failed: no space left on device"


def test_a_full_disk_is_said_with_what_is_compiled_already() -> None:
    told = next_step(FULL, 1024 * MIB, in_go=True)
    assert told.startswith("it filled /tmp or HOME, 1024 MiB each")
    controller_runtime = dict(compiled_already())["sigs.k8s.io/controller-runtime"]
    assert f"sigs.k8s.io/controller-runtime@{controller_runtime}" in told
    assert "go get" not in next_step(FULL, 1024 * MIB, in_go=False)


def test_any_other_failure_is_to_be_looked_into() -> None:
    assert "go.mod and go.sum must be complete" in next_step("undefined: x", 1024 * MIB, in_go=True)
    assert "no operator.build" in next_step("", 1024 * MIB, in_go=False)
