"""Certificates of an operator's own authorities, laid into every namespace that has services.

KServe, CA bundle: `storageInitializer.caBundleConfigMapName` names a ConfigMap of the operator's
namespace; its key `cabundle.crt` is copied into `global-ca-bundle` beside each service, where pods
mount it. No service waits for it that is in the operator's own namespace: pods there mount the
original. The copy has no owner, for it is many services'.
"""

from __future__ import annotations

from sampan.machinery.errors import Forbidden, NotFound
from sampan.machinery.registry import JsonObject
from sampan.machinery.store import Key
from sampan.operator.cluster import Cluster
from sampan.operator.remembered import EVERYBODY
from sampan.operator.settings import Settings
from sampan.platforms.kubernetes.children import MANAGER
from sampan.platforms.kubernetes.kinds import CONFIG_MAPS
from sampan.platforms.kubernetes.pods.ca_bundle import GLOBAL_CONFIG_MAP

CERTIFICATES = "cabundle.crt"


async def apply_authorities(cluster: Cluster, settings: Settings, namespace: str) -> None:
    """Bring the copy in a namespace to what is configured; raise Forbidden where that cannot be."""
    name = settings.pods.initializer.ca_config_map
    if not name or namespace == cluster.namespace:
        return
    wanted = make_copy(cluster.config.get(cluster.namespace, name), name, namespace)
    key = Key(CONFIG_MAPS.id, namespace, GLOBAL_CONFIG_MAP)
    try:
        known = await cluster.remembered.get(key, EVERYBODY)
    except NotFound:
        known = {}
    if (known.get("data") or {}).get(CERTIFICATES) == wanted["data"][CERTIFICATES]:
        return
    cluster.assume(await cluster.store.apply(CONFIG_MAPS.id, wanted, MANAGER))


def make_copy(source: JsonObject | None, name: str, namespace: str) -> JsonObject:
    """Return the ConfigMap of a namespace; raise Forbidden, with the mend. Pure."""
    setting = f'storageInitializer.caBundleConfigMapName is "{name}"'
    if source is None:
        raise Forbidden(
            f"{setting}, and the operator's namespace has no ConfigMap of that name; create it "
            f'with the key "{CERTIFICATES}"'
        )
    text = (source.get("data") or {}).get(CERTIFICATES)
    if not text:
        listed = ", ".join(f'"{key}"' for key in source.get("data") or ()) or "none"
        raise Forbidden(
            f'{setting}, whose keys are {listed}; write the certificates under "{CERTIFICATES}"'
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": GLOBAL_CONFIG_MAP, "namespace": namespace},
        "data": {CERTIFICATES: text},
    }
