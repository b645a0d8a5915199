"""Unary gRPC calls a second, by h2load: HTTP/2 connections with several streams at a time each."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from bench.processes import find_command
from bench.setting import CannotMeasure

_HEADERS = ("-Hcontent-type: application/grpc", "-Hte: trailers")


def frame(message: bytes) -> bytes:
    """Return a message as gRPC frames it: not compressed, its length in four bytes."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def run_h2load(url: str, message: bytes, seconds: int, answer_bytes: int) -> float:
    """Repeat a call over 4 connections of 4 streams; return how many a second were answered.

    `answer_bytes` is the least size of a right answer: gRPC says 200 to what fails as well, but
    then there is no message. CannotMeasure without h2load; RuntimeError when a call failed.
    """
    h2load = find_command("h2load")
    if h2load is None:
        raise CannotMeasure(
            "h2load is not installed; get it with: apt-get install -y nghttp2-client"
        )
    with tempfile.NamedTemporaryFile() as body:
        Path(body.name).write_bytes(frame(message))
        run = [h2load, "-t1", "-c4", "-m4", f"-D{seconds}", "--warm-up-time=1", f"-d{body.name}"]
        command = [*run, *_HEADERS, url]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return read_report(out, answer_bytes)


def read_report(out: str, answer_bytes: int) -> float:
    """Return the rate that h2load printed; RuntimeError for failed calls."""
    rate = re.search(r"^finished in .*, ([\d.]+) req/s", out, re.MULTILINE)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
    size = re.search(r"\((\d+)\) data$", out, re.MULTILINE)
    if rate is None or counts is None or size is None:
        raise RuntimeError(f"h2load says nothing that can be read: {out[-300:]}")
    succeeded, *rest = (int(count) for count in counts.groups())
    if not succeeded or any(rest):
        raise RuntimeError(f"not every call was answered well: {counts[0]}")
    if int(size[1]) < succeeded * answer_bytes:
        raise RuntimeError(
            f"{succeeded} calls brought {size[1]} bytes of messages; a right answer has "
            f"{answer_bytes}, so some of them failed"
        )
    return float(rate[1])
