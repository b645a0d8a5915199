"""The image that runs, from the runtime's, the version asked for, and whether there is a GPU."""

from __future__ import annotations

import pytest

from sampan.plan.image import make_image, wants_gpu

CASES = {
    "a tag is kept": ("a/b:1", "", "sklearnserver", False, "a/b:1"),
    "no tag is added": ("a/b", "", "sklearnserver", False, "a/b"),
    "the version replaces the tag": ("a/b:1", "2.0", "sklearnserver", False, "a/b:2.0"),
    "the version is added where there is no tag": ("a/b", "2.0", "", False, "a/b:2.0"),
    "a registry's port is no tag": ("host:5000/a/b", "2.0", "", False, "host:5000/a/b:2.0"),
    "a digest is left alone": ("a/b@sha256:ab", "2.0", "torchserve", True, "a/b@sha256:ab"),
    "a GPU asks for the GPU tag": ("a/b:1", "", "huggingfaceserver", True, "a/b:1-gpu"),
    "of TensorFlow too": ("a/b:1", "", "tensorflow-serving", True, "a/b:1-gpu"),
    "of TorchServe too": ("a/b:1", "", "torchserve", True, "a/b:1-gpu"),
    "of no other server": ("a/b:1", "", "sklearnserver", True, "a/b:1"),
    "of none without a server type": ("a/b:1", "", "", True, "a/b:1"),
    "a GPU tag is not doubled": ("a/b:1-gpu", "", "torchserve", True, "a/b:1-gpu"),
    "no GPU, no GPU tag": ("a/b:1", "", "torchserve", False, "a/b:1"),
    "without a tag there is no GPU tag": ("a/b", "", "torchserve", True, "a/b"),
    "the version decides even with a GPU": ("a/b:1", "2", "torchserve", True, "a/b:2"),
    "vLLM without a GPU has its own repository": (
        "vllm/vllm-openai:v1",
        "",
        "vllmserver",
        False,
        "vllm/vllm-openai-cpu:v1",
    ),
    "which is not doubled": (
        "vllm/vllm-openai-cpu:v1",
        "",
        "vllmserver",
        False,
        "vllm/vllm-openai-cpu:v1",
    ),
    "and is not used with a GPU": (
        "vllm/vllm-openai:v1",
        "",
        "vllmserver",
        True,
        "vllm/vllm-openai:v1",
    ),
    "nor with a version": ("vllm/vllm-openai:v1", "v2", "vllmserver", False, "vllm/vllm-openai:v2"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_image(case):
    image, version, server_type, gpu, expected = case
    assert make_image(image, version, server_type, gpu=gpu) == expected


GPUS = {
    "an NVIDIA GPU in the limits": ({"limits": {"nvidia.com/gpu": "1"}}, True),
    "a slice of one": ({"limits": {"nvidia.com/mig-1g.5gb": 1}}, True),
    "a request alone does not count": ({"requests": {"nvidia.com/gpu": "1"}}, False),
    "another maker's does not count": ({"limits": {"amd.com/gpu": "1"}}, False),
    "processors are none": ({"limits": {"cpu": "1"}}, False),
    "no limits": ({}, False),
}


@pytest.mark.parametrize("case", GPUS.values(), ids=GPUS.keys())
def test_gpu(case):
    resources, expected = case
    assert wants_gpu({"resources": resources}) is expected


def test_a_container_without_resources_wants_no_gpu():
    assert not wants_gpu({"name": "kserve-container"})
