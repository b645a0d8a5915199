"""What can be wrong with a number that an autoscaler asks for."""

from __future__ import annotations


class MetricError(Exception):
    """A metric that cannot be read; the message says which, why, and what mends it."""
