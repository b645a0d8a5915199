"""What a person names on the command line: resource words, `kind/name`, namespaces."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from sampan.cli.client import ApiClient, JsonObject
from sampan.cli.output import CliError

SERVICES = "/apis/serving.kserve.io/v1beta1"
GRAPHS = "/apis/serving.kserve.io/v1alpha1"
GRAPH = "ig/"
"""Before the name of an InferenceGraph where a service's name may stand as well."""


@dataclass(frozen=True, slots=True)
class Target:
    """A resource as discovery lists it, and the names asked for (none: all)."""

    resource: JsonObject
    names: tuple[str, ...] = ()

    def path(self, namespace: str, name: str = "") -> str:
        """Return the REST path of the collection or of one object."""
        return object_path(self.resource, namespace, name)


def object_path(resource: JsonObject, namespace: str, name: str = "") -> str:
    """Return `/api/v1/namespaces/{ns}/{plural}[/{name}]` or its `/apis/...` form."""
    version = resource["groupVersion"]
    root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    scope = f"/namespaces/{namespace}" if resource["namespaced"] and namespace else ""
    return f"{root}{scope}/{resource['name']}" + (f"/{name}" if name else "")


def object_name(obj: JsonObject) -> str:
    """Return `kind.group/name`, as kubectl prints objects for `-o name`."""
    group, slash, _ = str(obj["apiVersion"]).partition("/")
    kind = str(obj["kind"]).lower() + (f".{group}" if slash else "")
    return f"{kind}/{obj['metadata']['name']}"


def service_path(namespace: str, name: str) -> str:
    """Return the REST path of an InferenceService, or of the InferenceGraph `ig/NAME`."""
    if name.startswith(GRAPH):
        return f"{GRAPHS}/namespaces/{namespace}/inferencegraphs/{name.removeprefix(GRAPH)}"
    return f"{SERVICES}/namespaces/{namespace}/inferenceservices/{name}"


def service_name(word: str) -> str:
    """Return the name in `NAME`, `isvc/NAME` or `inferenceservice/NAME`; of a graph `ig/NAME`."""
    kind, slash, name = word.partition("/")
    if slash and kind.lower() in {"ig", "inferencegraph", "inferencegraphs"}:
        return f"{GRAPH}{name}"
    if slash and kind.lower() not in {"isvc", "inferenceservice", "inferenceservices"}:
        raise CliError(f'"{word}" is not an InferenceService; name one as NAME or isvc/NAME', 2)
    return name if slash else word


def find_targets(client: ApiClient, words: Sequence[str]) -> list[Target]:
    """Return what `isvc iris`, `isvc,cm`, `isvc/iris cm/x` mean, as kubectl reads them."""
    if not words:
        raise CliError("which kind of object? for example `sampan get isvc`", 2)
    if any("/" in word for word in words):
        return [_slashed(client, word) for word in words]
    kinds = [kind for w in words[0].split(",") if w for kind in _kinds(client, w)]
    if len(kinds) > 1 and len(words) > 1:
        raise CliError("names cannot be given for several kinds at once; use kind/name", 2)
    return [Target(kind, tuple(words[1:])) for kind in kinds]


def _kinds(client: ApiClient, word: str) -> list[JsonObject]:
    """Return the resources of a category (`all`), else the one resource that the word means."""
    found = [r for r in client.resources() if word in r.get("categories", ())]
    return found or [find_resource(client, word)]


def find_named(client: ApiClient, words: Sequence[str]) -> list[Target]:
    """Return what `iris`, `isvc iris`, `ig/chain` mean: a word alone names an InferenceService."""
    if len(words) == 1 and "/" not in words[0]:
        return [Target(find_resource(client, "inferenceservices"), (words[0],))]
    targets = find_targets(client, words)
    for target in targets:
        if not target.names:
            raise CliError(f"which {target.resource['name']}? give a name", 2)
    return targets


def _slashed(client: ApiClient, word: str) -> Target:
    kind, slash, name = word.partition("/")
    if not slash or not kind or not name:
        raise CliError(
            f'"{word}": give every argument as kind/name, or kind first and then names', 2
        )
    return Target(find_resource(client, kind), (name,))


def find_resource(client: ApiClient, word: str) -> JsonObject:
    """Return the resource that a word means; raise CliError with the nearest one."""
    words: dict[str, JsonObject] = {}
    for resource in client.resources():
        group = (
            resource["groupVersion"].partition("/")[0] if "/" in resource["groupVersion"] else ""
        )
        spoken = {resource["name"], resource["kind"].lower(), resource.get("singularName", "")}
        spoken |= set(resource.get("shortNames", ()))
        spoken |= {f"{resource['name']}.{group}"} if group else set()
        for form in spoken - {""}:
            words.setdefault(form, resource)
    if word.lower() in words:
        return words[word.lower()]
    near = difflib.get_close_matches(word.lower(), words, n=1)
    hint = f'did you mean "{near[0]}"?' if near else "see `kubectl api-resources`"
    raise CliError(f'the server has no resource type "{word}"; {hint}')
