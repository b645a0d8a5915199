"""All objects of an installation, in the order in which they are applied. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sampan.api.schema.crds import render_crd
from sampan.api.schema.definitions import definitions
from sampan.api.schema.derive_all import derive_own
from sampan.api.scheme import GROUP, REGISTRY
from sampan.installation.activator import make_activator
from sampan.installation.configuration import make_configuration, make_storage_container
from sampan.installation.options import WEBHOOK_SERVICE, Options
from sampan.installation.rights import CONVERTED, make_roles
from sampan.installation.workload import make_namespace, make_workload
from sampan.machinery.registry import JsonObject
from sampan.webhooks.configurations import Place, make_configurations
from sampan.webhooks.paths import CONVERT


def make_bundle(options: Options, runtimes: Iterable[JsonObject]) -> list[JsonObject]:
    """Return everything for a cluster without KServe; `runtimes` are the shipped ones.

    For some namespaces alone: what can be made with rights on these, so neither the namespaces nor
    the definitions; the runtimes are those of each namespace.
    """
    if options.watched:
        return [
            make_configuration(options),
            *_make_namespaced(runtimes, options),
            *make_operator(options),
        ]
    return [
        make_namespace(options),
        *make_definitions(options),
        make_configuration(options),
        make_storage_container(),
        *runtimes,
        *make_operator(options),
    ]


def make_operator(options: Options) -> list[JsonObject]:
    """Return what a cluster with KServe lacks: the operator, its rights and its webhooks."""
    place = Place(options.namespace, WEBHOOK_SERVICE)
    if options.watched:
        return [*make_roles(options), *make_workload(options)]
    return [
        *make_roles(options),
        *make_workload(options),
        *make_activator(options),
        *make_configurations(REGISTRY, place),
    ]


def make_definitions(options: Options) -> list[JsonObject]:
    """Return the CustomResourceDefinitions of KServe's kinds."""
    own = frozenset(derive_own())
    resources = [r for r in REGISTRY if r.group == GROUP]
    made = [render_crd(r, definitions(), own) for r in resources]
    return [_converted(d, options) if d["metadata"]["name"] in CONVERTED else d for d in made]


def _make_namespaced(runtimes: Iterable[JsonObject], options: Options) -> Iterator[JsonObject]:
    """Yield each runtime as one of each namespace."""
    for runtime in runtimes:
        for place in options.watched:
            metadata = {**runtime["metadata"], "namespace": place}
            yield {**runtime, "kind": "ServingRuntime", "metadata": metadata}


def _converted(definition: JsonObject, options: Options) -> JsonObject:
    service = {"namespace": options.namespace, "name": WEBHOOK_SERVICE, "path": CONVERT}
    webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
    conversion = {"strategy": "Webhook", "webhook": webhook}
    return {**definition, "spec": {**definition["spec"], "conversion": conversion}}


def render_yaml(objects: Iterable[JsonObject]) -> str:
    """Return objects as one text of YAML documents, without anchors: not every reader has them."""
    import yaml

    class Plain(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # a class all the same
        """Writes shared parts out."""

        def ignore_aliases(self, data: object) -> bool:
            """Write no anchor for anything."""
            del data
            return True

    return str(yaml.dump_all(objects, Dumper=Plain, sort_keys=False, width=100))
