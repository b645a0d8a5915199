"""Who a caller is: a name and groups, in Kubernetes's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sampan.machinery.registry import JsonObject

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
ACCOUNTS = "system:serviceaccounts"
ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """A caller. `groups` end with `system:authenticated` for whoever has shown a token."""

    name: str
    groups: tuple[str, ...] = (AUTHENTICATED,)
    uid: str = ""
    impersonator: str = ""
    """Who really asks, where someone acts as this user."""

    @property
    def is_master(self) -> bool:
        """Whether it may do everything, without asking any rule."""
        return MASTERS in self.groups

    def info(self) -> JsonObject:
        """Return it as an `authentication.k8s.io/v1` UserInfo."""
        info: JsonObject = {"username": self.name, "groups": list(self.groups)}
        if self.uid:
            info["uid"] = self.uid
        return info


OWNER = User("sampan", (MASTERS, AUTHENTICATED))
"""Who holds the token of the state folder: the person whose daemon it is."""


def make_account_user(namespace: str, name: str, uid: str = "") -> User:
    """Return the user that a ServiceAccount is."""
    groups = (ACCOUNTS, f"{ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"{ACCOUNT_PREFIX}{namespace}:{name}", groups, uid)


def parse_account(username: str) -> tuple[str, str] | None:
    """Return namespace and name of a ServiceAccount's username, None for other users."""
    if not username.startswith(ACCOUNT_PREFIX):
        return None
    namespace, _, name = username.removeprefix(ACCOUNT_PREFIX).partition(":")
    return (namespace, name) if namespace and name else None


def make_impersonated(name: str, groups: tuple[str, ...], impersonator: str = "") -> User:
    """Return whom a request acts as (Kubernetes, "User impersonation")."""
    account = parse_account(name)
    if account and not groups:
        return replace(make_account_user(*account), impersonator=impersonator)
    every = tuple(dict.fromkeys((*groups, AUTHENTICATED)))
    return User(name, every, impersonator=impersonator)
