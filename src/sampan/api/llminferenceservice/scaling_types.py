"""How many replicas a workload has, where that follows the load."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from sampan.api.llminferenceservice.names import ruled
from sampan.api.view import Core, Int32, View, facts
from sampan.machinery.registry import JsonObject

_IDLE = "minReplicas is required when idleReplicaCount is set"
_BELOW = (
    "idleReplicaCount must be less than minReplicas; idleReplicaCount defines the replica floor "
    "when no triggers are active"
)
_HPA_NAME = (
    "horizontalPodAutoscalerConfig.name must not be set; the controller manages the HPA name",
    (
        "!has(self.advanced) || !has(self.advanced.horizontalPodAutoscalerConfig) || "
        "size(self.advanced.horizontalPodAutoscalerConfig.name) == 0"
    ),
)
_MODIFIER = "size(self.keda.advanced.scalingModifiers.{}) == 0"
_NO_FORMULA = " && ".join(
    _MODIFIER.format(field) for field in ("formula", "target", "activationTarget", "metricType")
)
_Behavior: TypeAlias = Annotated[JsonObject, Core("HorizontalPodAutoscalerBehavior")]


def _idle_rules(keda: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the rules about `idleReplicaCount` of the KEDA settings at a path, such as `keda`."""
    steps = keda.split(".")
    absent = " || ".join(
        f"!has(self.{'.'.join(steps[: end + 1])})" for end in range(len(steps))
    )  # fmt: skip
    unset = f"{absent} || !has(self.{keda}.idleReplicaCount)"
    return (
        (_IDLE, f"{unset} || has(self.minReplicas)"),
        (
            _BELOW,
            f"{unset} || !has(self.minReplicas) || self.{keda}.idleReplicaCount < self.minReplicas",
        ),
    )


class LLMHPAScaling(View):
    """A HorizontalPodAutoscaler that follows WVA's decisions."""

    behavior: _Behavior | None = None
    """How fast it follows."""


class KEDAFallback(View):
    """How many replicas there are while a metric cannot be read."""

    failure_threshold: Int32
    """Failures in a row before this counts."""
    replicas: Int32
    """How many replicas."""
    behavior: Annotated[
        str | None,
        facts(
            enum=["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"],
            default="static",
        ),
    ] = None
    """`static`: `replicas`; the others keep what there is, in part."""


class KEDAHorizontalPodAutoscaler(View):
    """The HorizontalPodAutoscaler that KEDA makes."""

    name: str | None = None
    """Its name, which the controller chooses: leave it out."""
    behavior: _Behavior | None = None
    """How fast it follows."""


class KEDAScalingModifiers(View):
    """One number made of several metrics."""

    formula: str | None = None
    """How it is made."""
    target: str | None = None
    """The value that scaling aims at."""
    activation_target: str | None = None
    """The value from which on there are replicas at all."""
    metric_type: Annotated[str | None, facts(enum=["AverageValue", "Value"])] = None
    """How the target is read."""


class KEDAAdvanced(View):
    """Settings of KEDA that few need."""

    horizontal_pod_autoscaler_config: KEDAHorizontalPodAutoscaler | None = None
    """The HorizontalPodAutoscaler that KEDA makes."""
    restore_to_original_replica_count: bool | None = None
    """Whether the number of before is set again when scaling is removed."""
    scaling_modifiers: KEDAScalingModifiers | None = None
    """One number made of several metrics."""


class LLMKEDAScaling(View):
    """A KEDA ScaledObject."""

    schema_facts = ruled(_HPA_NAME)
    polling_interval: Annotated[int | None, facts(format="int32", minimum=1)] = None
    """Seconds between two looks at the metrics."""
    cooldown_period: Annotated[int | None, facts(format="int32", minimum=0)] = None
    """Seconds without load before replicas go."""
    initial_cooldown_period: Annotated[int | None, facts(format="int32", minimum=0)] = None
    """The same, after the first start."""
    idle_replica_count: Annotated[int | None, facts(format="int32", minimum=0)] = None
    """Replicas while no trigger is active."""
    fallback: KEDAFallback | None = None
    """Replicas while a metric cannot be read."""
    advanced: KEDAAdvanced | None = None
    """Settings that few need."""


class KEDAAuthentication(View):
    """Credentials for a trigger, by name."""

    name: str
    """Name of the TriggerAuthentication."""
    kind: str | None = None
    """`TriggerAuthentication` or `ClusterTriggerAuthentication`."""


class KEDATrigger(View):
    """A metric that scaling follows, in KEDA's words."""

    type: str
    """Kind of the trigger, such as `prometheus`."""
    name: str | None = None
    """Its name."""
    use_cached_metrics: bool | None = None
    """Whether values may be as old as `pollingInterval`."""
    metadata: dict[str, str]
    """Its settings."""
    authentication_ref: KEDAAuthentication | None = None
    """Its credentials."""
    metric_type: str | None = None
    """How its target is read."""


class LLMDirectKEDAScaling(LLMKEDAScaling):
    """A KEDA ScaledObject with triggers of one's own."""

    triggers: Annotated[list[KEDATrigger], facts(minItems=1, x_kubernetes_list_type="atomic")]
    """Metrics that scaling follows."""


class LLMWVAScaling(View):
    """The workload variant autoscaler decides, and another one acts."""

    schema_facts = ruled(
        (
            "scalingModifiers must not be set; WVA controls the scaling metric formula and logic",
            f"!has(self.keda) || !has(self.keda.advanced) || ({_NO_FORMULA})",
        ),
        (
            "hpa and keda are mutually exclusive; choose one actuator backend",
            "!(has(self.hpa) && has(self.keda))",
        ),
        (
            "either hpa or keda must be specified as the actuator backend",
            "has(self.hpa) || has(self.keda)",
        ),
    )
    variant_cost: Annotated[str | None, facts(pattern=r"^\d+(\.\d+)?$", default="10.0")] = None
    """What a replica costs, in proportion to other variants."""
    hpa: LLMHPAScaling | None = None
    """A HorizontalPodAutoscaler acts."""
    keda: LLMKEDAScaling | None = None
    """KEDA acts."""


class LLMScaling(View):
    """Replicas that follow the load."""

    schema_facts = ruled(
        (
            "either wva or keda must be specified when scaling is configured",
            "has(self.wva) || has(self.keda)",
        ),
        ("wva and keda are mutually exclusive", "!(has(self.wva) && has(self.keda))"),
        (
            "at least one trigger is required when using direct KEDA scaling",
            "!has(self.keda) || size(self.keda.triggers) > 0",
        ),
        (
            "minReplicas cannot exceed maxReplicas",
            "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
        ),
        *_idle_rules("wva.keda"),
        *_idle_rules("keda"),
    )
    min_replicas: Annotated[int | None, facts(format="int32", minimum=1, default=1)] = None
    """Fewest replicas."""
    max_replicas: Annotated[int, facts(format="int32", minimum=1)]
    """Most replicas."""
    wva: LLMWVAScaling | None = Field(default=None)
    """The workload variant autoscaler decides."""
    keda: LLMDirectKEDAScaling | None = Field(default=None)
    """KEDA decides, by triggers of one's own."""
