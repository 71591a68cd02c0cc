"""What happens when a job changes. So far: a line in the log."""

import logging

import kopf

logger = logging.getLogger(__name__)


@kopf.on.login()
def login(**kwargs):
    return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = False
    settings.scanning.disabled = True


@kopf.on.event("training.mod201.dev", "v1alpha1", "mltrainingjobs")
def job_changed(type, namespace, name, **_):
    logger.info("%s/%s: %s", namespace, name, type or "was there before")
    # TODO: make the cluster look like the spec asks, from whatever state it is in now:
    #   - a headless Service and pods 0 … numNodes-1, owned by the job ("Children");
    #   - the status: six conditions, replicaStatuses, observedGeneration ("Conditions");
    #   - failures, restarts and the limits on them ("Counting");
    #   - suspending, scaling, deadlines, the end and what is cleaned up after it;
    #   - Events and metrics.
    # An event tells you *that* something changed. What to do follows from what you then read.


# TODO: pods change too, and this operator does not look at them yet.
