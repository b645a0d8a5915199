"""Hugging Face: the runtime's declaration, and the model that its arguments name."""

from __future__ import annotations

from sampan.runtimes.declaration import (
    SERVER_PRELOAD,
    SERVER_REQUIREMENTS,
    Container,
    ModelFormat,
    Runtime,
)
from sampan.runtimes.huggingface.model import HuggingfaceModel
from sampan.runtimes.huggingface.settings import make_settings
from sampan.runtimes.serving import Offer, Order
from sampan.server.load_failure import LoadFailure
from sampan.server.openai import OpenAIApi
from sampan.server.repository import ModelRepository

RUNTIME = Runtime(
    name="kserve-huggingfaceserver",
    server_type="huggingfaceserver",
    formats=(ModelFormat("huggingface", "1", priority=1, auto_select=True),),
    protocol_versions=("v2", "v1"),
    images=("kserve/huggingfaceserver", "huggingfaceserver"),
    model="sampan.runtimes.huggingface.model:HuggingfaceModel",
    extensions=("config.json",),
    requirements=(
        *SERVER_REQUIREMENTS,
        "torch>=2.6",
        "transformers>=4.57",
        "sentencepiece>=0.2",
        "protobuf>=4",
    ),
    package="transformers",
    preload=(*SERVER_PRELOAD, "sampan.runtimes.huggingface.runtime"),  # torch starts threads
    entry_arguments=("--runtime=huggingface", "--grpc_port=0", "--model_dir=/mnt/models"),
    container_arguments=("--model_name={{.Name}}",),
    multi_model=False,
    forks=False,
    arguments="sampan.runtimes.huggingface.settings:translate",
    server="sampan.runtimes.huggingface.runtime:make_offer",
    container=Container(
        image="kserve/huggingfaceserver:latest",
        env=(("LMCACHE_USE_EXPERIMENTAL", "True"),),
        shared_memory=True,
    ),
)


def make_offer(order: Order) -> Offer:
    """Return the model that the arguments name, and OpenAI's routes to it; LoadFailure."""
    try:
        settings = make_settings(order.options)
    except ValueError as error:
        raise LoadFailure("ModelIncompatible", str(error)) from None
    repository = ModelRepository()
    repository.update(
        HuggingfaceModel(order.model_name, str(order.folder), trust=order.trust, settings=settings)
    )
    return Offer(repository, OpenAIApi(repository))
