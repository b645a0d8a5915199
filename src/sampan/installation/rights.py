"""What the operator may do in a cluster, right by right, each with its reason. Pure.

Nothing is granted by `*`. Secrets are read by name only, never listed: whose they are is decided
by the pods and ServiceAccounts that name them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sampan.api.scheme import REGISTRY
from sampan.installation.options import OPERATOR, Options
from sampan.machinery.registry import JsonObject

RBAC = "rbac.authorization.k8s.io"
READ = ("get", "list", "watch")
OWN = (*READ, "create", "patch", "delete")
"""What is done to objects that the operator makes: server-side apply is `patch`, and `create`."""


@dataclass(frozen=True, slots=True)
class Right:
    """A rule of a role. `names`: of these objects alone. `here`: in the operator's namespace.

    `whole`: of the whole cluster's objects, or for webhooks, which are the whole cluster's.
    """

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    reason: str
    names: tuple[str, ...] = ()
    here: bool = False
    whole: bool = False

    def rule(self) -> JsonObject:
        """Return it as Kubernetes writes it."""
        made: JsonObject = {
            "apiGroups": [self.group],
            "resources": list(self.resources),
            "verbs": list(self.verbs),
        }
        return {**made, "resourceNames": list(self.names)} if self.names else made


SERVING = "serving.kserve.io"
REGISTRATION = "admissionregistration.k8s.io"
CONVERTED = tuple(sorted(resource.id for resource in REGISTRY if resource.older))
"""The CustomResourceDefinitions of kinds that are served in two versions."""

RIGHTS: tuple[Right, ...] = (
    Right(SERVING, ("inferenceservices", "inferencegraphs"), READ, "what is to be served"),
    Right(
        SERVING,
        ("inferenceservices",),
        ("update",),
        "a finalizer, where models of a service have to go before it",
    ),
    Right(
        SERVING,
        ("inferenceservices/status", "inferencegraphs/status"),
        ("update",),
        "what has become of it, written once a change",
    ),
    Right(
        SERVING,
        ("servingruntimes",),
        READ,
        "what serves",
    ),
    Right(
        SERVING,
        ("clusterservingruntimes", "clusterstoragecontainers"),
        READ,
        "what serves and what downloads, of the whole cluster",
        whole=True,
    ),
    Right(
        SERVING,
        ("trainedmodels",),
        (*READ, "update", "delete"),
        "models that share a server: labels, a finalizer; they go with the service they belong to",
    ),
    Right(
        SERVING,
        ("trainedmodels/status",),
        ("update",),
        "whether such a model is served, and where",
    ),
    Right(
        SERVING,
        (
            "llminferenceserviceconfigs",
            "llminferenceservices",
            "localmodelcaches",
            "localmodelnamespacecaches",
            "localmodelnodegroups",
        ),
        ("get", "list"),
        "what a verdict on such an object compares it with",
        whole=True,
    ),
    Right("apps", ("deployments",), OWN, "the pods of a component in Standard mode"),
    Right("", ("services",), OWN, "the name under which a component is found"),
    Right(
        "",
        ("configmaps",),
        ("get", "create", "patch", "delete"),
        "the list of models of a server that has several, and certificates of one's own",
    ),
    Right("autoscaling", ("horizontalpodautoscalers",), OWN, "replicas by load"),
    Right("networking.k8s.io", ("ingresses",), OWN, "routes, where no Gateway API is used"),
    Right(
        "networking.k8s.io",
        ("networkpolicies",),
        OWN,
        "who may send requests to a service that is annotated with it",
    ),
    Right(
        "policy",
        ("poddisruptionbudgets",),
        OWN,
        "how many pods of a service that is annotated with it stay while nodes are drained",
    ),
    Right("gateway.networking.k8s.io", ("httproutes",), OWN, "routes, by the Gateway API"),
    Right("keda.sh", ("scaledobjects",), OWN, "replicas by metrics, where KEDA is"),
    Right(
        "opentelemetry.io",
        ("opentelemetrycollectors",),
        OWN,
        "the metrics of pods for KEDA, where the OpenTelemetry operator is",
    ),
    Right("serving.knative.dev", ("services",), OWN, "components in Knative mode"),
    Right("networking.istio.io", ("virtualservices",), OWN, "routes in Knative mode"),
    Right("", ("pods",), READ, "why a component is not ready; restarts and exit codes"),
    Right(
        "",
        ("secrets", "serviceaccounts"),
        ("get",),
        "the credentials that a pod of a service names, for its download",
    ),
    Right("", ("events",), ("get", "create", "update"), "what happened, for who looks"),
    Right(
        "",
        ("configmaps",),
        READ,
        "the configuration: inferenceservice-config",
        here=True,
    ),
    Right(
        "coordination.k8s.io",
        ("leases",),
        ("create",),
        "which of several operators acts",
        here=True,
    ),
    Right(
        "coordination.k8s.io",
        ("leases",),
        ("get", "update"),
        "the same, of the one Lease",
        names=(OPERATOR,),
        here=True,
    ),
    Right(
        "",
        ("secrets",),
        ("create",),
        "the webhooks' certificate, made once",
        here=True,
        whole=True,
    ),
    Right(
        "",
        ("secrets",),
        ("update",),
        "the same, renewed before its end",
        names=("sampan-webhook-certificate",),
        here=True,
        whole=True,
    ),
    Right(
        REGISTRATION,
        ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
        ("get", "update"),
        "whom the API server is to trust at the webhooks",
        names=("sampan",),
        whole=True,
    ),
    Right(
        "apiextensions.k8s.io",
        ("customresourcedefinitions",),
        ("get", "update"),
        "the same, for the conversion of objects of two versions",
        names=CONVERTED,
        whole=True,
    ),
)


def make_roles(options: Options) -> tuple[JsonObject, ...]:
    """Return the roles and the bindings that give them to the operator's ServiceAccount."""
    if options.watched:
        return tuple(_make_namespaced_roles(options))
    return make_cluster_roles(RIGHTS, OPERATOR, options)


