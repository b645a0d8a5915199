"""What a client accepts, and which of our forms that is (Kubernetes, "Alternate representations").

Pure. Forms: plain JSON, YAML, `Table`, `PartialObjectMetadata`; for discovery the aggregated
documents. Clients that ask for protobuf first list JSON behind it, and get JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sampan.machinery.errors import ApiError

META_GROUP = "meta.k8s.io"
DISCOVERY_GROUP = "apidiscovery.k8s.io"


class NotAcceptable(ApiError):
    """None of the media types asked for is served."""

    code, reason = 406, "NotAcceptable"


class Form(StrEnum):
    """How an object is shown."""

    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"
    AGGREGATED = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The form chosen, the version of its API group, and whether it is written as YAML."""

    form: Form = Form.OBJECT
    version: str = "v1"
    yaml: bool = False


PLAIN = Accepted()
_AS = {
    ("Table", META_GROUP): Form.TABLE,
    ("PartialObjectMetadata", META_GROUP): Form.METADATA,
    ("PartialObjectMetadataList", META_GROUP): Form.METADATA,
    ("APIGroupDiscoveryList", DISCOVERY_GROUP): Form.AGGREGATED,
}
_VERSIONS = {Form.AGGREGATED: ("v2",)}


def negotiate(accept: str, forms: frozenset[Form]) -> Accepted:
    """Return the first acceptable form of `forms` (plain JSON always is); raise NotAcceptable."""
    for clause in accept.split(",") if accept.strip() else ["*/*"]:
        chosen = _accepted(clause, forms)
        if chosen is not None:
            return chosen
    raise NotAcceptable(
        "only the following media types are accepted: application/json, application/yaml; "
        f'"{accept}" names none of them'
    )


def _accepted(clause: str, forms: frozenset[Form]) -> Accepted | None:
    name, *rest = [part.strip() for part in clause.split(";")]
    if name.lower() not in ("application/json", "application/yaml", "*/*", "application/*"):
        return None
    parameters = dict(part.partition("=")[::2] for part in rest)
    if "as" not in parameters:
        return Accepted(yaml=name.lower() == "application/yaml")
    form = _AS.get((parameters["as"], parameters.get("g", "")))
    version = parameters.get("v", "v1")
    if form not in forms or version not in _VERSIONS.get(form, ("v1",)):
        return None
    return Accepted(form, version)
