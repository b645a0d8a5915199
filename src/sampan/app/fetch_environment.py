"""Which variables of its operator the daemon's fetches are told. Pure.

Where things are, and never who asks: whoever may create a service does not borrow the daemon's own
tokens and logins. Those come from the service's Secrets.
"""

from __future__ import annotations

from collections.abc import Mapping

TOLD = ("HF_ENDPOINT", "HF_HUB_OFFLINE", "KSERVE_OCI_INSECURE_REGISTRY")


def select_fetch_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set, of those that a fetch is told."""
    return {name: environ[name] for name in TOLD if environ.get(name)}
