"""The same objects as a Kustomize base and as a Helm chart: files by their path. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sampan.installation.bundle import KEEP, make_bundle, make_definitions, render_yaml
from sampan.installation.options import Options
from sampan.machinery.registry import JsonObject

_NAMESPACE, _IMAGE, _REPLICAS = "sampan-namespace-value", "sampan-image-value", 990_990
_VALUES = {
    _NAMESPACE: "{{ .Release.Namespace }}",
    _IMAGE: "{{ .Values.image }}",
    str(_REPLICAS): "{{ .Values.replicas }}",
}
"""What stands in an object where a chart's value comes, and how a chart asks for it."""

CRDS = "crds.yaml"
OBJECTS = "sampan.yaml"


def make_kustomize(options: Options, runtimes: Iterable[JsonObject]) -> Mapping[str, str]:
    """Return the files of a Kustomize base."""
    definitions, rest = _split(make_bundle(options, runtimes))
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [CRDS, OBJECTS],
    }
    return {
        "kustomization.yaml": render_yaml([kustomization]),
        CRDS: render_yaml(definitions),
        OBJECTS: render_yaml(rest),
    }


def make_chart(options: Options, runtimes: Iterable[JsonObject], version: str) -> Mapping[str, str]:
    """Return the files of a Helm chart. Its namespace is the release's, made by Helm.

    CustomResourceDefinitions are templates, so that they are upgraded, and stay on uninstall.
    """
    given = replace(options, namespace=_NAMESPACE, image=_IMAGE, replicas=_REPLICAS)
    _, rest = _split(make_bundle(given, runtimes))
    objects = [o for o in rest if o["kind"] != "Namespace"]
    chart = {
        "apiVersion": "v2",
        "name": "sampan",
        "description": "Model serving with KServe's API",
        "type": "application",
        "version": version,
        "appVersion": version,
    }
    kept = [_kept(d) for d in make_definitions(given)]
    return {
        "Chart.yaml": render_yaml([chart]),
        "values.yaml": render_yaml([{"image": options.image, "replicas": options.replicas}]),
        f"templates/{CRDS}": _template(render_yaml(kept)),
        f"templates/{OBJECTS}": _template(render_yaml(objects)),
    }


def _split(objects: Iterable[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    parts: tuple[list[JsonObject], list[JsonObject]] = ([], [])
    for obj in objects:
        parts[obj["kind"] != "CustomResourceDefinition"].append(obj)
    return parts


def _kept(definition: JsonObject) -> JsonObject:
    metadata = definition["metadata"]
    annotations = {**metadata.get("annotations", {}), KEEP: "keep"}
    return {**definition, "metadata": {**metadata, "annotations": annotations}}


def _template(text: str) -> str:
    """Return a text as a template that gives it, with the values in their places.

    KServe's own settings hold `{{ .Name }}`, which is the operator's to fill in, not Helm's.
    """
    text = text.replace("{{", "{{ " + json.dumps("{{") + " }}")
    for value, asked in _VALUES.items():
        text = text.replace(value, asked)
    return text
