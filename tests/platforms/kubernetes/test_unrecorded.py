"""What KServe makes of fields that no recording of it has, sentence by sentence.

The recordings hold whole objects; here each row changes one service and names what comes of it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from sampan.api.config import parse_config
from sampan.api.scheme import REGISTRY
from sampan.machinery.registry import AdmissionContext
from sampan.plan.build import build_plan, nothing_unbuilt
from sampan.plan.observed import NOTHING
from sampan.plan.types import Gateway, Role, Snapshot
from sampan.platforms.kubernetes.pods.settings import parse_pod_settings
from sampan.platforms.kubernetes.pods.surroundings import Surroundings
from sampan.platforms.kubernetes.render import render
from sampan.platforms.kubernetes.settings import parse_settings
from sampan.platforms.kubernetes.source import Source

INGRESS = {
    "ingressGateway": "knative-serving/knative-ingress-gateway",
    "kserveIngressGateway": "kserve/kserve-ingress-gateway",
    "localGateway": "knative-serving/knative-local-gateway",
    "localGatewayService": "knative-local-gateway.istio-system.svc.cluster.local",
    "ingressDomain": "example.com",
}
GATEWAY, PLAIN, KNATIVE = "gateway", "ingress", "knative"
DATA = {
    GATEWAY: {"deploy": {"defaultDeploymentMode": "Standard"},
              "ingress": {**INGRESS, "enableGatewayApi": True}},
    PLAIN: {"deploy": {"defaultDeploymentMode": "Standard"},
            "ingress": {**INGRESS, "ingressClassName": "istio"}},
    KNATIVE: {"deploy": {"defaultDeploymentMode": "Knative"}, "ingress": INGRESS},
}  # fmt: skip
RUNTIME: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "kserve-sklearnserver"},
    "spec": {
        "annotations": {"prometheus.kserve.io/port": "8080", "of": "runtime"},
        "labels": {"of": "runtime", "only": "runtime"},
        "supportedModelFormats": [{"name": "sklearn", "version": "1", "autoSelect": True}],
        "protocolVersions": ["v1", "v2"],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "runtime"}],
        "imagePullSecrets": [{"name": "theirs"}],
        "volumes": [{"name": "shm", "emptyDir": {}}],
        "containers": [
            {
                "name": "kserve-container",
                "image": "kserve/sklearnserver:latest",
                "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
                "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
            },
            {"name": "helper", "image": "example.com/helper"},
        ],
    },
}
MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "gs://b/m"}
NEXT = {**MODEL, "storageUri": "gs://b/n"}
CUSTOM = {"containers": [{"name": "kserve-container", "image": "example.com/custom"}]}


def merged(old: Any, new: Any) -> Any:
    """A JSON merge: None removes."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    found = {**old, **{k: merged(old.get(k), v) for k, v in new.items()}}
    return {k: v for k, v in found.items() if v is not None}


def make_objects(patch: dict[str, Any], set_up: str = GATEWAY) -> dict[str, Any]:
    """The objects of a service once everything is ready, by `kind name`."""
    patch = dict(patch)
    config = merged(DATA[set_up], patch.pop("config", {}))
    runtimes = patch.pop("runtimes", [])
    zero = patch.pop("starts_at_zero", False)
    data = {key: json.dumps(value) for key, value in config.items()}
    made = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "ml"},
        "spec": {"predictor": {"model": MODEL}},
    }
    resource = REGISTRY.for_object(made)
    admitted = resource.admit(merged(made, patch), None, AdmissionContext(data))
    refused = admitted.errors or admitted.causes or admitted.denied
    assert not refused, refused
    service = admitted.obj
    snapshot = Snapshot(
        service, tuple(runtimes), (RUNTIME,), parse_config(data).config, Gateway(), NOTHING, 0.0
    )
    plan = build_plan(snapshot, nothing_unbuilt)
    assert plan.blocked is None, plan.blocked
    ready = frozenset(w.name for w in plan.workloads if w.role is not Role.WORKER)
    source = Source(
        service, plan, snapshot.config, parse_settings(data), ready,
        Surroundings(parse_pod_settings(data)), starts_at_zero=zero,
    )  # fmt: skip
    return {f"{o['kind']} {o['metadata']['name']}": o for o in render(source)}


