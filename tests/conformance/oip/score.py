"""Scores Sampan, KServe and MLServer side by side: `python -m tests.conformance.oip.score [FILE]`.

Each peer runs in an environment of its own, built once by uv and kept, with the same model and its
defaults. Writes the table to FILE (default docs/reference/conformance.md).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.iris import model_folder
from bench.peers import KSERVE, PEER_SKLEARN, peer_python
from bench.setting import Setting
from tests.conformance.oip.run import Outcome, load_cases, run_case

MLSERVER = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", *KSERVE[1:])
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "conformance.md"


def start_sampan(folder: Path, port: int, grpc_port: int) -> subprocess.Popen[bytes]:
    """Start this server."""
    ports = [f"--http_port={port}", f"--grpc_port={grpc_port}"]
    served = [f"--model_dir={folder}", "--model_name=iris", *ports]
    return _start([sys.executable, "-m", "sampan.app.serve", *served])


def start_kserve(folder: Path, port: int, grpc_port: int) -> subprocess.Popen[bytes]:
    """Start KServe's SDK with the sklearn model that the benchmarks use."""
    ports = [f"--http_port={port}", f"--grpc_port={grpc_port}"]
    served = [f"--model_dir={folder}", "--model_name=iris", *ports]
    return _start([peer_python(Setting(), KSERVE), str(PEER_SKLEARN), *served])


def start_mlserver(folder: Path, port: int, grpc_port: int) -> subprocess.Popen[bytes]:
    """Start MLServer with its sklearn runtime, in one process."""
    settings = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(folder / "model.joblib")},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    program = Path(peer_python(Setting(), MLSERVER)).with_name("mlserver")
    ports = {"HTTP": port, "GRPC": grpc_port, "METRICS": free_port()}
    variables = {f"MLSERVER_{name}_PORT": str(value) for name, value in ports.items()}
    variables |= {"MLSERVER_HOST": "127.0.0.1", "MLSERVER_PARALLEL_WORKERS": "0"}
    return _start([str(program), "start", str(folder)], **variables)


SERVERS = {
    "Sampan": start_sampan,
    "KServe 0.21.0": start_kserve,
    "MLServer 1.7.1": start_mlserver,
}


def free_port() -> int:
    """Return a port that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(command: list[str], **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def score(name: str) -> list[Outcome]:
    """Start a server, ask it everything, end it."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shutil.copy(model_folder(Setting()) / "model.joblib", folder)
        port, grpc_port = free_port(), free_port()
        process = SERVERS[name](folder, port, grpc_port)
        try:
            base = f"http://127.0.0.1:{port}"
            _wait(base, process)
            grpc = f"127.0.0.1:{grpc_port}"
            return [run_case(base, case, grpc) for case in load_cases("iris")]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _wait(base: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{base}/v2/models/iris/ready", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    raise SystemExit(f"{base} never became ready; exit code {process.poll()}")


def render(scores: dict[str, list[Outcome]]) -> str:
    """Return the page."""
    lines = [
        "# Conformance",
        "",
        "What servers answer to the cases of `tests/conformance/oip/cases.yaml`, each with the",
        "same iris classifier and its defaults (MLServer with one process). Written by",
        "`make conformance`; `make conformance URL=http://... GRPC=HOST:PORT` asks any other",
        "server. What a peer does not speak at all fails here too: MLServer has no V1, and its",
        "metrics stand at a port of their own.",
        "",
        "| group | " + " | ".join(scores) + " |",
        "|---|" + "---|" * len(scores),
    ]
    first = next(iter(scores.values()))
    for group in [*dict.fromkeys(outcome.case["group"] for outcome in first), ""]:
        cells = []
        for outcomes in scores.values():
            asked = [o for o in outcomes if group in {"", o.case["group"]}]
            cells.append(f"{sum(not o.wrong for o in asked)} of {len(asked)}")
        lines.append(f"| {group or '**all**'} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| case | group | asked for by | " + " | ".join(scores) + " |",
        "|---|---|---|" + "---|" * len(scores),
    ]
    for index, outcome in enumerate(first):
        case = outcome.case
        marks = ["no" if outcomes[index].wrong else "yes" for outcomes in scores.values()]
        told = f"| {case['name']} | {case['group']} | {case['source']} | "
        lines.append(told + " | ".join(marks) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Score all and write the page."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    scores = {}
    for name in SERVERS:
        sys.stderr.write(f"asking {name}\n")
        scores[name] = score(name)
    page.write_text(render(scores))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
