"""Children, owners, ends, sizes and pauses: each flaw in the record costs exactly its check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.unit.lab1_flaws import Flaw, assert_costs, every
from tests.unit.lab1_recording import Mutation, Record, Recording

CREATES = "creates-pods"
GC = "owner-gc"
COMPLETION = "completion"
SCALING = "scaling"
SUSPEND = "suspend"

# --- creates-pods ----------------------------------------------------------------------------------


def _bert(change: Callable[[Record], object], pod: str = "bert-2") -> Mutation:
    def mutate(r: Recording) -> None:
        for state in r.pods("create", pod):
            change(state)

    return mutate


def _env(name: str, value: str | None, container: int = 0) -> Mutation:
    def change(pod: Record) -> None:
        env = [each for each in pod["spec"]["containers"][container]["env"] if each["name"] != name]
        pod["spec"]["containers"][container]["env"] = [
            *env,
            *([{"name": name, "value": value}] if value is not None else []),
        ]

    return _bert(change)


def _metadata(field: str, key: str = "") -> Mutation:
    """All labels or annotations of a pod are lost, or one."""

    def change(pod: Record) -> None:
        kept = {each: value for each, value in (pod["metadata"].get(field) or {}).items() if each != key}
        pod["metadata"][field] = kept if key else {}

    return _bert(change)


def _spec(field: str, value: object) -> Mutation:
    return _bert(lambda pod: pod["spec"].update({field: value}))


def _least_named_otherwise(r: Recording) -> None:
    for sighting in r.seen("create", "pods", "least-0"):
        sighting["name"] = sighting["object"]["metadata"]["name"] = "least-x7"


def _out_of_the_queue(r: Recording) -> None:
    r.last("create", "bert")["metadata"]["labels"] = {}


def _label(name: str, value: str) -> Mutation:
    return _bert(lambda pod: pod["metadata"]["labels"].update({f"training.mod201.dev/{name}": value}))


def _one_less(r: Recording) -> None:
    for sighting in r.seen("create", "pods", "bert-3"):
        r.remove("objects", sighting)
    r.remove("audit", r.creates("create", "bert-3")[0])


def _twice(r: Recording) -> None:
    r.again(r.creates("create", "bert-0")[0])


def _fifth(r: Recording) -> None:
    r.again(r.creates("create", "bert-0")[0], name="bert-4")
    for sighting in r.seen("create", "pods", "bert-0"):
        metadata = {**sighting["object"]["metadata"], "name": "bert-4", "uid": "fifth"}
        r.objects.append(
            {**sighting, "name": "bert-4", "object": {**sighting["object"], "metadata": metadata}}
        )


def _random_names(r: Recording) -> None:
    for number in range(4):
        for sighting in r.seen("create", "pods", f"bert-{number}"):
            sighting["name"] = sighting["object"]["metadata"]["name"] = f"bert-x{number}f7"


def _no_service(r: Recording) -> None:
    for sighting in r.seen("create", "services", "bert"):
        r.remove("objects", sighting)


def _cluster_ip(r: Recording) -> None:
    for sighting in r.seen("create", "services", "bert"):
        sighting["object"]["spec"]["clusterIP"] = "10.0.0.7"


def _selects_nobody(r: Recording) -> None:
    for sighting in r.seen("create", "services", "bert"):
        sighting["object"]["spec"]["selector"] = {"app": "bert"}


CREATES_FLAWS = (
    Flaw(CREATES, "a port of its own", _env("PET_MASTER_PORT", "29502"), "one PET_MASTER_PORT for all"),
    Flaw(CREATES, "a hostname of its own", _spec("hostname", "worker-2"), "bert-2 has hostname 'worker-2'"),
    Flaw(CREATES, "Service of nobody", _selects_nobody, "a selector that its pods' labels match"),
    Flaw(CREATES, "three pods of four", _one_less, "pods bert-0, bert-1, bert-2"),
    Flaw(CREATES, "five pods", _fifth, "bert-4"),
    Flaw(CREATES, "one created twice", _twice, "successful pod creates: 5"),
    Flaw(CREATES, "random names", _random_names, "bert-x0f7"),
    Flaw(
        CREATES,
        "label of another job",
        _label("job-name", "other"),
        "label training.mod201.dev/job-name other",
    ),
    Flaw(
        CREATES,
        "wrong index",
        _label("replica-index", "3"),
        "bert-2: label training.mod201.dev/replica-index 3",
    ),
    Flaw(CREATES, "no labels", _bert(lambda pod: pod["metadata"].pop("labels")), "job-name None"),
    Flaw(CREATES, "restarts by kubelet", _bert(lambda p: p["spec"].update(restartPolicy="Always")), "Always"),
    Flaw(CREATES, "no hostname", _bert(lambda pod: pod["spec"].pop("hostname")), "as hostname and"),
    Flaw(CREATES, "no subdomain", _bert(lambda pod: pod["spec"].pop("subdomain")), "as hostname and"),
    Flaw(
        CREATES,
        "sidecar dropped",
        _bert(lambda pod: pod["spec"]["containers"].pop()),
        "containers ['trainer']",
    ),
    Flaw(CREATES, "no variables", _bert(lambda p: p["spec"]["containers"][0].pop("env")), "PET_NNODES None"),
    Flaw(CREATES, "template's variable wins", _env("PET_NNODES", "99"), "PET_NNODES 99"),
    Flaw(
        CREATES, "only the first container", _env("PET_NNODES", None, 1), "container sidecar: PET_NNODES None"
    ),
    Flaw(CREATES, "rank from one", _env("PET_NODE_RANK", "3"), "PET_NODE_RANK 3"),
    Flaw(
        CREATES, "own address as master", _env("PET_MASTER_ADDR", "bert-2.bert"), "beginning with bert-0.bert"
    ),
    Flaw(CREATES, "no port", _env("PET_MASTER_PORT", None), "PET_MASTER_PORT a port number"),
    Flaw(CREATES, "port in words", _env("PET_MASTER_PORT", "http"), "PET_MASTER_PORT 'http'"),
    Flaw(CREATES, "template's own variables lost", _env("LEARNING_RATE", None), "env[LEARNING_RATE] is null"),
    Flaw(CREATES, "sidecar's own variables lost", _env("ROLE", None, 1), "env[ROLE] is null"),
    Flaw(CREATES, "variable from elsewhere lost", _env("EPOCHS", ""), "env[EPOCHS].valueFrom is null"),
    Flaw(CREATES, "variable of no value lost", _env("VERBOSE", None), "env[VERBOSE] is null"),
    Flaw(
        CREATES,
        "init container uninformed",
        _bert(lambda pod: pod["spec"]["initContainers"][0].pop("env")),
        "container fetch: PET_NNODES None",
    ),
    Flaw(CREATES, "init container lost", _bert(lambda p: p["spec"].pop("initContainers")), "initContainers"),
    Flaw(CREATES, "annotations lost", _metadata("annotations"), "metadata.annotations.example.com/data-set"),
    Flaw(CREATES, "empty annotation lost", _metadata("annotations", "example.com/note"), "example.com/note"),
    Flaw(CREATES, "template's labels lost", _metadata("labels", "team"), "metadata.labels.team is null"),
    Flaw(CREATES, "volumes lost", _bert(lambda pod: pod["spec"].pop("volumes")), "volumes is null"),
    Flaw(CREATES, "grace period of its own", _spec("terminationGracePeriodSeconds", 30), "30 and not 7"),
    Flaw(CREATES, "host aliases lost", _spec("hostAliases", None), "hostAliases is null"),
    Flaw(CREATES, "least job named otherwise", _least_named_otherwise, "pods of least: least-x7"),
    Flaw(
        CREATES,
        "no pod for the least job",
        lambda r: r.miss("create", "1 pods of least, Running", "0 pods: none"),
        "1 pods of least",
    ),
    Flaw(CREATES, "queue left", _out_of_the_queue, "the job's own label kueue.x-k8s.io/queue-name"),
    Flaw(CREATES, "no Service", _no_service, "a Service bert"),
    Flaw(CREATES, "Service with an address", _cluster_ip, "clusterIP 10.0.0.7"),
)


@every(CREATES_FLAWS)
def test_a_wrong_child_costs_creates_pods(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


# --- owner-gc --------------------------------------------------------------------------------------


def _owners(kind: str, name: str, change: Callable[[Record], object]) -> Mutation:
    def mutate(r: Recording) -> None:
        for sighting in r.seen("delete", kind, name):
            change(sighting["object"]["metadata"])

    return mutate


def _no_service_to_go(r: Recording) -> None:
    for sighting in r.seen("delete", "services", "gone"):
        r.remove("objects", sighting)


GC_FLAWS = (
    Flaw(
        GC,
        "pod without owner",
        _owners("pods", "gone-1", lambda m: m.pop("ownerReferences")),
        "Pod gone-1 has",
    ),
    Flaw(
        GC,
        "owner that does not control",
        _owners("pods", "gone-0", lambda m: m["ownerReferences"][0].update(controller=False)),
        "Pod gone-0 with a controller owner reference",
    ),
    Flaw(
        GC,
        "owner of another uid",
        _owners("pods", "gone-0", lambda m: m["ownerReferences"][0].update(uid="other")),
        "Pod gone-0",
    ),
    Flaw(
        GC,
        "Service without owner",
        _owners("services", "gone", lambda m: m.update(ownerReferences=[])),
        "Service gone has owner references []",
    ),
    Flaw(GC, "children stay", lambda r: r.miss("delete", "children to go", "pods gone-0"), "pods gone-0"),
    Flaw(
        GC,
        "no Service at all",
        _no_service_to_go,
        "two pods and a Service to judge by",
    ),
)


@every(GC_FLAWS)
def test_a_child_without_its_owner_costs_owner_gc(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


# --- completion ------------------------------------------------------------------------------------


def _complete_early(r: Recording) -> None:
    r.set_condition(COMPLETION, "keeps", "Complete", "True", until=r.mark(COMPLETION, "last-succeeds")["t"])


def _not_final(r: Recording) -> None:
    r.last(COMPLETION, "keeps")["status"]["conditions"] = []


def _both(r: Recording) -> None:
    r.set_condition(COMPLETION, "cleans", "Failed", "True", since=r.mark(COMPLETION, "last-succeeds")["t"])


def _still_running(r: Recording) -> None:
    r.set_condition(
        COMPLETION, "keeps", "Running", "True", since=r.mark(COMPLETION, "changed-after-end")["t"]
    )


def _suspended_after_end(r: Recording) -> None:
    ended = r.mark(COMPLETION, "changed-after-end")["t"]
    r.set_condition(COMPLETION, "keeps", "Suspended", "True", since=ended)


def _created_after_end(r: Recording) -> None:
    r.again(r.creates(COMPLETION, "keeps-0")[0], t=r.mark(COMPLETION, "changed-after-end")["t"] + 0.1)


def _back_again(r: Recording) -> None:
    r.revive(COMPLETION, "keeps-0")


def _cleaned_away(r: Recording) -> None:
    last = r.seen(COMPLETION, "pods", "keeps-1")[-1]
    r.objects.append({**last, "type": "DELETED", "t": last["t"] + 0.5})


def _drop_status(track: str, job: str, field: str) -> Mutation:
    return lambda r: r.last(track, job)["status"].pop(field)


def _set_status(track: str, job: str, **fields: object) -> Mutation:
    return lambda r: r.last(track, job)["status"].update(fields)


def _condemned(job: str, index: int) -> Mutation:
    """A pod of a job that is over is deleted."""

    def mutate(r: Recording) -> None:
        last = r.seen(COMPLETION, "pods", f"{job}-{index}")[-1]
        r.objects.append({**last, "type": "DELETED", "t": last["t"] + 0.5})

    return mutate


def _counts(job: str, **counts: int) -> Mutation:
    return lambda r: r.last(COMPLETION, job)["status"]["replicaStatuses"].update(counts)


def _not_running_meanwhile(r: Recording) -> None:
    since = r.mark(COMPLETION, "some-succeeded", 0)["t"] - 0.9
    r.set_condition(COMPLETION, "keeps", "Running", "False", until=since)


def _left_by_a_change(r: Recording) -> None:
    ended = r.mark(COMPLETION, "changed-after-failure")["t"]
    r.set_condition(COMPLETION, "fails-none", "Suspended", "True", since=ended)


def _created_after_failure(r: Recording) -> None:
    ended = r.mark(COMPLETION, "changed-after-failure")["t"]
    r.again(r.creates(COMPLETION, "fails-none-0")[0], t=ended + 0.1)


def _revived(r: Recording) -> None:
    ended = r.mark(COMPLETION, "changed-after-failure")["t"]
    r.set_condition(COMPLETION, "fails-none", "Failed", "False", since=ended)


COMPLETION_FLAWS = (
    Flaw(COMPLETION, "failed job revived", _revived, "fails-none: conditions, completionTime and restarts"),
    Flaw(
        COMPLETION,
        "an end that moves",
        _set_status(COMPLETION, "keeps", completionTime="2036-01-01T00:00:00Z"),
        "keeps: conditions, completionTime and restarts",
    ),
    Flaw(COMPLETION, "Complete too early", _complete_early, "not Complete before the last pod succeeded"),
    Flaw(COMPLETION, "Complete taken back", _not_final, "keeps was Complete and then was not"),
    Flaw(COMPLETION, "Complete and Failed", _both, "cleans was both"),
    Flaw(
        COMPLETION, "no time", _drop_status(COMPLETION, "keeps", "completionTime"), "completionTime is empty"
    ),
    Flaw(COMPLETION, "running on", _still_running, "keeps: Running is still True"),
    Flaw(COMPLETION, "suspended when over", _suspended_after_end, "Suspended became True after the end"),
    Flaw(COMPLETION, "pod created when over", _created_after_end, "no pod created after the end"),
    Flaw(COMPLETION, "deleted pod back", _back_again, "pods kept by cleanPodPolicy None: ['keeps-0'"),
    Flaw(
        COMPLETION, "cleans in spite of None", _cleaned_away, "pods kept by cleanPodPolicy None: ['keeps-2']"
    ),
    Flaw(
        COMPLETION,
        "keeps in spite of All",
        lambda r: r.miss(COMPLETION, "0 pods of cleans"),
        "0 pods of cleans",
    ),
    Flaw(
        COMPLETION,
        "count of the pods left",
        lambda r: r.last(COMPLETION, "keeps")["status"]["replicaStatuses"].update(succeeded=2),
        "replicaStatuses.succeeded 2",
    ),
    Flaw(COMPLETION, "cleans in spite of Running", _condemned("stops", 1), "stops: deleted stops-1"),
    Flaw(
        COMPLETION,
        "a failed job's finished pod cleaned under None",
        _condemned("fails-none", 0),
        "fails-none: deleted fails-none-0",
    ),
    Flaw(
        COMPLETION,
        "a failed job's failed pod cleaned under Running",
        _condemned("fails-running", 1),
        "fails-running: deleted fails-running-1",
    ),
    Flaw(
        COMPLETION,
        "a failed job's pods kept under All",
        lambda r: r.revive(COMPLETION, "fails-all-0"),
        "pods left under cleanPodPolicy All, Failed: fails-all-0",
    ),
    Flaw(COMPLETION, "failed forgotten", _counts("fails-all", failed=0), "replicaStatuses.failed 0"),
    Flaw(COMPLETION, "succeeded forgotten", _counts("fails-none", succeeded=0), "succeeded 0"),
    Flaw(COMPLETION, "not running with some succeeded", _not_running_meanwhile, "Running was not True with"),
    Flaw(COMPLETION, "failed job suspended", _left_by_a_change, "fails-none: Suspended became True"),
    Flaw(COMPLETION, "pod created when failed", _created_after_failure, "no pod created after the end"),
    Flaw(
        COMPLETION, "counts forgotten", _drop_status(COMPLETION, "keeps", "replicaStatuses"), "succeeded None"
    ),
)


@every(COMPLETION_FLAWS)
def test_a_wrong_end_costs_completion(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


# --- scaling ---------------------------------------------------------------------------------------


def _moment(mark: str, nth: int, change: Callable[[Record], object]) -> Mutation:
    return lambda r: change(r.mark(SCALING, mark, nth)["data"]["pods"])


def _other_survivors(pods: Record) -> None:
    pods["elastic-3"] = {**pods.pop("elastic-1"), "index": "3"}


SCALING_FLAWS = (
    Flaw(
        SCALING,
        "lowest go first",
        _moment("before-scale", 1, _other_survivors),
        "indices after scaling to 2: ['0', '3']",
    ),
    Flaw(
        SCALING,
        "survivor replaced on the way down",
        _moment("before-scale", 1, lambda pods: pods["elastic-0"].update(uid="new")),
        "one of them was replaced",
    ),
    Flaw(
        SCALING,
        "survivor replaced on the way up",
        _moment("end", 0, lambda pods: pods["elastic-1"].update(uid="new")),
        "one of them was replaced",
    ),
    Flaw(
        SCALING,
        "one missing at the end",
        _moment("end", 0, lambda p: p.pop("elastic-3")),
        "after scaling to 4",
    ),
    Flaw(
        SCALING,
        "all created anew",
        lambda r: r.again(r.creates(SCALING, "elastic-0")[0]),
        "in all: 7",
    ),
    Flaw(SCALING, "counted as restarts", _set_status(SCALING, "elastic", restarts=2), "restarts is 2"),
    Flaw(
        SCALING,
        "counted as failure",
        lambda r: r.set_condition(SCALING, "elastic", "Failed", "True"),
        "the job not Failed",
    ),
    Flaw(
        SCALING, "create only", lambda r: r.miss(SCALING, "2 pods of elastic", "4 pods"), "2 pods of elastic"
    ),
)


@every(SCALING_FLAWS)
def test_a_wrong_size_costs_scaling(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


# --- suspend ---------------------------------------------------------------------------------------


def _finished_stays(r: Recording) -> None:
    r.revive(SUSPEND, "partly-0", 0)


def _created_in_pause(r: Recording) -> None:
    at = r.mark(SUSPEND, "suspend")["t"] + 1.05
    create = r.creates(SUSPEND, "paused-1")[0]
    r.mark(SUSPEND, "resume")["t"] = max(r.mark(SUSPEND, "resume")["t"], at + 0.1)
    create["t"] = at


def _same_start(r: Recording) -> None:
    began = r.jobs(SUSPEND, "paused")[2]["status"]["startTime"]
    r.last(SUSPEND, "paused")["status"]["startTime"] = began


def _born_with_pods(r: Recording) -> None:
    create = r.creates(SUSPEND, "paused-0")[0]
    r.again(create, name="born-suspended-0", request=None)


def _born_started(r: Recording) -> None:
    r.last(SUSPEND, "born-suspended")["status"]["startTime"] = "2026-01-01T00:00:00Z"


def _one_pod_less(r: Recording) -> None:
    last = r.seen(SUSPEND, "pods", "paused-2")[-1]
    r.objects.append({**last, "type": "DELETED", "t": last["t"] + 0.5})


def _no_service_meanwhile(r: Recording) -> None:
    last = r.seen(SUSPEND, "services", "paused")[-1]
    r.objects.append({**last, "type": "DELETED", "t": r.mark(SUSPEND, "suspended")["t"] - 0.1})


SUSPEND_FLAWS = (
    Flaw(SUSPEND, "Service gone", _no_service_meanwhile, "its Service there while it is suspended"),
    Flaw(SUSPEND, "finished pod kept", _finished_stays, "partly-0 (Succeeded) was still there"),
    Flaw(SUSPEND, "pod created in the pause", _created_in_pause, "no pod created while suspended"),
    Flaw(SUSPEND, "startTime kept", _same_start, "as before the pause"),
    Flaw(SUSPEND, "no startTime", _drop_status(SUSPEND, "paused", "startTime"), "startTime is empty"),
    Flaw(SUSPEND, "pods for a job born suspended", _born_with_pods, "born suspended"),
    Flaw(SUSPEND, "start of a job born suspended", _born_started, "a job that never started"),
    Flaw(SUSPEND, "one pod not back", _one_pod_less, "replica indices of the pods after resume: 2"),
    Flaw(
        SUSPEND, "forgives failures", _set_status(SUSPEND, "partly", restarts=0), "restarts while suspended"
    ),
    Flaw(SUSPEND, "counted as restarts", _set_status(SUSPEND, "paused", restarts=3), "restarts is 3"),
    Flaw(SUSPEND, "ignored", lambda r: r.miss(SUSPEND, "0 pods of paused", "3 pods"), "0 pods of paused"),
)


@every(SUSPEND_FLAWS)
def test_a_wrong_pause_costs_suspend(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)
