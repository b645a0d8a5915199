"""What `sampan install` prints, as objects."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.app.bootstrap import shipped_runtimes
from sampan.installation.bundle import make_bundle
from sampan.installation.options import Options


@pytest.fixture(scope="session")
def bundle() -> list[dict[str, Any]]:
    return make_bundle(Options(), shipped_runtimes())


@pytest.fixture(scope="session")
def operator_metrics() -> str:
    """What `/metrics` of an operator says that has done everything once."""
    from sampan.app.operator import OperatorProcess
    from sampan.app.operator_arguments import parse
    from sampan.operator.connection import Connection
    from sampan.wire.message import Request

    connection = Connection(None)  # type: ignore[arg-type]  # nobody is asked
    connection.calls["GET", "pods"] += 1
    process = OperatorProcess(parse([]), connection)
    process.operator.work.took("inferenceservices", 0.1, True)
    process.took_review("/mutate-pods", 0.1)
    answers: list[bytes] = []
    process.health.submit(
        Request(b"GET", b"/metrics", [], b""), lambda response: answers.append(response.body)
    )
    return answers[0].decode()


@pytest.fixture(scope="session")
def activator_metrics(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `/metrics` of an activator says after a cold start."""
    from sampan.app.activator import ActivatorProcess
    from sampan.app.activator_arguments import parse
    from sampan.operator.connection import Connection
    from sampan.wire.message import Request

    connection = Connection(None)  # type: ignore[arg-type]  # nobody is asked
    folder = tmp_path_factory.mktemp("gw")
    process = ActivatorProcess(parse([f"--folder={folder}"]), connection)
    process.activation.cold_starts.note("ml/iris-predictor", (0.1,) * 5)
    answers: list[bytes] = []
    process.health.submit(
        Request(b"GET", b"/metrics", [], b""), lambda response: answers.append(response.body)
    )
    return answers[0].decode()
