"""CustomResourceDefinitions of KServe's kinds, from the same schemas that admission asks.

Pure, and only run when manifests are generated. Descriptions are kept for KServe's own fields;
those of Kubernetes's types, which `kubectl explain pod.spec` has, would triple the files.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api.schema.inline import inlined
from sampan.machinery.registry import Column, JsonObject, Resource

_OWN_KEYWORDS = ("x-sampan-", "$")
"""Keywords that only Sampan reads: a cluster would refuse them."""


def render_crd(
    resource: Resource, definitions: Mapping[str, JsonObject], own: frozenset[str]
) -> JsonObject:
    """Return the CRD of a resource. `definitions` are by type name, `own` names KServe's types."""
    names: JsonObject = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.id},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [
                *(_version(o.resource, definitions, own, stored=False) for o in resource.older),
                _version(resource, definitions, own, stored=True),
            ],
        },
    }


def _version(
    resource: Resource, definitions: Mapping[str, JsonObject], own: frozenset[str], *, stored: bool
) -> JsonObject:
    name = resource.kind if stored else older_definition(resource)
    schema = _Renderer(definitions, own).type(name)
    # The API server has its own schema of metadata, and allows no other in a CRD.
    schema["properties"]["metadata"] = {"type": "object"}
    schema.pop("required", None)
    version: JsonObject = {
        "name": resource.version,
        "served": True,
        "storage": stored,
        "schema": {"openAPIV3Schema": schema},
    }
    if resource.columns:
        version["additionalPrinterColumns"] = [_column(column) for column in resource.columns]
    if resource.status_subresource:
        version["subresources"] = {"status": {}}
    return version


def older_definition(resource: Resource) -> str:
    """Return the name of the definition of a kind in an older version, such as `XV1alpha1`."""
    return f"{resource.kind}{resource.version.capitalize()}"


def _column(column: Column) -> JsonObject:
    shown: JsonObject = {"name": column.name, "jsonPath": column.json_path, "type": column.type}
    return {**shown, "priority": column.priority} if column.priority else shown


class _Renderer:
    """Expands references and inlined types, and leaves out what a CRD has no place for."""

    def __init__(self, definitions: Mapping[str, JsonObject], own: frozenset[str]) -> None:
        self._definitions = definitions
        self._own = own

    def type(self, name: str) -> JsonObject:
        """Return the schema of a type."""
        return self._part(self._definitions[name], told=name in self._own)

    def _part(self, schema: JsonObject, *, told: bool) -> JsonObject:
        kept = {k: v for k, v in schema.items() if not k.startswith(_OWN_KEYWORDS)}
        if not told:
            kept.pop("description", None)
        if "$ref" in schema:
            kept = {**self.type(schema["$ref"]), **kept}
        if "properties" in schema:
            own = {n: self._part(p, told=told) for n, p in schema["properties"].items()}
            kept["properties"] = {**self._inlined(schema, kept), **own}
        for keyword in ("items", "additionalProperties"):
            if isinstance(schema.get(keyword), dict):
                kept[keyword] = self._part(schema[keyword], told=told)
        return kept

    def _inlined(self, schema: JsonObject, kept: JsonObject) -> JsonObject:
        """Return the fields of the core types that belong to the type itself."""
        fields: JsonObject = {}
        for inline in schema.get("$inline", ()):
            taken, required = inlined(self.type(inline["core"]), inline)
            fields |= taken
            if required:
                kept["required"] = sorted(required | set(kept.get("required", ())))
        return fields
