"""What webhooks do elsewhere, done by an operator that has none: defaults, verdicts and pods. Pure.

An operator of some namespaces alone has no right to register webhooks, which are the cluster's. It
plans what admission would have stored, leaves alone what admission would have refused, and puts
into the pods' templates what the pod webhook puts into pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sampan.api.scheme import REGISTRY
from sampan.machinery.registry import AdmissionContext, JsonObject
from sampan.plan.service import DEPLOYMENT_MODE
from sampan.platforms.kubernetes.kinds import DEPLOYMENTS, kind_of
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

STANDARD = "Standard"


def judge(service: JsonObject, data: Mapping[str, str]) -> tuple[JsonObject, str]:
    """Return a service as admission would store it, and why it would refuse it ("": it would not).

    A service that would be refused is returned as it is.
    """
    resource = REGISTRY.for_object(service)
    if resource is None or resource.admit is None:
        return service, ""
    admitted = resource.admit(service, None, AdmissionContext(data))
    causes = admitted.errors or admitted.causes
    refusal = "; ".join(str(cause) for cause in causes) or admitted.denied or ""
    return (service, refusal) if refusal else (admitted.obj, "")


def refuse_mode(mode: str) -> str:
    """Return why a service of a mode cannot run without webhooks; "" for one that can."""
    if mode == STANDARD:
        return ""
    return (
        f'deployment mode "{mode}" needs the pod webhook, which an operator of some namespaces '
        f'does not have; annotate the service {DEPLOYMENT_MODE}: "{STANDARD}"'
    )


def mutate_templates(objects: Iterable[JsonObject], around: Surroundings) -> tuple[JsonObject, ...]:
    """Return the objects, of Deployments with the template that their pods would be made into.

    Raises Forbidden where a pod would be refused: a Secret that it names is missing.
    """
    return tuple(_mutated(obj, around) if _runs_pods(obj) else obj for obj in objects)


def _runs_pods(obj: JsonObject) -> bool:
    return kind_of(obj).resource.id == DEPLOYMENTS.id


def _mutated(deployment: JsonObject, around: Surroundings) -> JsonObject:
    template = deployment["spec"]["template"]
    pod = mutate_pod({"apiVersion": "v1", "kind": "Pod", **template}, around)
    changed = {"metadata": pod["metadata"], "spec": pod["spec"]}
    return {**deployment, "spec": {**deployment["spec"], "template": changed}}
