"""ConfigMap: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject


class ConfigMap(CoreObject):
    """Settings as text, by key."""

    data: dict[str, str] | None = None
    """Texts by key."""
    binary_data: dict[str, str] | None = None
    """Bytes by key, in base64."""
    immutable: bool | None = None
    """Whether `data` and `binaryData` can never change."""
