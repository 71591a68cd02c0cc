from builders import a_job, a_pod

from mltj_operator.completion import finished_indices, is_complete


def test_an_index_stays_finished_when_its_pod_is_gone() -> None:
    job = a_job(nodes=3, status={"finishedIndices": [0]})
    assert finished_indices(job, [a_pod("train-2", "Succeeded")]) == (0, 2)


def test_a_pod_that_ends_well_while_being_deleted_has_not_finished() -> None:
    assert finished_indices(a_job(), [a_pod(phase="Succeeded", terminating=True)]) == ()


def test_indices_that_were_scaled_away_do_not_count() -> None:
    assert finished_indices(a_job(nodes=2, status={"finishedIndices": [0, 3]}), []) == (0,)


def test_a_job_is_complete_when_all_of_it_is() -> None:
    assert not is_complete(a_job(nodes=2), (0,))
    assert is_complete(a_job(nodes=2), (0, 1))
