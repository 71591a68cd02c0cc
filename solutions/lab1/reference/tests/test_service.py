from builders import a_job

from mltj_operator.service import build_service


def test_the_service_is_headless_and_goes_with_the_job() -> None:
    service = build_service(a_job())
    assert service["metadata"]["name"] == "train"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    (owner,) = service["metadata"]["ownerReferences"]
    assert owner["controller"] and owner["uid"] == "uid-train"
