"""The file of a ChaosEngine: the fields that Litmus knows, as strict as those of submission.yaml."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from graders.chaos.durations import seconds_of
from graders.documents import Strict, misfit
from graders.documents.wording import quote


def _duration(text: str) -> str:
    try:
        seconds_of(text)
    except ValueError:
        raise misfit(f"{quote(text)} is no duration", "write it as in 5s or 500ms") from None
    return text


Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
Duration = Annotated[str, AfterValidator(_duration)]


class EngineMetadata(Strict):
    """Name and place."""

    name: str
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class AppInfo(Strict):
    """The application whose pods are meant."""

    appns: str | None = None
    applabel: str | None = None
    appkind: Literal["", "deployment", "statefulset", "daemonset", "deploymentconfig", "rollout"] | None = (
        None
    )


class EnvVar(Strict):
    """One setting of an experiment."""

    name: str
    value: str | None = None
    value_from: Annotated[Any, Field(alias="valueFrom")] = None


class ComparatorBlock(Strict):
    """What the answer of a probe is compared with."""

    type: Literal["int", "float", "string"] = "string"
    criteria: str
    value: str


class CmdProbeInputs(Strict):
    """A command line; with a `source` it would run in a pod of its own."""

    command: Annotated[str, Field(min_length=1, max_length=4096)]
    comparator: ComparatorBlock
    source: Any = None


class K8sProbeInputs(Strict):
    """Objects that are to be there, or not."""

    group: Name | Literal[""] = ""
    version: Name
    resource: Name
    resource_names: Annotated[str, Field(alias="resourceNames")] = ""
    namespace: Name | Literal[""] = ""
    field_selector: Annotated[str, Field(alias="fieldSelector")] = ""
    label_selector: Annotated[str, Field(alias="labelSelector")] = ""
    operation: Literal["present", "absent", "create", "delete"]


class RunProperties(Strict):
    """How often and for how long a probe is asked."""

    probe_timeout: Annotated[Duration, Field(alias="probeTimeout")]
    interval: Duration
    retry: Annotated[int, Field(ge=0, le=20)] = 0
    attempt: Annotated[int, Field(ge=0, le=20)] = 0
    polling_interval: Annotated[Duration | None, Field(alias="probePollingInterval")] = None
    initial_delay: Annotated[Duration | None, Field(alias="initialDelay")] = None
    initial_delay_s: Annotated[int, Field(alias="initialDelaySeconds", ge=0, le=60)] = 0
    evaluation_timeout: Annotated[Duration | None, Field(alias="evaluationTimeout")] = None
    verbosity: str | None = None
    stop_on_failure: Annotated[bool, Field(alias="stopOnFailure")] = False


class ProbeBlock(Strict):
    """One probe; what it asks stands under the key of its type."""

    name: Annotated[str, Field(min_length=1)]
    type: Literal["cmdProbe", "k8sProbe", "httpProbe", "promProbe", "sloProbe"]
    mode: Literal["SOT", "EOT", "Edge", "Continuous", "OnChaos"]
    command: Annotated[CmdProbeInputs | None, Field(alias="cmdProbe/inputs")] = None
    objects: Annotated[K8sProbeInputs | None, Field(alias="k8sProbe/inputs")] = None
    http: Annotated[Any, Field(alias="httpProbe/inputs")] = None
    prometheus: Annotated[Any, Field(alias="promProbe/inputs")] = None
    slo: Annotated[Any, Field(alias="sloProbe/inputs")] = None
    run_properties: Annotated[RunProperties, Field(alias="runProperties")]
    data: str | None = None


class ExperimentComponents(Strict):
    """Settings of an experiment; all but `env` are about the pods that Litmus would run."""

    env: tuple[EnvVar, ...] = Field(default=(), strict=False)
    config_maps: Annotated[Any, Field(alias="configMaps")] = None
    secrets: Any = None
    annotations: Annotated[Any, Field(alias="experimentAnnotations")] = None
    image: Annotated[Any, Field(alias="experimentImage")] = None
    pull_secrets: Annotated[Any, Field(alias="experimentImagePullSecrets")] = None
    node_selector: Annotated[Any, Field(alias="nodeSelector")] = None
    timeouts: Annotated[Any, Field(alias="statusCheckTimeouts")] = None
    resources: Any = None
    tolerations: Any = None


class EngineExperimentSpec(Strict):
    """What an experiment is told, and what is asked around it."""

    rank: int | None = None
    components: ExperimentComponents = ExperimentComponents()
    probe: tuple[ProbeBlock, ...] = Field(default=(), strict=False)


class EngineExperiment(Strict):
    """One experiment of the hub by its name."""

    name: str
    spec: EngineExperimentSpec


class EngineComponents(Strict):
    """The pods that Litmus would run."""

    runner: Any = None
    sidecar: Any = None


class ChaosEngineSpec(Strict):
    """What a ChaosEngine asks for."""

    appinfo: AppInfo = AppInfo()
    health_check: Annotated[bool | Literal["true", "false"], Field(alias="defaultHealthCheck")] = True
    service_account: Annotated[str, Field(alias="chaosServiceAccount")]
    components: EngineComponents | None = None
    experiments: Annotated[list[EngineExperiment], Field(min_length=1, max_length=4)]
    clean_up: Annotated[Literal["delete", "retain"] | None, Field(alias="jobCleanUpPolicy")] = None
    auxiliary: Annotated[str | None, Field(alias="auxiliaryAppInfo")] = None
    state: Annotated[Literal["active", "stop"], Field(alias="engineState")]
    grace_s: Annotated[int | None, Field(alias="terminationGracePeriodSeconds")] = None
    selectors: Any = None


class ChaosEngineFile(Strict):
    """A ChaosEngine."""

    api_version: Annotated[Literal["litmuschaos.io/v1alpha1"], Field(alias="apiVersion")]
    kind: Literal["ChaosEngine"]
    metadata: EngineMetadata
    spec: ChaosEngineSpec
