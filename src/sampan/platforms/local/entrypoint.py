"""Containers that name their image's own program: here the local command stands for it. Pure.

A runtime may spell its image's entrypoint out, as KServe's for TensorFlow Serving does
(`/usr/bin/tensorflow_model_server`). That is no command of this machine, but what the image would
have run anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.platforms.local.images import ImageTable


def drop_own_programs(template: Mapping[str, Any], images: ImageTable) -> Mapping[str, Any]:
    """Return a pod template whose containers leave their images' own programs to those.

    What followed the program in `command` comes before the arguments.
    """
    spec = template.get("spec") or {}
    containers = [_drop(container, images) for container in spec.get("containers") or ()]
    if containers == spec.get("containers"):
        return template
    return {**template, "spec": {**spec, "containers": containers}}


def _drop(container: Mapping[str, Any], images: ImageTable) -> Mapping[str, Any]:
    command = list(container.get("command") or ())
    known = images.find(str(container.get("image") or "")) if command else None
    if known is None or command[0] not in known.programs:
        return container
    rest = {name: value for name, value in container.items() if name != "command"}
    return {**rest, "args": [*command[1:], *(container.get("args") or ())]}
