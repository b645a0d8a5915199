"""Triton: the runtime's declaration, and what its arguments and folder become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sampan.runtimes.declaration import (
    CAPACITY_ARGUMENTS,
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    Container,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.serving import Offer, Order
from sampan.runtimes.triton.autoconfig import DEFAULT_MAX_BATCH_SIZE
from sampan.runtimes.triton.model import Settings
from sampan.runtimes.triton.polling import USUAL_SECONDS, Poller
from sampan.runtimes.triton.routes import TritonApi
from sampan.runtimes.triton.shared_memory import SharedMemory
from sampan.runtimes.triton.store import MODES, TritonStore

_BATCH_SIZE = "default-max-batch-size"

RUNTIME = Runtime(
    name="kserve-tritonserver",
    server_type="tritonserver",
    formats=(
        ModelFormat("tensorrt", "8", priority=1, auto_select=True),
        ModelFormat("tensorflow", "1", priority=1, auto_select=True),
        ModelFormat("tensorflow", "2", priority=1, auto_select=True),
        ModelFormat("onnx", "1", priority=1, auto_select=True),
        ModelFormat("pytorch", "1"),
        ModelFormat("triton", "2", priority=1, auto_select=True),
    ),
    protocol_versions=("v2", "grpc-v2"),
    images=("nvidia/tritonserver", "kserve-tritonserver"),
    model="sampan.runtimes.triton.model:TritonModel",
    extensions=("config.pbtxt",),
    requirements=(*SERVER_REQUIREMENTS, "onnxruntime>=1.24"),
    package="",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.triton.runtime"),
    entry_arguments=("--runtime=triton", "--grpc_port=0"),
    container_arguments=(
        "tritonserver",
        "--model-store=/mnt/models",
        "--grpc-port=9000",
        "--http-port=8080",
        "--allow-grpc=true",
        "--allow-http=true",
    ),
    port_flags=("--http-port", "--grpc-port"),
    capacity_arguments=(*CAPACITY_ARGUMENTS, "--model_name={modelName}"),
    arguments="sampan.runtimes.triton.arguments:translate",
    server="sampan.runtimes.triton.runtime:make_offer",
    container=Container(
        image="nvcr.io/nvidia/tritonserver:23.05-py3", run_as_user=1000, prometheus_port="8002"
    ),
)


def make_offer(order: Order) -> Offer:
    """Return the models of a repository and Triton's interface; ValueError names a wrong option."""
    options = order.options
    mode = options.get("model-control-mode", "none")
    if mode not in MODES:
        raise ValueError(
            f'--model-control-mode is "{mode}", which is not served; use one of {", ".join(MODES)}'
        )
    stores: list[TritonStore] = []  # the models of a store ask the store that they are made for

    def infer(
        name: str, version: str, given: Mapping[str, Any], outputs: Sequence[str]
    ) -> Mapping[str, Any]:
        return stores[0].infer(name, version, given, outputs)

    memory = SharedMemory(allowed=_truth(options, "allow-shared-memory"))
    settings = Settings(
        trust=order.trust,
        strict=_truth(options, "strict-model-config")
        or _truth(options, "disable-auto-complete-config"),
        batch_size=_batch_size(options.get("backend-config", "")),
        memory=memory,
        infer=infer,
    )
    store = TritonStore(order.folder, order.model_name, settings, mode)
    stores.append(store)
    named = [name for name in options.get("load-model", "").split(",") if name]
    if mode == "explicit":
        store.register(None if named == ["*"] else named)
    elif named:
        raise ValueError(
            f'--load-model="{named[0]}" needs --model-control-mode=explicit; without it all load'
        )
    else:
        store.register(None)
    poller = Poller(store, _seconds(options)) if mode == "poll" else None
    return Offer(
        store.repository,
        TritonApi(store, memory),
        strict=_truth(options, "exit-on-error", usual=True),
        beside=poller.run if poller else None,
    )


def _seconds(options: Mapping[str, str]) -> float:
    """Return the seconds between two looks at the repository."""
    value = options.get("repository-poll-secs", str(USUAL_SECONDS))
    if not value.isdecimal() or not int(value):
        raise ValueError(f'--repository-poll-secs is "{value}"; give whole seconds, from 1')
    return float(value)


def _truth(options: Mapping[str, str], name: str, *, usual: bool = False) -> bool:
    value = options.get(name)
    return usual if value is None else value.lower() in {"true", "1"}


def _batch_size(text: str) -> int:
    """Return the default batch size that `--backend-config` may set, in any of its forms."""
    name, _, value = text.rpartition("=")
    if name.endswith(_BATCH_SIZE) and value.isdecimal():
        return int(value)
    return DEFAULT_MAX_BATCH_SIZE
