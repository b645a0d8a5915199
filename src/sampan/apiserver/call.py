"""One request about a resource, resolved: what every verb starts from."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.apiserver.identity import User
from sampan.apiserver.messages import Request
from sampan.apiserver.route import Route
from sampan.machinery.registry import Resource
from sampan.machinery.store import Key


@dataclass(frozen=True, slots=True)
class Call:
    """A request, the route of its path, the resource that the route names, and who asks."""

    request: Request
    route: Route
    resource: Resource
    user: User

    @property
    def key(self) -> Key:
        """The store's key of the object named by the path."""
        return Key(self.resource.id, self.route.namespace, self.route.name)

    @property
    def agent(self) -> str:
        """The caller's `User-Agent`."""
        return self.request.header("user-agent")
