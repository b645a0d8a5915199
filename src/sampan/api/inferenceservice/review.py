"""What a rule of InferenceService sees, and how it speaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sampan.api.admission import Mistake
from sampan.api.config import Config
from sampan.machinery.registry import JsonObject


@dataclass(frozen=True, slots=True)
class Review:
    """A defaulted service under review, and what it was before (None on create)."""

    service: JsonObject
    old: JsonObject | None
    config: Config

    @property
    def name(self) -> str:
        """The service's name, or the prefix that its name will be made from."""
        metadata = self.service["metadata"]
        return str(metadata.get("name") or metadata.get("generateName", ""))

    @property
    def annotations(self) -> dict[str, str]:
        """The service's annotations."""
        found: dict[str, str] = self.service["metadata"].get("annotations", {})
        return found

    @property
    def predictor(self) -> JsonObject:
        """The predictor's spec."""
        found: JsonObject = self.service["spec"]["predictor"]
        return found

    def invalid(self, path: str, text: str) -> Mistake:
        """Return a mistake in the form that names the service."""
        return Mistake(path, f"the InferenceService {json.dumps(self.name)} is invalid: {text}")


Rule: TypeAlias = Callable[[Review], Iterator[Mistake]]
"""Yields each mistake that it finds; nothing where the rule is kept or does not apply."""
