"""KServe's TensorFlow samples, run for real: the YAML as it is but for `storageUri`.

Their photographs and digits are not here: the models have the same names, inputs and outputs. Those
that ask for a GPU run on the processor where there is none, as a warning says.
"""

from __future__ import annotations

import base64
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Sampan
from tests.runtimes import sample_place
from tests.runtimes.test_upstream_samples import SAMPLES, needs_shared

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-tensorflow")
pytestmark = [pytest.mark.timeout(900), needs_shared, pytest.mark.filterwarnings("ignore")]

NAMES = sorted(name for name, engine in SAMPLES.items() if engine == "tensorflow")
PACKED = ("tensorflow-from-uri-6938ae", "tensorflow-from-uri-gzip-d35cc6")
MISSING = {
    "cifar10-4cd363": "kserve/alibi-explainer:v0.12.1",
    "mnist-923455": "kserve/mnist-transformer:latest",
    "mnist-93c18a": "kserve/mnist-transformer:latest",
}
"""What a sample's conditions name, because it is not here."""
REFUSED = {"flowers-sample-46704c": 'Unsupported value: \\"qps\\"'}
"""What KServe's own schema refuses of a sample, and so does Sampan."""
BATCH = 4
"""So many are served at once: each holds TensorFlow."""


class Flowers(tf.Module):
    """The species of a photograph by its mean colour: as KServe's model, asked with a key."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "image_bytes"), tf.TensorSpec([None], tf.string, "key")
        ]
    )  # fmt: skip
    def look(self, image_bytes, key):
        def colours(image):
            pixels = tf.io.decode_image(image, 3, tf.float32, expand_animations=False)
            return tf.reduce_mean(pixels, [0, 1])

        means = tf.map_fn(colours, image_bytes, tf.float32)
        scores = tf.nn.softmax(tf.concat([means, -means], 1) * 9)
        return {"scores": scores, "prediction": tf.argmax(scores, 1), "key": key}


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flowers")
    model = Flowers()
    tf.saved_model.save(model, folder / "1", {"serving_default": model.look})
    return folder


@pytest.fixture(scope="module")
def packed(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = tmp_path_factory.mktemp("packed") / "model_artifacts.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(flowers / "1", "1")
    return archive


@pytest.fixture(scope="module")
def sampan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampan]:
    with sample_place.shipped(tmp_path_factory.mktemp("sampan")) as installation:
        yield installation


def photograph() -> dict[str, Any]:
    """Return the documented request: a picture, and a key that comes back."""
    red = tf.io.encode_png(tf.constant([[[255, 0, 0]] * 4] * 4, tf.uint8)).numpy()
    image = {"b64": base64.b64encode(red).decode()}
    return {"instances": [{"image_bytes": image, "key": "   1"}]}


@pytest.mark.parametrize("first", range(0, len(NAMES), BATCH))
def test_samples_run_unmodified_but_for_the_place_of_their_model(
    first: int, sampan: Sampan, flowers: Path, packed: Path
) -> None:
    served = {}
    for name in NAMES[first : first + BATCH]:
        uri = str(packed if name in PACKED else flowers)
        placed = sample_place.place_model(sample_place.sample(name), uri)
        if name in REFUSED:
            with pytest.raises(AssertionError, match=re.escape(REFUSED[name])):
                sample_place.apply(sampan, placed, f"n-{name}")
            continue
        served[name] = sample_place.apply(sampan, placed, f"n-{name}")
    for name, service in served.items():
        if name in MISSING:
            service.wait_told(MISSING[name])
            continue
        service.wait_ready(200)
        (told,) = service.ask(f"/v1/models/{service.name}:predict", photograph())["predictions"]
        assert (told["prediction"], told["key"]) == (0, "   1")
        assert len(told["scores"]) == 6
        assert sum(told["scores"]) == pytest.approx(1, abs=1e-5)
    for service in served.values():
        service.delete()
