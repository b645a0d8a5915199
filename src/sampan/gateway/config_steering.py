"""Tags, stickiness and mirrors: what Envoy's routes have of them. Pure.

A tag's own hosts are virtual hosts; its header and its cookie are routes before the general ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sampan.gateway.table import Share, Steering, Tag
from sampan.machinery.registry import JsonObject

TAG_HEADER = "knative-serving-tag"
"""Also the name of the cookie."""
STICKY_COOKIE, STICKY_SECONDS = "sampan-share", 86_400
BY_COOKIE = "cookie"


def make_tag_matches(tag: Tag, match: JsonObject) -> Iterator[JsonObject]:
    """Yield what a request for a tag matches beside `match`: its header, or its cookie."""
    if not tag.by_header:
        return
    named = {"name": TAG_HEADER, "string_match": {"exact": tag.name}}
    yield {**match, "headers": [named]}
    yield {**match, "headers": [_has_cookie(f"(?i:{TAG_HEADER})", tag.name)]}


def select_tagged(shares: tuple[Share, ...], tag: Tag) -> tuple[Share, ...]:
    """Return the share of a tag, as the only one; none where the shares have no such place."""
    if tag.position >= len(shares):
        return ()
    share = shares[tag.position]
    return (Share(share.cluster, 100, share.held),)


def make_stays(
    steering: Steering, shares: tuple[Share, ...], match: JsonObject
) -> Iterator[tuple[JsonObject, Tag]]:
    """Yield what a request of a client that has a share already matches, and which it is.

    Nobody stays with a share that is nothing any more. Envoy gives no cookie for a choice among
    clusters, so each share of it gives its own (`make_cookie`).
    """
    if not is_given(steering, shares):
        return
    for position, share in enumerate(shares):
        if share.weight:
            name = _share_name(share)
            yield {**match, "headers": [_has_cookie(STICKY_COOKIE, name)]}, Tag(name, position)


def is_given(steering: Steering, shares: tuple[Share, ...]) -> bool:
    """Return whether clients are given a cookie."""
    return steering.sticky == BY_COOKIE and len(shares) > 1


def make_cookie(share: Share) -> JsonObject:
    """Return what a share adds to its answers, so that a client stays with it."""
    value = f"{STICKY_COOKIE}={_share_name(share)}; Path=/; Max-Age={STICKY_SECONDS}; HttpOnly"
    header = {"key": "set-cookie", "value": value}
    entry = {"header": header, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return {"response_headers_to_add": [entry]}


def _share_name(share: Share) -> str:
    """Return the workload's name, for REST and gRPC the same: `m-predictor-00002`."""
    return share.cluster.removesuffix("/grpc").rpartition("/")[2]


def _has_cookie(name: str, value: str) -> JsonObject:
    regex = rf"(.*;\s*)?{name}={re.escape(value)}\s*(;.*)?"
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}}


def make_steering(steering: Steering, shares: tuple[Share, ...]) -> JsonObject:
    """Return what a route's action has beside the shares; nothing where there is but one."""
    made: JsonObject = {}
    if steering.sticky and not is_given(steering, shares) and len(shares) > 1:
        made["hash_policy"] = [{"header": {"header_name": steering.sticky}}]
    mirrors = [
        {
            "cluster": shares[mirror.position].cluster,
            "runtime_fraction": {
                "default_value": {"numerator": mirror.percent, "denominator": "HUNDRED"}
            },
            "disable_shadow_host_suffix_append": True,
        }
        for mirror in steering.mirrors
        if mirror.position < len(shares)
    ]
    return made | ({"request_mirror_policies": mirrors} if mirrors else {})
