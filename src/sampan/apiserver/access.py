"""Who asks, and whether he may: from a request to its user, and from a call to a yes or a 403.

As upstream's `system:public-info-viewer`, only health and version are told to those who send no
token.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.apiserver.authentication import Authenticator
from sampan.apiserver.authorization import Authorizer
from sampan.apiserver.body import PATCH_TYPES, media_type
from sampan.apiserver.call import Call
from sampan.apiserver.identity import User, make_impersonated
from sampan.apiserver.messages import Request
from sampan.apiserver.options import parse_flag
from sampan.apiserver.rules import Attributes
from sampan.machinery.errors import BadRequest, NotFound
from sampan.machinery.store import Store

PUBLIC_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
NAMESPACES = "namespaces"


@dataclass(frozen=True, slots=True)
class Access:
    """The door of the server."""

    authenticator: Authenticator
    authorizer: Authorizer
    store: Store

    async def identify(self, request: Request) -> User:
        """Return who asks, or as whom; raise Unauthorized or Forbidden."""
        if request.path in PUBLIC_PATHS:
            return ANONYMOUS
        user = await self.authenticator.authenticate(request.header("authorization"))
        wanted = request.header("impersonate-user")
        groups = tuple(g.strip() for g in request.header("impersonate-group").split(",") if g)
        if groups and not wanted:
            raise BadRequest(f'Impersonate-Group "{groups[0]}" needs an Impersonate-User as well')
        if not wanted:
            return user
        asked = [Attributes("impersonate", resource="users", name=wanted)]
        asked += [Attributes("impersonate", resource="groups", name=g) for g in groups]
        for one in asked:
            await self.authorizer.check(user, one)
        return make_impersonated(wanted, groups, user.name)

    async def check_path(self, user: User, request: Request) -> None:
        """Raise Forbidden where a user may not ask for a path that names no resource."""
        if request.path not in PUBLIC_PATHS:
            verb = request.method.lower()
            await self.authorizer.check(user, Attributes(verb, path=request.path))

    async def check_call(self, call: Call, verb: str) -> None:
        """Raise Forbidden where a user may not do this to a resource."""
        if call.user.is_master:
            return
        await self.authorizer.check(call.user, make_attributes(call, verb))
        if verb == "patch" and PATCH_TYPES.get(_media(call)) == "apply":
            await self._check_first_apply(call)

    async def _check_first_apply(self, call: Call) -> None:
        """An apply that makes the object is a create too, as upstream."""
        try:
            await self.store.get(call.key)
        except NotFound:
            await self.authorizer.check(call.user, make_attributes(call, "create"))


def make_attributes(call: Call, verb: str) -> Attributes:
    """Return what a call asks to do. Pure."""
    route = call.route
    if verb == "list" and parse_flag(call.request.query, "watch"):
        verb = "watch"
    # a namespace by its name is in itself, so that a Role in it can allow to read it (upstream)
    own = route.name if call.resource.id == NAMESPACES else ""
    return Attributes(
        verb, route.group, route.plural, route.subresource, own or route.namespace, route.name
    )


def _media(call: Call) -> str:
    return media_type(call.request.header("content-type"))
