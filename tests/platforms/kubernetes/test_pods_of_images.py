"""Models in container images: how each mode brings them, alone and several in one pod."""

from __future__ import annotations

import pytest
from tests.platforms.kubernetes.test_pods import (
    configured,
    container,
    env_of,
    initializer,
    make_pod,
    surroundings,
)

from sampan.machinery.errors import Forbidden
from sampan.plan.types import ModelSource
from sampan.platforms.kubernetes.pods.mutate import mutate_pod
from sampan.platforms.kubernetes.pods.storage_uris import mount_sources


def mount(*sources: tuple[str, str], **settings):
    around = surroundings(configured(storageInitializer={"ociModelMode": "modelcar", **settings}))
    return mount_sources(make_pod(), [ModelSource(uri, path) for uri, path in sources], around)


def test_an_image_that_is_fetched_is_named_without_its_mode_and_lies_in_a_volume_that_is_written():
    found = mutate_pod(make_pod("oci+fetch://example.com/m:1"), surroundings())
    assert initializer(found)["args"] == ["oci://example.com/m:1", "/mnt/models"]
    mount = {"name": "mnt-models", "mountPath": "/mnt/models"}
    assert initializer(found)["volumeMounts"] == [mount]
    assert container(found, "kserve-container")["volumeMounts"] == [mount]
    assert found["spec"]["volumes"] == [{"name": "mnt-models", "emptyDir": {}}]
    assert mutate_pod(found, surroundings()) == found


def test_the_first_pull_secret_opens_the_registry():
    secrets = [{"name": "mine"}, {"name": "other"}]
    pod = make_pod("oci+fetch://example.com/m:1", imagePullSecrets=secrets)
    found = mutate_pod(pod, surroundings())
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    volume = {
        "name": "kserve-oci-fetch-docker-config",
        "secret": {"secretName": "mine", "items": items},
    }
    assert volume in found["spec"]["volumes"]
    assert env_of(initializer(found)) == {
        "KSERVE_OCI_DOCKER_CONFIG": "/mnt/oci-fetch-auth/config.json"
    }


def test_a_registry_without_a_certificate_is_asked_where_that_is_configured():
    settings = {"ociModelMode": "fetch", "ociInsecureRegistry": True, "caBundleConfigMapName": "a"}
    pod = make_pod("oci://localhost:5000/m")
    found = initializer(mutate_pod(pod, surroundings(configured(storageInitializer=settings))))
    assert env_of(found) == {
        "KSERVE_OCI_INSECURE_REGISTRY": "true",
        "CA_BUNDLE_CONFIGMAP_NAME": "global-ca-bundle",
        "CA_BUNDLE_VOLUME_MOUNT_POINT": "/etc/ssl/custom-certs",
    }


def test_several_images_are_fetched_by_one_container_each_into_a_volume_of_its_own():
    found = mount(("oci+fetch://a/b", "/mnt/a"), ("oci+fetch://a/c", "/mnt/b"))
    assert initializer(found)["args"] == ["oci://a/b", "/mnt/a", "oci://a/c", "/mnt/b"]
    names = [m["name"] for m in container(found, "kserve-container")["volumeMounts"]]
    assert names == ["mnt-a", "mnt-b"]


def test_several_modelcars_are_numbered_after_the_first():
    found = mount(("oci://a/base", "/mnt/base/m"), ("oci://a/more", "/mnt/more/m"))
    assert [c["name"] for c in found["spec"]["containers"]] == [
        "kserve-container", "modelcar", "modelcar-1",
    ]  # fmt: skip
    inits = [c["name"] for c in found["spec"]["initContainers"]]
    assert inits == ["modelcar-init", "modelcar-init-1"]
    second = container(found, "modelcar-1")
    assert second["args"][2] == (
        "mkdir -p /mnt/more && ln -sf /proc/$$$$/root/models /mnt/more/m && sleep infinity"
    )
    assert second["volumeMounts"] == [
        {"name": "kserve-provision-location-1", "mountPath": "/mnt/more"}
    ]
    mounts = container(found, "kserve-container")["volumeMounts"]
    assert [m["mountPath"] for m in mounts] == ["/mnt/base", "/mnt/more"]


def test_image_volumes_lie_beside_what_is_fetched_and_what_is_claimed():
    found = mount(
        ("oci+native://a/m", "/mnt/models/image"),
        ("s3://b/m", "/mnt/fetched"),
        ("pvc://c/d", "/mnt/claim"),
    )
    names = {v["name"]: sorted(set(v) - {"name"}) for v in found["spec"]["volumes"]}
    assert names == {
        "mnt-claim": ["persistentVolumeClaim"],
        "mnt-models-image": ["image"],
        "mnt-fetched": ["emptyDir"],
    }
    assert initializer(found)["args"] == ["s3://b/m", "/mnt/fetched"]


REFUSED = {
    "two modelcars under one folder": (
        [("oci://a/b", "/mnt/models/a"), ("oci://a/c", "/mnt/models/b")],
        'are both mounted at "/mnt/models"; give each a parent folder of its own',
    ),
    "two image volumes at one path": (
        [("oci+native://a/b", "/mnt/a"), ("oci+native://a/c", "/mnt/a")],
        'are both mounted at "/mnt/a"; give two paths',
    ),
    "eleven images": (
        [("oci+native://a/b", f"/mnt/{i}") for i in range(11)],
        "11 images are more than the 10 of a pod",
    ),
    "an image that is fetched beside a store": (
        [("oci+fetch://a/b", "/mnt/a"), ("s3://b/m", "/mnt/b")],
        '"oci[+]fetch://a/b" and "s3://b/m" cannot be fetched for one pod',
    ),
    "a mode that there is not": ([("oci+zip://a/b", "/mnt/a")], 'unknown OCI mode "zip"'),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_images_that_cannot_be_brought_are_refused_with_the_mend(case):
    sources, words = case
    with pytest.raises(Forbidden, match=words):
        mount(*sources)