def make_cluster_roles(
    rights: tuple[Right, ...], name: str, options: Options
) -> tuple[JsonObject, ...]:
    """Return roles of these rights, and the bindings that give them to a ServiceAccount."""
    everywhere = [r.rule() for r in rights if not r.here]
    here = [r.rule() for r in rights if r.here]
    inside = {"namespace": options.namespace}
    return (
        _object("ClusterRole", {}, {"rules": everywhere}, name),
        _object("ClusterRoleBinding", {}, _bound("ClusterRole", options, name), name),
        _object("Role", inside, {"rules": here}, name),
        _object("RoleBinding", inside, _bound("Role", options, name), name),
    )


def _make_namespaced_roles(options: Options) -> Iterator[JsonObject]:
    """Yield a role and its binding in each namespace: nothing that is of the whole cluster."""
    granted = [right for right in RIGHTS if not right.whole]
    for place in dict.fromkeys((*options.watched, options.namespace)):
        inside = {"namespace": place}
        rules = [r.rule() for r in granted if not r.here and place in options.watched]
        rules += [r.rule() for r in granted if r.here and place == options.namespace]
        yield _object("Role", inside, {"rules": rules})
        yield _object("RoleBinding", inside, _bound("Role", options))


def _object(kind: str, metadata: JsonObject, parts: JsonObject, name: str = OPERATOR) -> JsonObject:
    metadata = {"name": name, **metadata, "labels": {"app.kubernetes.io/name": "sampan"}}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, **parts}


def _bound(kind: str, options: Options, name: str = OPERATOR) -> JsonObject:
    subject = {"kind": "ServiceAccount", "name": name, "namespace": options.namespace}
    return {
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [subject],
    }
