import pytest
from apiserver import ApiServer

from mltj_operator.api import Api, Conflict
from mltj_operator.election import LEASE_DURATION_S, WRITE_WINDOW_S, Elector
from mltj_operator.names import lease_path


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


LEASES = lease_path("ops")


def elector(api: Api, identity: str, clock: Clock) -> Elector:
    return Elector(api, "ops", "lock", identity, clock)


async def test_the_first_to_come_leads_until_its_window_closes(server: ApiServer, api: Api) -> None:
    clock = Clock()
    one = elector(api, "one", clock)
    assert not one.leading
    await one.step()
    assert one.leading
    assert server.objects[f"{LEASES}/lock"]["spec"]["holderIdentity"] == "one"
    clock.now += WRITE_WINDOW_S
    assert not one.leading
    await one.step()
    assert one.leading


async def test_a_window_closes_before_the_lease_does() -> None:
    assert WRITE_WINDOW_S < LEASE_DURATION_S


async def test_another_waits_for_the_lease_to_run_out(server: ApiServer, api: Api) -> None:
    clock = Clock()
    one, two = elector(api, "one", clock), elector(api, "two", clock)
    await one.step()
    for _ in range(3):
        await one.step()
        await two.step()
        clock.now += LEASE_DURATION_S - 1
        assert not two.leading
    clock.now += LEASE_DURATION_S
    await two.step()  # the last renewal is news to it
    clock.now += LEASE_DURATION_S
    await two.step()
    assert two.leading and not one.leading
    with pytest.raises(Conflict):
        await one.step()


async def test_a_released_lease_is_free_at_once(server: ApiServer, api: Api) -> None:
    clock = Clock()
    one, two = elector(api, "one", clock), elector(api, "two", clock)
    await one.step()
    await one.release()
    assert not one.leading
    await two.step()
    assert two.leading


async def test_a_deleted_lease_is_made_again(server: ApiServer, api: Api) -> None:
    one = elector(api, "one", Clock())
    await one.step()
    server.objects.clear()
    fresh = elector(api, "two", Clock())
    await fresh.step()
    assert fresh.leading
