from builders import after, decide, raw_job, raw_pod, running, told, true_conditions

from mltj_operator.plan import Plan


def test_a_new_job_gets_its_status_its_service_and_its_pods() -> None:
    decided = decide(raw_job(), [], service=False)
    assert "Created" in true_conditions(decided)
    assert told(decided).observed_generation == 1
    assert decided.create_service
    assert decided.creates == (0, 1)


def test_a_job_at_rest_has_nothing_due() -> None:
    raw = raw_job()
    raw = after(raw, decide(raw, running(0, 1)))
    again = decide(raw, running(0, 1), at_s=60)
    assert not told(again).changes(raw["status"])
    assert (again.deletes, again.creates, again.create_service) == ((), (), False)


def test_a_job_runs_when_all_its_pods_do() -> None:
    assert "Running" not in true_conditions(decide(raw_job(), running(0)))
    assert "Running" in true_conditions(decide(raw_job(), running(0, 1)))


def test_a_failed_pod_is_counted_deleted_and_created_again_in_this_order() -> None:
    raw = raw_job()
    raw = after(raw, decide(raw, running(0, 1)))

    failed = [*running(0), raw_pod("train-1", "Failed", exit_codes=(137,))]
    counted = decide(raw, failed)
    assert (told(counted).restarts, told(counted).counted) == (1, ("uid-train-1",))
    assert [pod.name for pod in counted.deletes] == ["train-1"]
    assert counted.creates == ()
    assert "Restarting" in true_conditions(counted)

    raw = after(raw, counted)
    assert told(decide(raw, failed)).restarts == 1  # died before the delete

    gone = decide(raw, running(0))
    assert (gone.creates, told(gone).restarts, told(gone).counted) == ((1,), 1, ())
    raw = after(raw, gone)
    assert told(decide(raw, running(0, 1))).is_true("Running")
    assert not told(decide(raw, running(0, 1))).is_true("Restarting")


def test_an_evicted_pod_is_replaced_at_no_cost() -> None:
    evicted = raw_pod("train-1", "Failed", status={"reason": "Evicted"})
    decided = decide(raw_job(), [*running(0), evicted])
    assert [pod.name for pod in decided.deletes] == ["train-1"]
    assert told(decided).restarts == 0


def test_the_job_fails_when_its_failures_are_too_many() -> None:
    raw = raw_job(policy={"backoffLimit": 0})
    decided = decide(raw, [*running(0), raw_pod("train-1", "Failed")])
    assert "Failed" in true_conditions(decided)
    assert told(decided).completion_time
    assert [pod.name for pod in decided.deletes] == ["train-0"]


def test_the_job_is_over_when_it_was_active_too_long() -> None:
    raw = raw_job(policy={"activeDeadlineSeconds": 5})
    first = decide(raw, [])
    assert first.wake_after_s == 5
    raw = after(raw, first)
    late = decide(raw, running(0, 1), at_s=5)
    (failed,) = [c for c in told(late).conditions if c["type"] == "Failed"]
    assert failed["reason"] == "DeadlineExceeded"
    assert len(late.deletes) == 2


def test_a_complete_job_stays_complete_whatever_its_spec_says() -> None:
    raw = raw_job()
    done = [raw_pod(f"train-{index}", "Succeeded") for index in (0, 1)]
    raw = after(raw, decide(raw, done))
    raw["metadata"]["generation"] = 2
    raw["spec"]["runPolicy"] = {"suspend": True, "cleanPodPolicy": "All"}
    raw["spec"]["trainer"]["numNodes"] = 5
    decided = decide(raw, [])
    assert told(decided).changes(raw["status"]) == {"observedGeneration": 2}
    assert (decided.deletes, decided.creates) == ((), ())
    assert told(decided).replicas.succeeded == 2


def test_a_finished_job_goes_when_its_time_is_up() -> None:
    raw = raw_job(policy={"ttlSecondsAfterFinished": 5})
    done = [raw_pod(f"train-{index}", "Succeeded") for index in (0, 1)]
    raw = after(raw, decide(raw, done))
    assert not decide(raw, done, at_s=4).delete_job
    assert decide(raw, done, at_s=5).delete_job


def test_a_suspended_job_has_no_pods_and_keeps_its_count() -> None:
    raw = raw_job(policy={"suspend": True}, status={"restarts": 2})
    decided = decide(raw, [*running(0), raw_pod("train-1", "Succeeded")])
    assert true_conditions(decided) >= {"Suspended"}
    assert len(decided.deletes) == 2
    assert decided.creates == ()
    assert (told(decided).restarts, told(decided).replicas.succeeded) == (2, 0)


def test_a_job_that_is_being_deleted_is_left_alone() -> None:
    raw = raw_job(metadata={"deletionTimestamp": "2030-01-01T12:00:00Z"})
    assert decide(raw, running(0), service=False) == Plan()


def test_a_foreign_pod_in_the_way_is_left_alone_and_waited_for() -> None:
    decided = decide(raw_job(), [raw_pod("train-1", owner="the job of yesterday")])
    assert decided.creates == (0,)
    assert decided.deletes == ()


def test_a_gang_runs_with_as_many_pods_as_it_needs() -> None:
    raw = raw_job(nodes=4, policy={"schedulingPolicy": {"minAvailable": 3}})
    assert "Running" not in true_conditions(decide(raw, running(0, 1)))
    assert "Running" in true_conditions(decide(raw, running(0, 1, 2)))
