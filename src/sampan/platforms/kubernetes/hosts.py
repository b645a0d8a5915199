"""Under which host names a service and its components are reached from outside the cluster.

KServe, domain template: made of name, namespace and domain by the operator's template; the
cluster's own names are made by Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.plan.placeholders import make_metadata_root, render_text
from sampan.plan.service import labels_of
from sampan.plan.types import Component
from sampan.platforms.kubernetes.source import Source

CLUSTER_DOMAIN = "svc.cluster.local"
VISIBILITY = "networking.kserve.io/visibility"
KNATIVE_VISIBILITY = "networking.knative.dev/visibility"
CLUSTER_LOCAL = "cluster-local"


def make_host(source: Source, name: str, domain: str | None = None) -> str:
    """Return the host of a service or component by the operator's template."""
    metadata = {**source.service["metadata"], "name": name, "namespace": source.namespace}
    root = {**make_metadata_root(metadata), "IngressDomain": domain or source.config.ingress_domain}
    return render_text(source.config.domain_template, root)


def make_cluster_host(source: Source, name: str) -> str:
    """Return the host of a Service inside the cluster."""
    return f"{name}.{source.namespace}.{CLUSTER_DOMAIN}"


def make_path(source: Source) -> str:
    """Return the path that stands for the service at the domain itself, "" where none is set."""
    if not source.config.path_template:
        return ""
    root = make_metadata_root({**source.service["metadata"], "namespace": source.namespace})
    return render_text(source.config.path_template, root)


def is_internal(source: Source, label: str) -> bool:
    """Return whether a service is not meant to be reached from outside the cluster."""
    hidden = labels_of(source.service).get(label) == CLUSTER_LOCAL
    return hidden or source.config.ingress_domain == CLUSTER_DOMAIN


def component_route_name(source: Source, component: Component) -> str:
    """Return the name of a component's route: its host does not change with `predictor.name`."""
    return f"{source.name}-{component.value}"


def kept_annotations(source: Source) -> Mapping[str, str]:
    """Return the service's annotations, without those that stay with the service."""
    kept_back = source.config.annotations_kept_back
    annotations = source.service["metadata"].get("annotations") or {}
    return {k: v for k, v in annotations.items() if k not in kept_back}


def kept_labels(source: Source) -> Mapping[str, str]:
    """Return the service's labels, without those that are about its visibility."""
    kept_back = source.config.labels_kept_back
    return {k: v for k, v in source.plan.labels.items() if k not in kept_back}


def identity_headers(source: Source) -> dict[str, str]:
    """Return the headers that tell a model server which service was asked."""
    return {"KServe-Isvc-Name": source.name, "KServe-Isvc-Namespace": source.namespace}
