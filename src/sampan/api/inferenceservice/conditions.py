"""The conditions of an InferenceService, and the words that stand in them.

`Ready` depends on `PredictorReady` and `IngressReady` alone (KServe,
`inference_service_status.go`); a transformer or explainer that is not ready reaches it through the
ingress. The mechanics are `sampan.api.condition_set`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sampan.api.condition_set import ConditionSet

READY = "Ready"
PREDICTOR_READY = "PredictorReady"
TRANSFORMER_READY = "TransformerReady"
EXPLAINER_READY = "ExplainerReady"
INGRESS_READY = "IngressReady"
CANARY_PREDICTOR_READY = "CanaryPredictorReady"
STOPPED = "Stopped"
ROUTES_READY = "RoutesReady"
LATEST_DEPLOYMENT_READY = "LatestDeploymentReady"

COMPONENT_READY: Mapping[str, str] = MappingProxyType(
    {
        "predictor": PREDICTOR_READY,
        "transformer": TRANSFORMER_READY,
        "explainer": EXPLAINER_READY,
    }
)

ROUTE_READY: Mapping[str, str] = MappingProxyType(
    {
        "predictor": "PredictorRouteReady",
        "transformer": "TransformerRouteReady",
        # The plural is upstream's, and clients wait for it.
        "explainer": "ExplainerRoutesReady",
    }
)
"""Knative mode: whether a component's route passes traffic."""

CONFIGURATION_READY: Mapping[str, str] = MappingProxyType(
    {
        "predictor": "PredictorConfigurationReady",
        "transformer": "TransformerConfigurationReady",
        "explainer": "ExplainerConfigurationReady",
    }
)
"""Knative mode: whether a component's latest revision is ready."""

SERVICE_CONDITIONS = ConditionSet(dependents=(PREDICTOR_READY, INGRESS_READY))

REASON_STOPPED = "Stopped"
REASON_RECONCILE_FAILED = "ReconcileFailed"
REASON_MINIMUM_REPLICAS_UNAVAILABLE = "MinimumReplicasUnavailable"
REASON_NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
"""Reasons of conditions; the failure reasons of a model are in `modelStatus`."""
