"""What a runtime declares of itself: enough to select it, build its environment and start it.

Plain values. A manifest (ServingRuntime) and the local image table are rendered from them, so a
framework is described in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

SERVER_REQUIREMENTS = (
    "numpy>=1.26",
    "orjson>=3.10",
    "httptools>=0.6.4",
    "uvloop>=0.21",
    "hpack>=4.0",
    "pysimdjson>=7.0.2",
)
"""What the model server itself needs, whatever the framework."""

SERVER_PRELOAD = (
    "numpy",
    "orjson",
    "httptools",
    "uvloop",
    "hpack",
    "simdjson",
    "sampan.app.serve",
    "sampan.server.grpc",
    "sampan.server.rest",
    "sampan.server.payloads",
    "sampan.wire.http2",
    "sampan.wire.listener",
)
"""What a zygote imports before it forks. None of them starts a thread or a loop."""

CAPACITY_ARGUMENTS = (
    "--container_concurrency={containerConcurrency}",
    "--enable_batcher={batcher}",
    "--max_batch_size={maxBatchSize}",
    "--max_latency={maxLatency}",
)
"""How our server is told what a service says of concurrency and batches."""


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """A supported model format. `priority` decides among runtimes that may be auto-selected."""

    name: str
    version: str = ""
    priority: int = 0
    auto_select: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    """What a runtime's container in a cluster has beyond its arguments; KServe's shipped values.

    An empty `image` is the first of the runtime's images, `latest`. `probe_path` is asked for
    readiness, and at the start for half an hour: large models load long. `shared_memory`: it
    gets a `/dev/shm` of its own, beyond the 64 MiB that containers have. `may_be_root`: the image
    runs as root, and would not start where that is forbidden.
    """

    image: str = ""
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    run_as_user: int | None = None
    prometheus_port: str = "8080"
    probe_path: str = ""
    shared_memory: bool = False
    may_be_root: bool = False


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime. `model` is the `module:attribute` of its Model class, resolved when it serves.

    `images` are the container images it stands for, without registry and tag; one without images
    is no ClusterServingRuntime, only a choice of `sampan serve`. `package` is the
    requirement that `runtimeVersion` pins. `http2` tells that its HTTP port speaks HTTP/2 without
    TLS, and gRPC. `multi_model` tells that a folder of folders is served. `arguments` names the
    function that turns the arguments of the server that it stands for into ours, and `server` the
    one that makes all that is served (`sampan.runtimes.serving`); empty: one `model` a folder.
    """

    name: str
    server_type: str
    formats: tuple[ModelFormat, ...]
    protocol_versions: tuple[str, ...]
    images: tuple[str, ...]
    model: str
    extensions: tuple[str, ...]
    requirements: tuple[str, ...]
    package: str
    preload: tuple[str, ...]
    argv: tuple[str, ...] = ("{python}", "-m", "sampan.app.serve")
    entry: str = "sampan.app.serve:fork_main"
    entry_arguments: tuple[str, ...] = ()
    container_arguments: tuple[str, ...] = (
        "--model_name={{.Name}}",
        "--model_dir=/mnt/models",
        "--http_port=8080",
    )
    port_flags: tuple[str, ...] = ("--http_port", "--grpc_port")
    http2: bool = True
    trust_arguments: tuple[str, ...] = ("--trust",)
    capacity_arguments: tuple[str, ...] = CAPACITY_ARGUMENTS
    health_path: str = "/v2/health/ready"
    multi_model: bool = True
    options: tuple[str, ...] = ()
    """Arguments of the server that the model takes as keywords: `nthread`."""
    api: str = ""
    """Routes beside KServe's (`server.rest.Api`): the `module:attribute` of what makes them."""
    forks: bool = True
    """Whether a loaded model lives on in forked workers; else there is one process."""
    arguments: str = ""
    server: str = ""
    programs: tuple[str, ...] = ()
    """The images' own programs: a container whose command is one of them runs what its image does
    without."""
    container: Container = Container()
