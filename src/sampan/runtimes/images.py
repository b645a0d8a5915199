"""The local image table, rendered from the declarations: image to local command. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sampan.runtimes.declaration import Runtime


def render_images(runtimes: Iterable[Runtime]) -> dict[str, Any]:
    """Return the document `{"images": [...]}` that the local platform reads."""
    return {"images": [_entry(runtime, image) for runtime in runtimes for image in runtime.images]}


def _entry(runtime: Runtime, image: str) -> dict[str, Any]:
    return {
        "image": image,
        "argv": [*runtime.argv, *runtime.entry_arguments],
        "requirements": list(runtime.requirements),
        "package": runtime.package,
        "preload": list(runtime.preload),
        "entry": runtime.entry,
        "entryArguments": list(runtime.entry_arguments),
        "healthPath": runtime.health_path,
        "portFlags": list(runtime.port_flags),
        "trustArguments": list(runtime.trust_arguments),
        "capacityArguments": list(runtime.capacity_arguments),
        "http2": runtime.http2,
    }
