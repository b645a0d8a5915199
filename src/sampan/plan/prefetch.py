"""Whether the model of a service that sleeps is kept at hand: on the disk, and in memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sampan.plan.rollout_settings import PREFETCH
from sampan.plan.service import annotations_of


def is_prefetched(service: Mapping[str, Any]) -> bool:
    """Return whether the annotation asks for it."""
    return annotations_of(service).get(PREFETCH, "").lower() == "true"


def prefetch_warnings(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield `(path, sentence)` where the annotation has no effect."""
    text = annotations_of(service).get(PREFETCH, "false")
    if text.lower() not in ("true", "false"):
        sentence = f'"{text}" is neither "true" nor "false" and counts as "false"'
        yield f'metadata.annotations["{PREFETCH}"]', sentence
