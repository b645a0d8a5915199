"""Asks a server every case of `cases.yaml` and scores its answers.

    python tests/conformance/oip/run.py URL [--grpc HOST:PORT] [--model NAME]

One server; the exit code is 1 if any case fails. gRPC is asked at the URL's own port unless said.
"""  # fmt: skip

from __future__ import annotations

import argparse
import http.client
import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

sys.path.insert(0, str(Path(__file__).parents[3]))  # when run by its path
from tests.conformance.oip import grpc_case  # after the path

CASES = Path(__file__).with_name("cases.yaml")


@dataclass(frozen=True)
class Outcome:
    """A case and what came of it: `wrong` is empty where the answer is right."""

    case: dict[str, Any]
    wrong: str


def load_cases(model: str) -> list[dict[str, Any]]:
    """Return the cases for a model of this name."""
    cases: list[dict[str, Any]] = yaml.safe_load(CASES.read_text().replace("{m}", model))
    return cases


def run_case(base: str, case: dict[str, Any], grpc: str = "") -> Outcome:
    """Ask once, and judge. `grpc` is where gRPC is spoken, unless at the port of `base`."""
    url = urlsplit(base)
    if "call" in case:
        return Outcome(case, judge_call(case, *grpc_case.ask(grpc or url.netloc, case)))
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=10)
    method, path, headers, body = make_request(case)
    try:
        connection.request(method, url.path.rstrip("/") + path, body, headers)
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Outcome(case, judge(case, answer.status, told, answer.read()))
    except (OSError, http.client.HTTPException) as error:
        return Outcome(case, f"no answer: {type(error).__name__} {error}")
    finally:
        connection.close()


def make_request(case: dict[str, Any]) -> tuple[str, str, dict[str, str], bytes | None]:
    """Return method, path, headers and body of a case."""
    headers = dict(case.get("headers", {}))
    if "get" in case:
        return case.get("method", "GET"), case["get"], headers, None
    body = case["text"].encode() if "text" in case else json.dumps(case["body"]).encode()
    if "floats" in case:
        headers["inference-header-content-length"] = str(len(body))
        headers["content-type"] = "application/octet-stream"
        body += struct.pack(f"<{len(case['floats'])}f", *case["floats"])
    headers.setdefault("content-type", "application/json")
    return case.get("method", "POST"), case["post"], headers, body


def judge(case: dict[str, Any], status: int, headers: dict[str, str], body: bytes) -> str:
    """Return what is wrong with an answer, or nothing."""
    if status not in case["status"]:
        return f"status {status}, not {' or '.join(map(str, case['status']))}: {body[:120]!r}"
    for name, wanted in case.get("header", {}).items():
        if not contains(headers.get(name), wanted):
            return f"header {name} is {headers.get(name)!r}, not {wanted!r}"
    if case.get("binary"):
        length = headers.get("inference-header-content-length", "")
        if not length.isdigit() or int(length) >= len(body):
            return "the answer has no raw tensors"
        body = body[: int(length)]
    if "json" in case:
        try:
            value = json.loads(body)
        except ValueError:
            return f"the body is no JSON: {body[:120]!r}"
        if not contains(value, case["json"]):
            return f"{value} lacks {case['json']}"[:300]
    return ""


def judge_call(case: dict[str, Any], code: str, answer: dict[str, Any]) -> str:
    """Return what is wrong with the answer to a gRPC call, or nothing."""
    if code not in case["code"]:
        return f"status {code}, not {' or '.join(case['code'])}: {answer}"[:300]
    if case.get("binary") and not answer.get("raw_output_contents"):
        return "the answer has no raw contents"
    if "json" in case and not contains(answer, case["json"]):
        return f"{answer} lacks {case['json']}"[:300]
    return ""


def contains(value: Any, wanted: Any) -> bool:
    """Whether a value is, or holds, what is wanted."""
    if wanted == "<any>":
        return value is not None
    if wanted == "<text>":
        return isinstance(value, str) and bool(value)
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            key in value and contains(value[key], item) for key, item in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(contains(one, item) for one, item in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def main() -> int:
    """Score one server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--grpc", default="", help="where gRPC is spoken, unless at the URL's port")
    parser.add_argument("--model", default="iris")
    known = parser.parse_args()
    outcomes = [run_case(known.url, case, known.grpc) for case in load_cases(known.model)]
    for outcome in outcomes:
        mark = f"✗ {outcome.wrong}" if outcome.wrong else "✓"
        sys.stdout.write(f"{outcome.case['group']:11} {outcome.case['name']}: {mark}\n")
    right = sum(not outcome.wrong for outcome in outcomes)
    sys.stdout.write(f"{right} of {len(outcomes)}\n")
    return 0 if right == len(outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
