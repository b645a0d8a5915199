"""Payloads and small answers."""

import os
import uuid

from sampan.app.serve_arguments import strtobool
from sampan.client.predictor_protocol import is_v1, is_v2
from sampan.server.payloads import get_predict_input, get_predict_response

__all__ = [
    "cpu_count",
    "generate_uuid",
    "get_predict_input",
    "get_predict_response",
    "is_v1",
    "is_v2",
    "strtobool",
]


def generate_uuid() -> str:
    """Return a new random identifier."""
    return str(uuid.uuid4())


def cpu_count() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
