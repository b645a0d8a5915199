"""ServiceAccount: the whole object."""

from __future__ import annotations

from sampan.api.core_view import CoreObject
from sampan.machinery.registry import JsonObject


class ServiceAccount(CoreObject):
    """Whose credentials the processes of a service use."""

    secrets: list[JsonObject] | None = None
    """Secrets that its processes may use, by reference."""
    image_pull_secrets: list[JsonObject] | None = None
    """Secrets with which images are pulled."""
    automount_service_account_token: bool | None = None
    """Whether its token is mounted into pods."""
