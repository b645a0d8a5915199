"""Secret: the whole object."""

from __future__ import annotations

from pydantic import Field

from sampan.api.core_view import CoreObject


class Secret(CoreObject):
    """Values that only their readers may see; they stay out of every `repr`."""

    data: dict[str, str] | None = Field(default=None, repr=False)
    """Values by key, in base64."""
    string_data: dict[str, str] | None = Field(default=None, repr=False)
    """Values by key, as text; written only, and merged into `data`."""
    type: str | None = None
    """What the values are for: `Opaque`, `kubernetes.io/dockerconfigjson` and so on."""
    immutable: bool | None = None
    """Whether the values can never change."""
