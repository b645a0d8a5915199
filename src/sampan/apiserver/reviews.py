"""Who am I, and may I: the reviews behind `kubectl auth whoami` and `kubectl auth can-i`.

There is one user, whoever holds the token, and no rules besides what is served. So the answer to
"may I" is whether the verb exists for the resource.
"""

from __future__ import annotations

from typing import Any

from sampan.apiserver.body import decode_object
from sampan.apiserver.call import Call
from sampan.apiserver.discovery import Served
from sampan.apiserver.messages import Reply, make_reply
from sampan.apiserver.received import make_received
from sampan.machinery.errors import FieldError, Invalid, Subject
from sampan.machinery.registry import JsonObject, Resource

USER = {"username": "sampan", "groups": ["system:authenticated"]}
VERBS = ("create",)


def _review(group: str, kind: str) -> Resource:
    plural = f"{kind.lower()}s"
    return Resource(group, "v1", kind, plural, kind.lower(), namespaced=False, generation=False)


SELF = _review("authentication.k8s.io", "SelfSubjectReview")
ACCESS = _review("authorization.k8s.io", "SelfSubjectAccessReview")
RULES = _review("authorization.k8s.io", "SelfSubjectRulesReview")


class Reviews:
    """Answers the reviews; nothing is stored."""

    def __init__(self, served: tuple[Served, ...]) -> None:
        self._served = served

    async def create(self, call: Call) -> Reply:
        """Return the review with its status (201)."""
        sent = decode_object(call.request.header("content-type"), call.request.body)
        review = make_received(call, sent)
        spec = review.get("spec") or {}
        if call.resource == SELF:
            return make_reply({**review, "status": {"userInfo": USER}}, 201)
        if call.resource == ACCESS:
            return make_reply({**review, "status": derive_access(self._served, spec)}, 201)
        status = {
            "resourceRules": [_rule(one) for one in self._served],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["*"]}],
            "incomplete": False,
        }
        return make_reply({**review, "status": status}, 201)


def derive_access(served: tuple[Served, ...], spec: JsonObject) -> JsonObject:
    """Return the status of a SelfSubjectAccessReview; raise Invalid for one that asks nothing."""
    asked = spec.get("resourceAttributes")
    if asked is None and spec.get("nonResourceAttributes") is None:
        text = "Required value: resourceAttributes or nonResourceAttributes must be given"
        raise Invalid(
            Subject(ACCESS.kind, "", ACCESS.group),
            [FieldError("spec.resourceAttributes", text, "FieldValueRequired")],
        )
    if asked is None:
        return _status(spec["nonResourceAttributes"].get("verb") in ("get", "*"), "only read")
    return _resource_access(served, asked)


def _resource_access(served: tuple[Served, ...], asked: dict[str, Any]) -> JsonObject:
    group, plural, verb = (str(asked.get(k, "")) for k in ("group", "resource", "verb"))
    if "*" in (plural, verb):
        return _status(allowed=True, reason="the token may do all that is served")
    part = asked.get("subresource", "")
    for one in served:
        if one.resource.plural == plural and group in (one.resource.group, "*"):
            verbs = next((p.verbs for p in one.subresources if p.name == part), ())
            verbs = one.verbs if not part else verbs
            return _status(verb in verbs, f'"{plural}" has the verbs {", ".join(verbs) or "none"}')
    return _status(allowed=False, reason=f'no resource "{plural}" in group "{group}" is served')


def _status(allowed: bool, reason: str) -> JsonObject:
    return {"allowed": True} if allowed else {"allowed": False, "reason": reason}


def _rule(one: Served) -> JsonObject:
    r = one.resource
    return {"verbs": list(one.verbs), "apiGroups": [r.group], "resources": [r.plural]}
