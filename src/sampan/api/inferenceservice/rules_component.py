"""Rules that hold for each component: one implementation, replicas, logger, and its scaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sampan.api.admission import Mistake
from sampan.api.inferenceservice.implementation import (
    CUSTOM,
    components,
    env_value,
    implementations,
)
from sampan.api.inferenceservice.review import Review
from sampan.api.inferenceservice.rules_scaling import scales_rightly
from sampan.machinery.registry import JsonObject

CHOICES: Mapping[str, tuple[str, str]] = {
    "predictor": (
        "PredictorSpec",
        (
            "SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, LightGBM, "
            "Paddle, Model, StorageUris, StorageContainerName, WorkerSpec, PodSpec"
        ),
    ),
    "transformer": ("TransformerSpec", "PodSpec, ComponentExtensionSpec"),
    "explainer": ("ExplainerSpec", "ART, PodSpec, ComponentExtensionSpec"),
}
"""What upstream lists for a component, by the names of its Go fields."""

_LOGGER_MODES = ("all", "request", "response")


def implements_each_component(review: Review) -> Iterator[Mistake]:
    """Each component has one implementation, sound settings and a scaling that its mode knows."""
    for name, component in components(review.service):
        found = implementations(name, component)
        if len(found) != 1:
            yield Mistake(f"spec.{name}", one_implementation_text(name))
        yield from keeps_its_settings_sound(f"spec.{name}", name, component)
        yield from scales_rightly(review.annotations, f"spec.{name}", component)


def keeps_its_settings_sound(path: str, name: str, component: JsonObject) -> Iterator[Mistake]:
    """What a component says of its protocol, replicas and logger can be meant."""
    if name == "predictor" and implementations(name, component)[:1] == [CUSTOM]:
        yield from _custom_protocol(path, component)
    yield from _extension(path, component)


def one_implementation_text(name: str) -> str:
    """Return upstream's sentence about none or several implementations."""
    kind, choices = CHOICES[name]
    return f"exactly one of [{choices}] must be specified in {kind}"


def _custom_protocol(path: str, component: JsonObject) -> Iterator[Mistake]:
    protocol = env_value(component["containers"][0], "PROTOCOL")
    if protocol is not None and protocol not in ("v1", "v2"):
        # The two places of upstream's text are filled the wrong way round; clients may match it.
        text = f"invalid protocol v1, v2. Must be one of [{protocol}]"
        yield Mistake(f"{path}.containers[0].env", text)


def _extension(path: str, component: JsonObject) -> Iterator[Mistake]:
    concurrency = component.get("containerConcurrency")
    if concurrency is not None and concurrency < 0:
        yield Mistake(f"{path}.containerConcurrency", "parallelism cannot be less than 0")
    yield from _replicas(path, component)
    yield from _logger(f"{path}.logger", component.get("logger"))


def _replicas(path: str, component: JsonObject) -> Iterator[Mistake]:
    fewest, most = component.get("minReplicas", 1), component.get("maxReplicas", 0)
    if fewest < 0:
        yield Mistake(f"{path}.minReplicas", "'MinReplicas' cannot be less than 0")
    if most < 0:
        yield Mistake(f"{path}.maxReplicas", "'MaxReplicas' cannot be less than 0")
    elif most and fewest > most:
        yield Mistake(f"{path}.minReplicas", "'MinReplicas' cannot be greater than MaxReplicas")


def _logger(path: str, logger: JsonObject | None) -> Iterator[Mistake]:
    if logger is None:
        return
    if logger.get("mode", "") not in _LOGGER_MODES:
        yield Mistake(f"{path}.mode", "invalid logger type")
    storage = logger.get("storage")
    if storage is not None and not all(storage.get(f) for f in ("path", "parameters", "key")):
        yield Mistake(f"{path}.storage", "invalid logger storage configuration")
