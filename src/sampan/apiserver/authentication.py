"""From a bearer token to a user: the owner's token, or that of a ServiceAccount that is there."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from sampan.apiserver.account_tokens import ISSUER, TokenSigner
from sampan.apiserver.identity import OWNER, User, make_account_user
from sampan.machinery.clock import Clock
from sampan.machinery.errors import NotFound, Unauthorized
from sampan.machinery.store import Key, Store

ACCOUNTS = "serviceaccounts"


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Who holds which token. The owner's costs one comparison, an account's a read in memory."""

    store: Store
    clock: Clock
    signer: TokenSigner
    token: str = field(repr=False)

    async def authenticate(self, authorization: str) -> User:
        """Return the user of an `Authorization` header; raise Unauthorized."""
        scheme, _, sent = authorization.partition(" ")
        if scheme.lower() != "bearer" or not sent.strip():
            raise Unauthorized(
                "no bearer token was sent; use the kubeconfig context that the server wrote"
            )
        return await self.identify(sent.strip())

    async def identify(self, sent: str, audiences: tuple[str, ...] = (ISSUER,)) -> User:
        """Return the user of a token that is for one of these audiences; raise Unauthorized."""
        if hmac.compare_digest(sent.encode(), self.token.encode()):
            return OWNER
        claims = self.signer.parse_token(sent)
        if claims is None:
            raise Unauthorized(
                "the bearer token is not this server's; it was made anew with the state folder: "
                "write the kubeconfig context again"
            )
        who = f'the token of ServiceAccount "{claims.namespace}/{claims.name}"'
        if claims.expires <= self.clock.now():
            raise Unauthorized(f"{who} has expired; make a new one with kubectl create token")
        if not set(audiences) & set(claims.audiences):
            listed = ", ".join(f'"{a}"' for a in claims.audiences)
            raise Unauthorized(f"{who} is for {listed}, not for this server")
        await self._check_account(claims.namespace, claims.name, claims.uid, who)
        return make_account_user(claims.namespace, claims.name, claims.uid)

    async def _check_account(self, namespace: str, name: str, uid: str, who: str) -> None:
        try:
            account = await self.store.get(Key(ACCOUNTS, namespace, name))
        except NotFound:
            account = {"metadata": {}}
        if account["metadata"].get("uid") != uid:
            raise Unauthorized(f"{who} is void: that ServiceAccount was deleted; make a new token")
