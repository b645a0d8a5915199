"""`POST serviceaccounts/NAME/token`: a token of a ServiceAccount (`kubectl create token`).

(Kubernetes, `authentication.k8s.io/v1` TokenRequest.)
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.apiserver.account_tokens import ISSUER, Claims, TokenSigner
from sampan.apiserver.body import decode_object
from sampan.apiserver.call import Call
from sampan.apiserver.messages import Reply, make_reply
from sampan.machinery.clock import Clock
from sampan.machinery.errors import BadRequest, FieldError, Invalid, Subject
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Store
from sampan.machinery.timestamps import rfc3339

API_VERSION, KIND = "authentication.k8s.io/v1", "TokenRequest"
DEFAULT_SECONDS = 3600
SHORTEST, LONGEST = 600, 2**32  # of upstream's TokenRequestSpec: 10 minutes to 1 << 32 seconds


@dataclass(frozen=True, slots=True)
class TokenRequests:
    """Answers requests for tokens; none is stored."""

    store: Store
    clock: Clock
    signer: TokenSigner

    async def create(self, call: Call) -> Reply:
        """Return the request with its token (201)."""
        sent = decode_object(call.request.header("content-type"), call.request.body)
        account = await self.store.get(call.key)
        spec = read_spec(sent, call.route.name)
        meta, now = account["metadata"], int(self.clock.now())
        claims = Claims(
            meta["namespace"],
            meta["name"],
            meta["uid"],
            tuple(spec["audiences"]),
            now,
            now + int(spec["expirationSeconds"]),
        )
        token = self.signer.make_token(claims)
        status = {"token": token, "expirationTimestamp": rfc3339(claims.expires)}
        about = {"name": meta["name"], "namespace": meta["namespace"]}
        about["creationTimestamp"] = rfc3339(now)
        body = {"kind": KIND, "apiVersion": API_VERSION, "metadata": about}
        return make_reply({**body, "spec": spec, "status": status}, 201)


def read_spec(sent: JsonObject, name: str) -> JsonObject:
    """Return the spec completed; raise BadRequest or Invalid. Pure."""
    kind = sent.get("kind", KIND)
    if kind != KIND:
        raise BadRequest(f"the kind in the data ({kind}) does not match the expected kind ({KIND})")
    spec = sent.get("spec") or {}
    seconds = spec.get("expirationSeconds") or DEFAULT_SECONDS
    errors = []
    if not isinstance(seconds, int) or not SHORTEST <= seconds <= LONGEST:
        text = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        errors.append(FieldError("spec.expirationSeconds", text))
    if spec.get("boundObjectRef"):
        text = "Forbidden: a token is bound to its ServiceAccount only; leave the reference out"
        errors.append(FieldError("spec.boundObjectRef", text, "FieldValueForbidden"))
    if errors:
        raise Invalid(Subject(KIND, name, "authentication.k8s.io"), errors)
    audiences = [str(a) for a in spec.get("audiences") or [ISSUER]]
    return {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None}
