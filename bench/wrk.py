"""Requests a second and latencies over HTTP/1.1, by wrk, which is quicker than any side."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.ask import Ask
from bench.processes import find_command
from bench.setting import CannotMeasure

_SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency)
  io.write(string.format("95 percent within %d us\\n", latency:percentile(95)))
end
"""
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """What one run of wrk tells: requests, how many a second, latencies in milliseconds."""

    requests: int
    rate: float
    p50: float
    p95: float
    p99: float


def run_wrk(address: str, ask: Ask, connections: int, seconds: int) -> Load:
    """Repeat a POST for so long.

    CannotMeasure without wrk; RuntimeError when any request was not answered 2xx.
    """
    wrk = find_command("wrk")
    if wrk is None:
        raise CannotMeasure("wrk is not installed; get it with: apt-get install -y wrk")
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "post.lua"
        body.write_bytes(ask.body)
        headers = (f'wrk.headers["{name}"] = "{value}"' for name, value in ask.headers)
        script.write_text(_SCRIPT.format(body=body, headers="\n".join(headers)))
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout=20s"]
        command += [f"-s{script}", address + ask.path]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return read_report(out)


def read_report(out: str) -> Load:
    """Return what wrk printed; RuntimeError for refused requests, or for what cannot be read."""
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
    if refused:
        raise RuntimeError(f"not every request was answered well: {refused[0]}")
    count = re.search(r"^\s+(\d+) requests in ", out, re.MULTILINE)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    late = re.search(r"^95 percent within (\d+) us$", out, re.MULTILINE)
    if count is None or rate is None or late is None:
        raise RuntimeError(f"wrk says nothing that can be read: {out[-300:]}")
    halves = _latency(out, 50), int(late[1]) / 1000, _latency(out, 99)
    return Load(int(count[1]), float(rate[1]), *halves)


def _latency(out: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)\s*$", out, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk tells no {percent}% latency: {out[-300:]}")
    return float(found[1]) * _UNITS[found[2]]
