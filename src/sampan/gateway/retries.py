"""What is sent again when a server could not be reached. Pure.

It stands at the clusters, of which one that has not changed is only read: at the hosts of a
thousand routes it was a quarter of the time that Envoy needs for a change of any of them.
"""

from __future__ import annotations

from sampan.machinery.registry import JsonObject

PREVIOUS_HOSTS = (
    "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
)

# Only what was never sent is sent again: a prediction may have effects, and a body that went out
# may have been worked on.
_RETRY: JsonObject = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
}
_ANOTHER: JsonObject = {
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": PREVIOUS_HOSTS},
        }
    ],
    "host_selection_retry_max_attempts": 5,
}
"""To another endpoint than before; without it the one that is dead has the fewest requests and is
chosen again."""


def make_retries(endpoints: int) -> JsonObject:
    """Return the retry policy of a cluster with so many endpoints."""
    return {**_RETRY, **_ANOTHER} if endpoints > 1 else _RETRY
