"""Nobody may give what he has not (Kubernetes, "Privilege escalation prevention").

Who writes a role must hold its rules, and who writes a binding those of the role that it gives;
else an `admin` of one namespace could make himself more. The verbs `escalate` and `bind` allow it.
"""

from __future__ import annotations

from sampan.apiserver.authorization import (
    BINDINGS,
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    GROUP,
    ROLES,
    Authorizer,
)
from sampan.apiserver.call import Call
from sampan.apiserver.rules import Attributes, Rule, covers, render_rule
from sampan.machinery.errors import Forbidden
from sampan.machinery.registry import JsonObject


async def check_escalation(authorizer: Authorizer, call: Call, obj: JsonObject) -> None:
    """Raise Forbidden where a role or binding would give more than its writer has."""
    user, resource = call.user, call.resource
    if user.is_master or resource.group != GROUP:
        return
    namespace = call.route.namespace
    if resource.id in (ROLES, CLUSTER_ROLES):
        name = str(obj["metadata"].get("name", ""))
        asked = Attributes("escalate", GROUP, resource.plural, "", namespace, name)
        wanted: list[Rule] = list(obj.get("rules") or ())
    elif resource.id in (BINDINGS, CLUSTER_BINDINGS):
        reference = obj.get("roleRef") or {}
        plural = f"{str(reference.get('kind', '')).lower()}s"
        asked = Attributes("bind", GROUP, plural, "", namespace, str(reference.get("name", "")))
        wanted = await authorizer.rules_behind(obj)
    else:
        return
    missing = covers(await authorizer.rules_of(user, namespace), wanted)
    if missing and not await authorizer.allowed(user, asked):
        raise _refused(call, obj, missing)


def _refused(call: Call, obj: JsonObject, missing: list[Rule]) -> Forbidden:
    name, user = obj["metadata"].get("name", ""), call.user
    groups = " ".join(f'"{g}"' for g in user.groups)
    listed = "\n".join(render_rule(rule) for rule in missing)
    return Forbidden(
        f'{call.resource.id} "{name}" is forbidden: user "{user.name}" (groups=[{groups}]) is '
        f"attempting to grant RBAC permissions not currently held:\n{listed}",
        details={"name": name, "group": GROUP, "kind": call.resource.plural},
    )
