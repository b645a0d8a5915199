"""The refusal of what is too large to be taken."""

from __future__ import annotations

from sampan.machinery.errors import ApiError


class RequestTooLarge(ApiError):
    """A body, or an object that it would make, over the limit."""

    code, reason = 413, "RequestEntityTooLarge"
