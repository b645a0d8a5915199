"""The same objects as a Kustomize base: files by their path. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sampan.installation.bundle import make_bundle, render_yaml
from sampan.installation.options import Options
from sampan.machinery.registry import JsonObject

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


def _split(objects: Iterable[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    parts: tuple[list[JsonObject], list[JsonObject]] = ([], [])
    for obj in objects:
        parts[obj["kind"] != "CustomResourceDefinition"].append(obj)
    return parts
