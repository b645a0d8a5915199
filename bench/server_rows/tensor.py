"""One image of 3 x 224 x 224 FP32 in a V2 request: as JSON, and as binary tensor data."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.ask import JSON, Ask
from bench.row import Goal, Row, make_row
from bench.server_rows.rounds import CONNECTIONS, measure_rounds
from bench.servers import KSERVE_FILE_NAME, kserve_file, ours_file, serving
from bench.setting import Setting

SHAPE = [1, 3, 224, 224]
SCORES = 1000  # as bench/models/image.py answers
PATH = "/v2/models/image/infer"


def as_json(setting: Setting) -> Iterator[Row]:
    """Numbers as text: what `image.tolist()` gives."""
    yield _row("V2 JSON, 3x224x224 FP32", setting, make_json_ask())


def as_binary(setting: Setting) -> Iterator[Row]:
    """Raw numbers after the JSON, both ways."""
    yield _row("V2 binary, 3x224x224 FP32", setting, make_binary_ask())


def _row(name: str, setting: Setting, ask: Ask) -> Row:
    both = ours_file(setting, "image.py"), kserve_file(setting, "image.py")
    with serving(setting, ask, *both) as sides:
        rounds = measure_rounds(setting, ask, sides, CONNECTIONS)
    rates = rounds.values(lambda load: load.rate)
    told = (
        f"{rounds.note}; a body of {len(ask.body) / 1e6:.1f} MB, 1000 scores back in the same form"
    )
    return make_row(name, "requests/s", *rates, Goal(ratio=5), peer_is=KSERVE_FILE_NAME, note=told)


def make_json_ask() -> Ask:
    """Return the request as JSON."""
    image = _image()
    tensor = {"name": "image", "shape": SHAPE, "datatype": "FP32", "data": image.tolist()}

    def check(answer: bytes) -> None:
        _check(json.loads(answer)["outputs"][0]["data"], image[:SCORES].tolist())

    return Ask(PATH, json.dumps({"inputs": [tensor]}).encode(), JSON, check)


def make_binary_ask() -> Ask:
    """Return the request as binary tensor data, whose answer is asked for in the same form."""
    image = _image()
    parameters = {"binary_data_size": image.nbytes}
    tensor = {"name": "image", "shape": SHAPE, "datatype": "FP32", "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = (
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", str(len(head))),
    )

    def check(answer: bytes) -> None:
        _check(answer[-4 * SCORES :], image[:SCORES].tobytes())

    return Ask(PATH, head + image.tobytes(), headers, check)


def _image():
    import numpy as np

    size = SHAPE[1] * SHAPE[2] * SHAPE[3]
    return np.random.default_rng(0).random(size, dtype=np.float32)


def _check(given: object, wanted: object) -> None:
    if given != wanted:
        raise RuntimeError(f"wrong scores {str(given)[:200]}; expected {str(wanted)[:200]}")
