"""The same objects as a Helm chart: files by their path. Pure.

What Helm 3 cannot do decides its form. A file of a chart has at most 5 MiB and a release, which
holds the chart and what became of it, at most 1 MiB packed: so definitions are no templates, stand
in `crds/` a file each, and without blanks. Helm creates these and leaves them alone ever after,
so that no service goes with an uninstalled chart. It makes objects of kinds that it does not know,
runtimes among them, after webhooks: so these begin with `Ignore`, until the operator answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sampan.installation.bundle import make_bundle, make_definitions, render_yaml
from sampan.installation.options import Options
from sampan.machinery.registry import JsonObject
from sampan.webhooks.configurations import MUTATING_KIND, VALIDATING_KIND

OBJECTS, ACTIVATORS, NOTES = (
    f"templates/{name}" for name in ("sampan.yaml", "activators.yaml", "NOTES.txt")
)
_NAMESPACE, _IMAGE = "sampan-namespace-value", "sampan-image-value"
_REPLICAS, _ACTIVATORS = 990_990, 880_880
_VALUES = {
    _NAMESPACE: "{{ .Release.Namespace }}",
    _IMAGE: "{{ .Values.image }}",
    str(_REPLICAS): "{{ .Values.replicas }}",
    str(_ACTIVATORS): "{{ .Values.activators }}",
}
"""What stands in an object where a chart's value comes, and how a chart asks for it."""

_WANTED, _END = "{{ if .Values.activators }}", "{{ end }}"
_NOTES = """\
Sampan {{ .Chart.AppVersion }} serves InferenceServices of this cluster.

  kubectl -n {{ .Release.Namespace }} rollout status deployment/sampan-operator

Before an upgrade apply the new chart's definitions, which Helm leaves alone:

  kubectl apply --server-side --force-conflicts -f crds/

Before uninstalling: sampan install --handover nobody
"""


def make_chart(options: Options, runtimes: Iterable[JsonObject], version: str) -> Mapping[str, str]:
    """Return the files of a chart. Its namespace is the release's, made by Helm."""
    chart = {
        "apiVersion": "v2",
        "name": "sampan",
        "description": "Model serving with KServe's API",
        "type": "application",
        "kubeVersion": ">=1.30.0-0",
        "version": version,
        "appVersion": version,
    }
    objects, activators = _make_objects(options, runtimes)
    return {
        "Chart.yaml": render_yaml([chart]),
        "values.yaml": _render_values(options),
        "values.schema.json": json.dumps(_SCHEMA, indent=2) + "\n",
        **{f"crds/{d['metadata']['name']}.yaml": _pack(d) for d in make_definitions(options)},
        OBJECTS: _with_argument(_template(render_yaml(objects))),
        ACTIVATORS: f"{_WANTED}\n{_template(render_yaml(activators))}{_END}\n",
        NOTES: _NOTES,
    }


def _make_objects(
    options: Options, runtimes: Iterable[JsonObject]
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the objects of every release, and those that only one with activators has."""
    given = replace(options, namespace=_NAMESPACE, image=_IMAGE, replicas=_REPLICAS)
    plain = [_deferred(o) for o in make_bundle(replace(given, activators=0), runtimes)]
    known = {_name(o) for o in plain}
    more = make_bundle(replace(given, activators=_ACTIVATORS), ())
    own = [o for o in plain if o["kind"] not in {"CustomResourceDefinition", "Namespace"}]
    return own, [o for o in more if _name(o) not in known]


def _name(obj: JsonObject) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


def _deferred(obj: JsonObject) -> JsonObject:
    """Return a webhook configuration as one that nobody has to hear yet; others as they are."""
    if obj["kind"] not in {MUTATING_KIND, VALIDATING_KIND}:
        return obj
    return {**obj, "webhooks": [{**w, "failurePolicy": "Ignore"} for w in obj["webhooks"]]}


def _with_argument(text: str) -> str:
    """Return the templates with the operator's argument that there are activators."""
    argument = r"^( *)- --health-port=\S+\n"
    told = rf"\g<0>\g<1>{_WANTED}- --activator{_END}\n"
    return re.sub(argument, told, text, count=1, flags=re.MULTILINE)


def _pack(definition: JsonObject) -> str:
    return json.dumps(definition, separators=(",", ":")) + "\n"


def _template(text: str) -> str:
    """Return a text as a template that gives it, with the values in their places.

    KServe's own settings hold `{{ .Name }}`, which is the operator's to fill in, not Helm's.
    """
    text = text.replace("{{", "{{ " + json.dumps("{{") + " }}")
    for value, asked in _VALUES.items():
        text = text.replace(value, asked)
    return text


def _render_values(options: Options) -> str:
    return (
        f"# The operator's image; the activators' too.\nimage: {options.image}\n"
        f"# How many operators stand by; one acts.\nreplicas: {options.replicas}\n"
        "# What wakes services that scale to zero without Knative; 0: none, and no right for it.\n"
        f"activators: {options.activators}\n"
    )


_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "replicas", "activators"],
    "properties": {
        "image": {"type": "string", "minLength": 1},
        "replicas": {"type": "integer", "minimum": 1},
        "activators": {"type": "integer", "minimum": 0},
        "global": {"type": "object"},
    },
}
