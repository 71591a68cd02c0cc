"""The namespace and its CRD, created again from the export; other namespaces have gone on."""

from concurrent.futures import ThreadPoolExecutor

from common import CRD_PATH, KINDS, NAMESPACE_PATH, Api, exported, newest_backup, say, until

CRDS, NAMESPACES = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/api/v1/namespaces"
MODELS = next(path for path in KINDS if path.endswith("/models"))
SERVER_MADE = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink",
               "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "ownerReferences")


def recover():
    """Create all that is not there; an object that is there already is left alone."""
    api, backup = Api(), exported(newest_backup())
    until(lambda: not terminating(api, NAMESPACE_PATH), "the end of the namespace", 60)
    until(lambda: not terminating(api, CRD_PATH), "the end of the CRD", 60)
    say("create", "namespace and CRD")
    create(api, CRDS, backup["crd"], drop=("status",))
    create(api, NAMESPACES, backup["namespace"], drop=("status",))
    until(lambda: api.request("GET", MODELS)[0] == 200, "the kind Model", 20)
    owners = {}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: model(api, item, owners), backup[MODELS]))
        for path in KINDS:
            if path != MODELS:
                list(pool.map(lambda item, path=path: owned(api, path, item, owners), backup[path]))


def terminating(api, path):
    """Whether something is there that is about to go."""
    status, body = api.request("GET", path)
    return status != 404 and (status != 200 or "deletionTimestamp" in body["metadata"])


def create(api, path, item, drop=(), owner_references=None):
    """Create an object as it was, without what the server makes."""
    body = {key: value for key, value in item.items() if key not in drop}
    body["metadata"] = {key: value for key, value in item["metadata"].items() if key not in SERVER_MADE}
    if owner_references:
        body["metadata"]["ownerReferences"] = owner_references
    if path.endswith("/services"):
        body["spec"] = {k: v for k, v in item["spec"].items() if k not in ("clusterIP", "clusterIPs")}

    def done():
        status, answer = api.request("POST", path, body)
        if status == 409:
            done.answer = api.request("GET", f"{path}/{body['metadata']['name']}")[1]
        else:
            done.answer = answer
        return status in (200, 201, 409)

    until(done, f"{path}/{body['metadata']['name']}", 20)
    return done.answer


def model(api, item, owners):
    """A Model and its status, which is a request of its own; remember its new uid."""
    made = create(api, MODELS, item, drop=("status",))
    owners[item["metadata"]["uid"]] = made["metadata"]["uid"]
    if item.get("status"):
        path = f"{MODELS}/{item['metadata']['name']}/status"
        patch = {"status": item["status"]}
        until(
            lambda: api.request("PATCH", path, patch, "application/merge-patch+json")[0] == 200, path, 20
        )


def owned(api, path, item, owners):
    """An object whose owners may have new uids; one whose owner is not there has none."""
    references = [
        {**each, "uid": owners[each["uid"]]}
        for each in item["metadata"].get("ownerReferences") or ()
        if each["uid"] in owners
    ]
    create(api, path, item, drop=("status",), owner_references=references)
