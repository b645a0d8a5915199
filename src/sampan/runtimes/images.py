"""The local image table, rendered from the declarations: image to local command. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sampan.runtimes.declaration import (
    CAPACITY_ARGUMENTS,
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    Runtime,
)
from sampan.runtimes.explainers import all_explainers
from sampan.runtimes.explainers.declaration import Explainer
from sampan.runtimes.modelmesh.runtime import IMAGE as MODELMESH_IMAGE
from sampan.runtimes.modelmesh.runtime import RUNTIME as MODELMESH
from sampan.runtimes.vllm import render_vllm_images

ROUTER: dict[str, Any] = {
    "image": "kserve/router",
    "argv": ["{python}", "-m", "sampan.app.route", "--shutdown-delay=0"],
    "requirements": [
        "orjson>=3.10",
        "httptools>=0.6.4",
        "uvloop>=0.21",
        "hpack>=4.0",
        "numpy>=1.26",  # tensors of who asks by gRPC; not loaded before
    ],
    "preload": ["orjson", "httptools", "uvloop", "hpack", "sampan.app.route"],
    "entry": "sampan.app.route:fork_main",
    "entryArguments": ["--shutdown-delay=0"],
    "healthPath": "/readyz",
    "portFlags": ["--port"],
    "http2": True,
}
"""The router of an InferenceGraph, which serves no model. The gateway lets go of a replica before
it stops, so none has to wait for that."""

_OWN_MODEL: dict[str, Any] = {
    "requirements": [*SERVER_REQUIREMENTS, "httpx>=0.27"],  # a model may ask another service
    "preload": list(SERVER_PRELOAD),
    "healthPath": "/v2/health/ready",
    "portFlags": ["--http_port", "--grpc_port"],
    "http2": True,
}
OWN_MODELS: tuple[dict[str, Any], ...] = (
    {
        "image": "sampan/modelserver",
        "argv": ["{python}", "-m", "sampan.app.serve", "--grpc_port=0"],
        "entry": "sampan.app.serve:fork_main",
        "entryArguments": ["--grpc_port=0"],
        "capacityArguments": list(CAPACITY_ARGUMENTS),
        **_OWN_MODEL,
    },
    {"image": "sampan/program", "argv": ["{python}", "-m", "sampan.kserve"], **_OWN_MODEL},
)
"""What serves a person's own Python: `FILE.py:CLASS`, or a program that serves by itself. Its
packages are the service's (`serving.sampan.dev/requirements`)."""


def render_images(runtimes: Iterable[Runtime]) -> dict[str, Any]:
    """Return the document `{"images": [...]}` that the local platform reads."""
    known = [_entry(runtime, image) for runtime in runtimes for image in runtime.images]
    explaining = [_explainer(one, image) for one in all_explainers() for image in one.images]
    many = _entry(MODELMESH, MODELMESH_IMAGE)
    return {"images": [*known, *render_vllm_images(), *explaining, many, *OWN_MODELS, ROUTER]}


def _explainer(explainer: Explainer, image: str) -> dict[str, Any]:
    own = [f"--explainer={explainer.name}", "--grpc_port=0", *explainer.arguments]
    return {
        "image": image,
        "argv": ["{python}", "-m", "sampan.app.explain", *own],
        "requirements": list(explainer.requirements),
        "package": explainer.package,
        "preload": list(explainer.preload),
        "entry": "sampan.app.explain:fork_main",
        "entryArguments": own,
        "healthPath": "/v2/health/ready",
        "portFlags": ["--http_port", "--grpc_port"],
        "http2": True,
    }


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
        **({"programs": list(runtime.programs)} if runtime.programs else {}),
    }
