"""What a multi-model runtime says of the processes that hold its models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """`capacity` is bytes of models in memory, `loading` how many are loaded side by side, and
    `timeout_seconds` how long each may take.
    """

    capacity: int = 0
    loading: int = 1
    timeout_seconds: float = 90.0
