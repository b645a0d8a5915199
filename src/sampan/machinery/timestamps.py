"""Kubernetes timestamps, to and from seconds since the epoch. Reads no clock."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(now: float) -> str:
    """Return `now` as Kubernetes writes it: `2026-01-31T12:00:00Z`, whole seconds, UTC."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(timestamp: str) -> float:
    """Return seconds since the epoch of an RFC 3339 timestamp; raise ValueError."""
    return datetime.fromisoformat(timestamp).timestamp()
