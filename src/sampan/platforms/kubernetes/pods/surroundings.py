"""What a pod's mutation may know besides the pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sampan.machinery.errors import Forbidden
from sampan.platforms.kubernetes.pods.settings import PodSettings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The operator's settings, and the objects of the pod's namespace by their names.

    `service` is the InferenceService that the pod belongs to, where there is one.
    """

    settings: PodSettings = PodSettings()
    storage_containers: tuple[Mapping[str, Any], ...] = ()
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    accounts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    service: Mapping[str, Any] | None = None

    def secret(self, name: str, purpose: str) -> Mapping[str, Any]:
        """Return a Secret that a pod cannot do without; raise Forbidden."""
        found = self.secrets.get(name)
        if found is None:
            raise Forbidden(f'secrets "{name}" not found: {purpose}; create it, or name another')
        return found