def predictor(**fields: Any) -> dict[str, Any]:
    return {"spec": {"predictor": fields}}


def annotated(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations}}


def custom(**fields: Any) -> dict[str, Any]:
    first = {**CUSTOM["containers"][0], **fields.pop("container", {})}
    return predictor(model=None, containers=[first], **fields)


POD = "spec.template.spec"
META = "spec.template.metadata"
DEPLOYMENT = "Deployment iris-predictor"
SERVICE = "Service iris-predictor"
HPA = "HorizontalPodAutoscaler iris-predictor"
SCALED = "ScaledObject iris-predictor"
KSVC = "Service iris-predictor"
ROUTE = "HTTPRoute iris-predictor"
TOP = "HTTPRoute iris"

KEDA = {"serving.kserve.io/autoscalerClass": "keda"}


def keda(metric: dict[str, Any], **more: Any) -> dict[str, Any]:
    scaled = predictor(autoScaling={"metrics": [metric]}, **more)
    return {**annotated(**KEDA), **scaled}


def external(backend: str, **more: Any) -> dict[str, Any]:
    metric = {"backend": backend, "serverAddress": "http://p", "query": "q", **more}
    return {"type": "External", "external": {
        "metric": metric, "target": {"type": "Value", "value": "5"},
        "authenticationRef": {"authModes": "basic", "authenticationRef": {"name": "keys"}},
    }}  # fmt: skip


POD_METRIC = {"type": "PodMetric", "podmetric": {
    "metric": {
        "backend": "opentelemetry", "metricNames": ["m"], "query": "m",
        "operationOverTime": "avg",
    },
    "target": {"type": "Value", "value": "4"},
}}  # fmt: skip

