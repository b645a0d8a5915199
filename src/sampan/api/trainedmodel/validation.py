"""Which TrainedModels are allowed: KServe's rules (`trainedmodel_webhook.go`), in its order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sampan.api.admission import Mistake, judged, together, unreadable
from sampan.api.schema.definitions import schema_of
from sampan.api.schema.fields import completed_object
from sampan.api.schema.violations import violations
from sampan.machinery.quantity import parse_quantity
from sampan.machinery.registry import AdmissionContext, Admitted, JsonObject

SCHEMES = ("s3://", "gs://", "https://", "http://")
"""What the agent beside a server can download while the server runs."""

_NAME = "[a-zA-Z0-9_-]+"


def has_a_fitting_name(model: JsonObject) -> Iterator[Mistake]:
    """The name becomes part of a path of the server's API."""
    if not re.fullmatch(_NAME, _name(model)):
        yield Mistake(
            "metadata.name",
            f'the Trained Model "{_name(model)}" is invalid: a Trained Model name must consist of '
            "alphanumeric characters, '_', or '-'. (e.g. \"my-Name\" or \"abc_123\", regex used "
            f"for validation is '^{_NAME}$')",
        )


def lies_where_it_can_be_fetched(model: JsonObject) -> Iterator[Mistake]:
    """Not every place of a storageUri is one for a model that is loaded later."""
    uri = _source(model).get("storageUri", "")
    if not uri.startswith(SCHEMES):
        yield Mistake(
            "spec.model.storageUri",
            f'the Trained Model "{_name(model)}" storageUri field is invalid. The storage uri must '
            f"start with one of the prefixes: {', '.join(SCHEMES)}. (the storage uri given is "
            f'"{uri}")',
        )


def keeps_its_memory(model: JsonObject, old: JsonObject) -> Iterator[Mistake]:
    """A server's memory is shared out once."""
    before, after = _source(old).get("memory"), _source(model).get("memory")
    if before is None or after is None:
        return
    earlier, later = parse_quantity(before), parse_quantity(after)
    if earlier != later:
        yield Mistake(
            "spec.model.memory",
            f'the Trained Model "{_name(model)}" memory field is immutable. The memory was '
            f'"{earlier}" but it is updated to "{later}"',
        )


def validate_model(model: JsonObject, old: JsonObject | None) -> Iterator[Mistake]:
    """Yield every broken rule, in the order in which upstream looks."""
    yield from has_a_fitting_name(model)
    yield from lies_where_it_can_be_fetched(model)
    if old is not None:
        yield from keeps_its_memory(model, old)


def admit(obj: JsonObject, old: JsonObject | None, context: AdmissionContext) -> Admitted:
    """Check a model against its schema (422) and its rules (403)."""
    del context  # no rule reads the configuration
    schema = schema_of("TrainedModel")
    shaped = completed_object(schema, obj)
    broken = violations(schema, shaped)
    if broken:
        known = () if unreadable(broken) else validate_model(shaped, None)
        return Admitted(shaped, errors=together(broken, known))
    return judged(shaped, validate_model(shaped, old))


def _name(model: JsonObject) -> str:
    metadata = model["metadata"]
    return str(metadata.get("name") or metadata.get("generateName", ""))


def _source(model: JsonObject) -> JsonObject:
    source: JsonObject = (model.get("spec") or {}).get("model") or {}
    return source
