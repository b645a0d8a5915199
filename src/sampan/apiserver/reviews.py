"""Who am I, and may I (or may another): what `kubectl auth` asks. Nothing is stored.

A verb that a resource does not have is answered with no, whoever asks: nobody can do it.
(Kubernetes, `authentication.k8s.io/v1` and `authorization.k8s.io/v1`.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sampan.apiserver.access import Access
from sampan.apiserver.account_tokens import ISSUER
from sampan.apiserver.body import decode_object
from sampan.apiserver.call import Call
from sampan.apiserver.discovery import Served
from sampan.apiserver.identity import User, make_impersonated
from sampan.apiserver.messages import Reply, make_reply
from sampan.apiserver.received import make_received
from sampan.apiserver.rules import Attributes
from sampan.machinery.errors import FieldError, Invalid, Subject, Unauthorized
from sampan.machinery.registry import JsonObject, Resource

VERBS = ("create",)
AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
Status: TypeAlias = JsonObject


def _review(group: str, kind: str, *, namespaced: bool = False) -> Resource:
    plural = f"{kind.lower()}s"
    return Resource(
        group, "v1", kind, plural, kind.lower(), namespaced=namespaced, generation=False
    )


SELF = _review(AUTHENTICATION, "SelfSubjectReview")
TOKEN = _review(AUTHENTICATION, "TokenReview")
ACCESS = _review(AUTHORIZATION, "SelfSubjectAccessReview")
RULES = _review(AUTHORIZATION, "SelfSubjectRulesReview")
OTHERS = _review(AUTHORIZATION, "SubjectAccessReview")
LOCAL = _review(AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True)
REVIEWS = (SELF, TOKEN, ACCESS, RULES, OTHERS, LOCAL)


@dataclass(frozen=True, slots=True)
class Reviews:
    """Answers the reviews."""

    access: Access
    served: tuple[Served, ...]

    async def create(self, call: Call) -> Reply:
        """Return the review with its status (201)."""
        sent = decode_object(call.request.header("content-type"), call.request.body)
        review = make_received(call, sent)
        answers: dict[str, Callable[[Call, JsonObject], Awaitable[Status]]] = {
            SELF.id: self._self,
            TOKEN.id: self._token,
            ACCESS.id: self._access,
            RULES.id: self._rules,
            OTHERS.id: self._others,
            LOCAL.id: self._others,
        }
        status = await answers[call.resource.id](call, review.get("spec") or {})
        return make_reply({**review, "status": status}, 201)

    async def _self(self, call: Call, _spec: JsonObject) -> Status:
        return {"userInfo": call.user.info()}

    async def _token(self, call: Call, spec: JsonObject) -> Status:
        _require(call, spec, "token")
        audiences = tuple(spec.get("audiences") or (ISSUER,))
        try:
            user = await self.access.authenticator.identify(str(spec["token"]), audiences)
        except Unauthorized as error:
            return {"authenticated": False, "error": error.message}
        return {"authenticated": True, "user": user.info(), "audiences": list(audiences)}

    async def _access(self, call: Call, spec: JsonObject) -> Status:
        return await self._decide(call.user, read_attributes(call, spec))

    async def _others(self, call: Call, spec: JsonObject) -> Status:
        if not spec.get("user") and not spec.get("groups"):
            _require(call, spec, "user")
        if call.resource == LOCAL:
            asked = dict(spec.get("resourceAttributes") or {})
            spec = {**spec, "resourceAttributes": {**asked, "namespace": call.route.namespace}}
        groups = tuple(str(g) for g in spec.get("groups") or ())
        user = make_impersonated(str(spec.get("user", "")), groups)
        return await self._decide(user, read_attributes(call, spec))

    async def _decide(self, user: User, asked: Attributes) -> Status:
        reason = find_unserved(self.served, asked)
        if not reason and not await self.access.authorizer.allowed(user, asked):
            reason = "no rule allows it"
        return {"allowed": False, "reason": reason} if reason else {"allowed": True}

    async def _rules(self, call: Call, spec: JsonObject) -> Status:
        rules = await self.access.authorizer.rules_of(call.user, str(spec.get("namespace") or ""))
        return {
            "resourceRules": [r for r in rules if not r.get("nonResourceURLs")],
            "nonResourceRules": [r for r in rules if r.get("nonResourceURLs")],
            "incomplete": False,
        }


def find_unserved(served: tuple[Served, ...], asked: Attributes) -> str:
    """Return why nobody can do what is asked; empty where it is served. Pure."""
    if asked.path or "*" in (asked.verb, asked.resource):
        return ""
    for one in served:
        if one.resource.plural == asked.resource and asked.group in (one.resource.group, "*"):
            parts = {part.name: part.verbs for part in one.subresources}
            verbs = parts.get(asked.subresource, ()) if asked.subresource else one.verbs
            has = f'"{asked.qualified}" has the verbs {", ".join(verbs) or "none"}'
            return "" if asked.verb in verbs else has
    return ""  # a rule may speak of what is not served; whoever writes it is told by kubectl


def read_attributes(call: Call, spec: JsonObject) -> Attributes:
    """Return what a review asks about; raise Invalid for one that asks nothing. Pure."""
    asked: dict[str, Any] | None = spec.get("resourceAttributes")
    path: dict[str, Any] | None = spec.get("nonResourceAttributes")
    if asked is None and path is None:
        text = "Required value: resourceAttributes or nonResourceAttributes must be given"
        raise _invalid(call, "resourceAttributes", text)
    if asked is None:
        path = path or {}
        return Attributes(str(path.get("verb", "")), path=str(path.get("path", "")))
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(*(str(asked.get(name) or "") for name in names))


def _require(call: Call, spec: JsonObject, field: str) -> None:
    if not spec.get(field):
        raise _invalid(call, field, "Required value")


def _invalid(call: Call, field: str, text: str) -> Invalid:
    subject = Subject(call.resource.kind, "", call.resource.group)
    return Invalid(subject, [FieldError(f"spec.{field}", text, "FieldValueRequired")])