STANDARD = {
    "labels and annotations of runtime, service and component, the later ones winning": (
        {"metadata": {"labels": {"of": "service", "team": "a"}},
         **predictor(labels={"of": "component"}, annotations={"of": "component"})},
        DEPLOYMENT, META, {"labels": {"of": "component", "only": "runtime", "team": "a",
        "serving.kserve.io/inferenceservice": "iris", "component": "predictor",
        "app": "isvc.iris-predictor"}},
    ),
    "annotations that stay with the service": (
        annotated(**{"autoscaling.knative.dev/min-scale": "3", "mine": "x",
                     "kubectl.kubernetes.io/last-applied-configuration": "{}"}),
        DEPLOYMENT, META + ".annotations", {"mine": "x", "of": "runtime",
        "modelFormat": None, "autoscaling.knative.dev/min-scale": None,
        "kubectl.kubernetes.io/last-applied-configuration": None},
    ),
    "annotations that are configured to stay": (
        {**annotated(mine="x"),
         "config": {"inferenceService": {"serviceAnnotationDisallowedList": ["mine"]}}},
        DEPLOYMENT, META + ".annotations", {"mine": None},
    ),
    "a predictor's name is part of its objects' names and not of its route's": (
        predictor(name="v2"), ROUTE, "spec",
        {"hostnames": ["iris-predictor-ml.example.com"],
         "rules": [{"backendRefs": [{"name": "iris-v2-predictor"}]}]},
    ),
    "the environment of runtime and service by name": (
        predictor(model={"env": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]}),
        DEPLOYMENT, POD + ".containers.0.env",
        [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"},
         {"name": "INFERENCE_SERVICE_NAME", "value": "iris"}],
    ),
    "arguments of runtime and service, one after the other": (
        predictor(model={"args": ["--more"]}), DEPLOYMENT, POD + ".containers.0.args",
        ["--model_name=iris", "--model_dir=/mnt/models", "--more"],
    ),
    "a command stands instead of the runtime's": (
        predictor(model={"command": ["mine"]}), DEPLOYMENT, POD + ".containers.0.command", ["mine"],
    ),
    "node selectors of both": (
        predictor(nodeSelector={"gpu": "a100"}), DEPLOYMENT, POD + ".nodeSelector",
        {"disk": "ssd", "gpu": "a100"},
    ),
    "tolerations of the service instead of the runtime's": (
        predictor(tolerations=[{"key": "mine"}]), DEPLOYMENT, POD + ".tolerations",
        [{"key": "mine"}],
    ),
    "pull secrets of both": (
        predictor(imagePullSecrets=[{"name": "mine"}]), DEPLOYMENT, POD + ".imagePullSecrets",
        [{"name": "mine"}, {"name": "theirs"}],
    ),
    "other containers of a runtime come along, with the service's name": (
        {}, DEPLOYMENT, POD + ".containers.1",
        {"name": "helper", "env": [{"name": "INFERENCE_SERVICE_NAME", "value": "iris"}]},
    ),
    "runtimeVersion is the image's tag": (
        predictor(model={"runtimeVersion": "v0.15"}), DEPLOYMENT, POD + ".containers.0.image",
        "kserve/sklearnserver:v0.15",
    ),
    "a service account": (
        predictor(serviceAccountName="sa"), DEPLOYMENT, POD + ".serviceAccountName", "sa",
    ),
    "a pod's own fields are kept": (
        predictor(affinity={"nodeAffinity": {}}, hostNetwork=True, priorityClassName="high",
                  terminationGracePeriodSeconds=5, runtimeClassName="kata"),
        DEPLOYMENT, POD,
        {"affinity": {"nodeAffinity": {}}, "hostNetwork": True, "priorityClassName": "high",
         "terminationGracePeriodSeconds": 5, "runtimeClassName": "kata"},
    ),
    "a place is handed on to the webhook by an annotation": (
        {}, DEPLOYMENT, META + ".annotations",
        {"internal.serving.kserve.io/storage-initializer-sourceuri": "gs://b/m"},
    ),
    "an entry of a storage Secret is handed on": (
        predictor(model={"storageUri": None, "storage": {
            "key": "k", "path": "a/b", "parameters": {"bucket": "x"}}}),
        DEPLOYMENT, META + ".annotations",
        {"internal.serving.kserve.io/storage-initializer-sourceuri":
            "<scheme-placeholder>://a/b",
         "internal.serving.kserve.io/storage-spec": "true",
         "internal.serving.kserve.io/storage-spec-key": "k",
         "internal.serving.kserve.io/storage-spec-param": '{"bucket":"x"}'},
    ),
    "an encrypted model is handed on": (
        predictor(model={"confidential": {"enabled": True, "resourceId": "kbs:///a/b/c"}}),
        DEPLOYMENT, META + ".annotations",
        {"internal.serving.kserve.io/confidential-enabled": "true",
         "internal.serving.kserve.io/confidential-resource-id": "kbs:///a/b/c"},
    ),
    "one that says it is not is not": (
        predictor(model={"confidential": {"enabled": False}}), DEPLOYMENT, META + ".annotations",
        {"internal.serving.kserve.io/confidential-enabled": None},
    ),
    "a logger is handed on, and stands before the server": (
        predictor(logger={"mode": "request", "url": "http://sink",
                          "metadataHeaders": ["a", "b"], "metadataAnnotations": ["c"]}),
        DEPLOYMENT, META + ".annotations",
        {"internal.serving.kserve.io/logger": "true",
         "internal.serving.kserve.io/logger-mode": "request",
         "internal.serving.kserve.io/logger-sink-url": "http://sink",
         "internal.serving.kserve.io/logger-metadata-headers": "a,b",
         "internal.serving.kserve.io/logger-metadata-annotations": "c"},
    ),
    "a batcher stands before the server": (
        predictor(batcher={"maxBatchSize": 8, "maxLatency": 50}), SERVICE, "spec.ports.0",
        {"port": 80, "targetPort": 9081},
    ),
    "a server's first port is port 80, the others keep theirs": (
        custom(container={"ports": [{"containerPort": 9000, "name": "h2c"},
                                    {"containerPort": 8081, "name": "http1"}]}),
        SERVICE, "spec.ports",
        [{"name": "h2c", "port": 80, "targetPort": 9000, "appProtocol": "kubernetes.io/h2c"},
         {"name": "http1", "port": 8081, "targetPort": 8081}],
    ),
    "gRPC has a rule of its own where the server has both": (
        custom(container={"ports": [{"containerPort": 8080, "name": "http1"},
                                    {"containerPort": 9000, "name": "grpc"}]}),
        ROUTE, "spec.rules",
        [{"matches": [{"path": {"value": r"^/inference\.GRPCInferenceService/.*$"}}],
          "backendRefs": [{"port": 9000}]},
         {"matches": [{"path": {"value": "^/.*$"}}], "backendRefs": [{"port": 80}]}],
    ),
    "a server without a probe is ready when its port accepts": (
        custom(container={"ports": [{"containerPort": 9000}]}),
        DEPLOYMENT, POD + ".containers.0.readinessProbe.tcpSocket", {"port": 9000},
    ),
    "a probe of the user's stays": (
        predictor(model={"readinessProbe": {"httpGet": {"path": "/x", "port": 1}}}),
        DEPLOYMENT, POD + ".containers.0.readinessProbe", {"tcpSocket": None,
        "httpGet": {"path": "/x", "port": 1}},
    ),
    "a strategy of the component's": (
        predictor(deploymentStrategy={"type": "Recreate"}), DEPLOYMENT, "spec.strategy",
        {"type": "Recreate"},
    ),
    "a strategy that is configured": (
        {"config": {"deploy": {"deploymentRolloutStrategy": {
            "defaultRollout": {"maxSurge": "10%", "maxUnavailable": "0%"}}}}},
        DEPLOYMENT, "spec.strategy.rollingUpdate", {"maxSurge": "10%", "maxUnavailable": "0%"},
    ),
    "replicas are written where nobody scales": (
        {**annotated(**{"serving.kserve.io/autoscalerClass": "none"}),
         **predictor(minReplicas=3, maxReplicas=3)},
        DEPLOYMENT, "spec.replicas", 3,
    ),
    "and are the autoscaler's otherwise": (predictor(minReplicas=3), DEPLOYMENT,
                                           "spec.replicas", None),
    "a component's own class of autoscaler": (
        predictor(annotations={"serving.kserve.io/autoscalerClass": "external"}), HPA, "", None,
    ),
    "memory as an HPA's metric": (
        predictor(scaleMetric="memory", scaleTarget=70, maxReplicas=4), HPA, "spec",
        {"minReplicas": 1, "maxReplicas": 4, "metrics": [{"type": "Resource", "resource": {
            "name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}}]},
    ),
    "an amount of memory as an HPA's metric": (
        predictor(autoScaling={"metrics": [{"type": "Resource", "resource": {
            "name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}]}),
        HPA, "spec.metrics.0.resource.target", {"type": "AverageValue", "averageValue": "1Gi"},
    ),
    "no fewer than one replica by an HPA, and no maximum below its minimum": (
        predictor(minReplicas=0, maxReplicas=0), HPA, "spec", {"minReplicas": 1, "maxReplicas": 1},
    ),
    "KEDA goes down to none": (
        keda({"type": "Resource", "resource": {"name": "cpu", "target": {
            "type": "Utilization", "averageUtilization": 50}}}, minReplicas=0),
        SCALED, "spec", {"minReplicaCount": 0, "maxReplicaCount": 0, "triggers": [
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}}]},
    ),
    "KEDA asks Prometheus": (
        keda(external("prometheus", namespace="n")), SCALED, "spec.triggers.0",
        {"type": "prometheus", "authenticationRef": {"name": "keys"}, "metadata": {
            "serverAddress": "http://p", "query": "q", "threshold": "5", "namespace": "n",
            "authModes": "basic"}},
    ),
    "KEDA asks Graphite, which has no namespace": (
        keda(external("graphite", namespace="n")), SCALED, "spec.triggers.0.metadata",
        {"serverAddress": "http://p", "threshold": "5", "namespace": None},
    ),
    "KEDA asks the pods by way of a collector": (
        keda(POD_METRIC), SCALED, "spec.triggers.0",
        {"type": "external", "metadata": {
            "metricQuery": 'sum(m{namespace="ml", deployment="iris-predictor"})',
            "targetValue": "4", "operationOverTime": "avg",
            "scalerAddress": "keda-otel-scaler.keda.svc:4318"}},
    ),
    "the collector scrapes the runtime's port": (
        keda(POD_METRIC), "OpenTelemetryCollector iris-predictor",
        "spec.config.receivers.prometheus.config.scrape_configs.0.static_configs.0.targets",
        ["localhost:8080"],
    ),
    "windows of scaling that are configured": (
        {**keda(external("prometheus")), "config": {"autoscaler": {
            "scaleUpStabilizationWindowSeconds": "5", "scaleDownStabilizationWindowSeconds": "6"}}},
        SCALED, "spec.advanced.horizontalPodAutoscalerConfig.behavior",
        {"scaleUp": {"stabilizationWindowSeconds": 5},
         "scaleDown": {"stabilizationWindowSeconds": 6}},
    ),
    "a route's time is the component's": (
        predictor(timeout=7), ROUTE, "spec.rules.0.timeouts.request", "7s",
    ),
    "and can be left to the gateway": (
        {"config": {"ingress": {"disableHTTPRouteTimeout": True}}}, ROUTE,
        "spec.rules.0.timeouts", None,
    ),
    "further domains lead to the service": (
        {"config": {"ingress": {"additionalIngressDomains": ["a.b"]}}}, TOP, "spec.hostnames",
        ["iris-ml.example.com", "iris-ml.a.b"],
    ),
    "a path of the domain leads to the service": (
        {"config": {"ingress": {"pathTemplate": "/s/{{ .Namespace }}/{{ .Name }}"}}}, TOP,
        "spec.rules.1.matches.0.path.value", "/s/ml/iris/",
    ),
    "a service of the cluster alone has no route": (
        {"metadata": {"labels": {"networking.kserve.io/visibility": "cluster-local"}}}, TOP, "",
        None,
    ),
    "routes can be switched off": (
        {"config": {"ingress": {"disableIngressCreation": True}}}, TOP, "", None,
    ),
    "a Service without an address of its own": (
        {"config": {"service": {"serviceClusterIPNone": True}}}, SERVICE, "spec.clusterIP", "None",
    ),
    "a server of several models has a list of them": (
        predictor(model={"storageUri": None}), "ConfigMap modelconfig-iris-0", "data",
        {"models.json": "[]"},
    ),
    "and an agent that follows it": (
        predictor(model={"storageUri": None}), DEPLOYMENT, META + ".annotations",
        {"internal.serving.kserve.io/agent": "true",
         "internal.serving.kserve.io/configVolumeName": "modelconfig-iris-0",
         "internal.serving.kserve.io/configMountPath": "/mnt/configs",
         "internal.serving.kserve.io/modelDir": "/mnt/models"},
    ),
    "a custom server that says it takes several": (
        custom(container={"env": [{"name": "MULTI_MODEL_SERVER", "value": "true"}]}),
        "ConfigMap modelconfig-iris-0", "data", {"models.json": "[]"},
    ),
    "a container gets the resources that are configured": (
        {**custom(), "config": {"inferenceService": {"resource": {
            "cpuLimit": "2", "memoryLimit": "3Gi", "cpuRequest": "1", "memoryRequest": "1Gi"}}}},
        DEPLOYMENT, POD + ".containers.0.resources",
        {"limits": {"cpu": "2", "memory": "3Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
    ),
    "tokens of accounts are not mounted where that is configured": (
        {"config": {"security": {"autoMountServiceAccountToken": False}}}, DEPLOYMENT,
        POD + ".automountServiceAccountToken", False,
    ),
}  # fmt: skip

COMPONENTS = {
    "a transformer is told its predictor": (
        {"spec": {"transformer": CUSTOM}}, "Deployment iris-transformer",
        POD + ".containers.0.args",
        ["--model_name", "iris", "--predictor_host", "iris-predictor.ml", "--http_port", "8080"],
    ),
    "and what the user says stands": (
        {"spec": {"transformer": {"containerConcurrency": 3, "containers": [
            {"image": "a", "args": ["--http_port=7", "--model_name", "x"]}]}}},
        "Deployment iris-transformer", POD + ".containers.0.args",
        ["--http_port=7", "--model_name", "x", "--predictor_host", "iris-predictor.ml",
         "--workers", "3"],
    ),
    "the service's host leads to the transformer": (
        {"spec": {"transformer": CUSTOM}}, TOP, "spec.rules.0.backendRefs.0.name",
        "iris-transformer",
    ),
    "explanations lead to the explainer first": (
        {"spec": {"explainer": CUSTOM, "transformer": CUSTOM}}, TOP, "spec.rules",
        [{"matches": [{"path": {"value": r"^/v1/models/[\w-]+:explain$"}}],
          "backendRefs": [{"name": "iris-explainer"}]},
         {"backendRefs": [{"name": "iris-transformer"}]}],
    ),
    "a transformer beside the server takes its requests": (
        predictor(containers=[{"name": "transformer-container", "image": "t",
                               "ports": [{"containerPort": 8090, "name": "http"}]}]),
        SERVICE, "spec.ports", [{"name": "http", "port": 80, "targetPort": 8090}],
    ),
    "the built-in explainer is made of its settings": (
        {"spec": {"explainer": {"art": {"type": "SquareAttack", "config": {"nb": "3"}}}},
         "config": {"explainers": {"art": {"image": "kserve/art", "defaultImageVersion": "v1"}}}},
        "Deployment iris-explainer", POD + ".containers.0",
        {"image": "kserve/art:v1", "args": [
            "--model_name", "iris", "--http_port", "8080", "--predictor_host", "iris-predictor.ml",
            "--adversary_type", "SquareAttack", "--nb", "3"]},
    ),
    "a transformer's own replicas": (
        {"spec": {"transformer": {**CUSTOM, "minReplicas": 2, "maxReplicas": 4}}},
        "HorizontalPodAutoscaler iris-transformer", "spec", {"minReplicas": 2, "maxReplicas": 4},
    ),
    "a canary's number is fixed, its share a weight": (
        {"spec": {"canary": [{"trafficPercent": 20, "predictor": {
            "name": "next", "model": NEXT}}]}},
        TOP, "spec.rules.0.backendRefs",
        [{"name": "iris-predictor", "weight": 80}, {"name": "iris-next-predictor", "weight": 20}],
    ),
    "a canary has what it does not change from the stable predictor": (
        {"spec": {"predictor": {"serviceAccountName": "sa"}, "canary": [{"trafficPercent": 20,
            "predictor": {"name": "next", "model": NEXT}}]}},
        "Deployment iris-next-predictor", "spec.template",
        {"metadata": {"annotations": {
            "internal.serving.kserve.io/storage-initializer-sourceuri": "gs://b/n"}},
         "spec": {"serviceAccountName": "sa"}},
    ),
}  # fmt: skip

AS_INGRESS = {
    "an Ingress of the configured class, with the service's annotations": (
        annotated(**{"nginx.ingress.kubernetes.io/proxy-body-size": "8m"}), "Ingress iris", "",
        {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "8m"}},
         "spec": {"ingressClassName": "istio"}},
    ),
    "the service's host and the predictor's": (
        {}, "Ingress iris", "spec.rules",
        [{"host": "iris-ml.example.com"}, {"host": "iris-predictor-ml.example.com"}],
    ),
    "hosts by the configured template": (
        {"config": {"ingress": {"domainTemplate": "{{ .Name }}.{{ .Namespace }}.a.b"}}},
        "Ingress iris", "spec.rules.0.host", "iris.ml.a.b",
    ),
}  # fmt: skip

AS_KNATIVE = {
    "replicas are the revision's annotations": (
        predictor(minReplicas=0, maxReplicas=5, scaleMetric="rps", scaleTarget=50), KSVC,
        META + ".annotations",
        {"autoscaling.knative.dev/min-scale": "0", "autoscaling.knative.dev/max-scale": "5",
         "autoscaling.knative.dev/metric": "rps", "autoscaling.knative.dev/target": "50",
         "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev"},
    ),
    "one replica and no maximum where nothing is said": (
        {}, KSVC, META + ".annotations",
        {"autoscaling.knative.dev/min-scale": "1", "autoscaling.knative.dev/max-scale": None},
    ),
    "a class of autoscaler": (
        annotated(**{"autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"}), KSVC,
        META + ".annotations",
        {"autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"},
    ),
    "an initial scale": (
        annotated(**{"autoscaling.knative.dev/initial-scale": "2"}), KSVC, META + ".annotations",
        {"autoscaling.knative.dev/initial-scale": "2"},
    ),
    "an initial scale of none where Knative does not allow it": (
        annotated(**{"autoscaling.knative.dev/initial-scale": "0"}), KSVC, META + ".annotations",
        {"autoscaling.knative.dev/initial-scale": None},
    ),
    "an initial scale of none where Knative allows it": (
        {**annotated(**{"autoscaling.knative.dev/initial-scale": "0"}), "starts_at_zero": True},
        KSVC, META + ".annotations", {"autoscaling.knative.dev/initial-scale": "0"},
    ),
    "an initial scale that is no number": (
        annotated(**{"autoscaling.knative.dev/initial-scale": "some"}), KSVC,
        META + ".annotations", {"autoscaling.knative.dev/initial-scale": None},
    ),
    "an initial scale that is longer than any number of Knative's": (
        annotated(**{"autoscaling.knative.dev/initial-scale": "9" * 5000}), KSVC,
        META + ".annotations", {"autoscaling.knative.dev/initial-scale": None},
    ),
    "annotations of the Knative Service itself": (
        annotated(**{"serving.knative.dev/rollout-duration": "60s", "mine": "x"}), KSVC, "",
        {"metadata": {"annotations": {"serving.knative.dev/rollout-duration": "60s",
                                      "mine": None}},
         "spec": {"template": {"metadata": {"annotations": {
             "serving.knative.dev/rollout-duration": None, "mine": "x"}}}}},
    ),
    "visibility is the Knative Service's and not the revision's": (
        {"metadata": {"labels": {"networking.knative.dev/visibility": "cluster-local"}}}, KSVC, "",
        {"metadata": {"labels": {"networking.knative.dev/visibility": "cluster-local"}},
         "spec": {"template": {"metadata": {"labels": {
             "networking.knative.dev/visibility": None}}}}},
    ),
    "a service of the cluster alone has hosts of the cluster alone": (
        {"metadata": {"labels": {"networking.knative.dev/visibility": "cluster-local"}}},
        "VirtualService iris", "spec",
        {"hosts": ["iris.ml.svc.cluster.local"],
         "gateways": ["knative-serving/knative-local-gateway", "mesh"]},
    ),
    "time and concurrency are the revision's": (
        predictor(timeout=9, containerConcurrency=2), KSVC, POD,
        {"timeoutSeconds": 9, "responseStartTimeoutSeconds": 9, "containerConcurrency": 2},
    ),
    "the newest revision is tagged where that is asked for": (
        annotated(**{"serving.kserve.io/enable-tag-routing": "true"}), KSVC, "spec.traffic",
        [{"latestRevision": True, "percent": 100, "tag": "latest"}],
    ),
    "a share counts from the second revision on": (
        predictor(canaryTrafficPercent=10), KSVC, "spec.traffic",
        [{"latestRevision": True, "percent": 100}],
    ),
    "the newest revision's share, and the rest to the one before": (
        {**predictor(canaryTrafficPercent=10), "status": {"components": {"predictor": {
            "latestRolledoutRevision": "iris-predictor-00001"}}}},
        KSVC, "spec.traffic",
        [{"latestRevision": True, "percent": 10},
         {"revisionName": "iris-predictor-00001", "percent": 90, "tag": "prev"}],
    ),
    "no VirtualService where a virtual host is switched off": (
        {"config": {"ingress": {"disableIstioVirtualHost": True}}}, "VirtualService iris", "",
        None,
    ),
    "a name inside the cluster by way of the local gateway": (
        {}, "Service iris", "spec",
        {"type": "ExternalName",
         "externalName": "knative-local-gateway.istio-system.svc.cluster.local"},
    ),
}  # fmt: skip

ROWS = [
    pytest.param(set_up, *row, id=f"{set_up}: {sentence}")
    for set_up, rows in (
        (GATEWAY, STANDARD), (GATEWAY, COMPONENTS), (PLAIN, AS_INGRESS), (KNATIVE, AS_KNATIVE),
    )
    for sentence, row in rows.items()
]  # fmt: skip


def shortcomings(found: Any, expected: Any, path: str = "") -> list[str]:
    """Where what was found does not have what is expected; None: is not there."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            short
            for key, value in expected.items()
            for short in shortcomings(found.get(key), value, f"{path}.{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = zip(found, expected, strict=True)
        return [s for i, (a, b) in enumerate(pairs) for s in shortcomings(a, b, f"{path}.{i}")]
    return [] if found == expected else [f"{path}: {found!r} and not {expected!r}"]


@pytest.mark.parametrize(("set_up", "patch", "name", "path", "expected"), ROWS)
def test_objects_have(set_up, patch, name, path, expected):
    found = make_objects(patch, set_up).get(name)
    for step in filter(None, path.split(".")):
        found = found[int(step)] if isinstance(found, list) else (found or {}).get(step)
    assert not shortcomings(found, expected), f"{name} {path}"
