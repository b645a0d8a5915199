"""The table of resources that a store keeps and an API server serves.

The registry knows the *shape* of each resource (names, scope, columns), not what it means.
`sampan.api.scheme` fills one with KServe's kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sampan.machinery.errors import FieldError, NotFound

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object as decoded: the form in which objects are stored and sent."""


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of `Table` output (CRD `additionalPrinterColumns`)."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The answer of admission: the object as defaulted, warnings, and every mistake found."""

    obj: JsonObject
    warnings: tuple[str, ...] = ()
    errors: tuple[FieldError, ...] = ()
    denied: str = ""
    """Non-empty: refused by a rule that upstream answers from its webhook (HTTP 403); the text."""
    causes: tuple[FieldError, ...] = ()
    """With `denied`: the broken rules one by one, with their paths, for the answer's details."""


Admit: TypeAlias = "Callable[[JsonObject, JsonObject | None, AdmissionContext], Admitted]"
"""`(new, old or None on create, context) -> Admitted`: defaulting, then validation. Pure."""


@dataclass(frozen=True, slots=True)
class AdmissionContext:
    """What admission may know besides the object."""

    configuration: Mapping[str, str] = field(default_factory=dict)
    """`data` of the ConfigMap `inferenceservice-config`; empty when there is none."""
    neighbours: tuple[JsonObject, ...] = ()
    """For resources with `sees_neighbours`: the stored objects of the same namespace."""


@dataclass(frozen=True, slots=True)
class DeleteGuard:
    """What a resource says to a delete. Both are pure.

    `users` returns resource id, namespace and name of the objects that it asks about; `refuse` gets
    those of them that are there, and returns why the object may not go; empty: it may.
    """

    users: Callable[[JsonObject], tuple[tuple[str, str, str], ...]]
    refuse: Callable[[JsonObject, tuple[JsonObject, ...]], str]


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource: `group/version/plural` and how it behaves.

    `schema` returns its OpenAPI v3 (structural) schema, built when first asked for.
    `unknown` lists unknown fields of an object as dotted paths with a suggestion, for
    `fieldValidation=Strict|Warn`.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    status_subresource: bool = False
    generation: bool = True
    columns: tuple[Column, ...] = ()
    admit: Admit | None = None
    schema: Callable[[], JsonObject] | None = None
    unknown: Callable[[JsonObject], list[FieldError]] | None = None
    sees_neighbours: bool = False
    """Whether `admit` compares an object with the others of its namespace."""
    read_only: bool = False
    """A view computed by the server (pods of replicas), never stored."""
    delete_guard: DeleteGuard | None = None
    older: tuple[OlderVersion, ...] = ()
    """Further versions that are served; all are stored as this one."""

    @property
    def id(self) -> str:
        """The store's name for the resource: `plural.group`, or `plural` for the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class OlderVersion:
    """A resource in another version than the stored one, and the way from one to the other.

    `resource` has the same id, with this version's schema and admission. Neither way loses
    anything: `to_older(to_stored(obj)) == obj`, and back.
    """

    resource: Resource
    to_stored: Callable[[JsonObject], JsonObject]
    to_older: Callable[[JsonObject], JsonObject]


class Registry:
    """Resources by id and by kind. Immutable after construction."""

    def __init__(self, resources: tuple[Resource, ...]) -> None:
        self._by_id = {r.id: r for r in resources}
        served = (v for r in resources for v in (r, *(o.resource for o in r.older)))
        self._by_kind = {(r.api_version, r.kind): r for r in served}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_id.values())

    def __contains__(self, resource_id: object) -> bool:
        return resource_id in self._by_id

    def get(self, resource_id: str) -> Resource:
        """Return the resource with this id; raise NotFound."""
        try:
            return self._by_id[resource_id]
        except KeyError:
            raise NotFound(f'no resource "{resource_id}" is served here') from None

    def for_object(self, obj: Mapping[str, Any]) -> Resource | None:
        """Return the resource of an object's apiVersion and kind, in that version, or None."""
        return self._by_kind.get((str(obj.get("apiVersion")), str(obj.get("kind"))))

    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Return every served `(apiVersion, kind)`."""
        return tuple(self._by_kind)
