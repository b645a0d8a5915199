"""A small operator: what it sees is told as lines, so that a test can wait for them."""

from __future__ import annotations

import sys

import kopf

KIND = ("serving.kserve.io", "v1beta1", "inferenceservices")


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


@kopf.on.create(*KIND)
def made(name, patch, **_):
    patch.metadata.labels["operated"] = "true"
    patch.status["noted"] = name
    tell("made", name)
    return {"colour": "red"}


@kopf.on.update(*KIND, field="spec.predictor.minReplicas")
def changed(name, old, new, **_):
    tell("changed", name, old, new)


@kopf.on.delete(*KIND)
def deleted(name, **_):
    tell("deleted", name)


@kopf.daemon(*KIND)
async def companion(stopped, name, **_):
    tell("companion-of", name)
    await stopped.wait()
    tell("companion-left", name)


@kopf.on.event("v1", "configmaps")
def seen(event, name, **_):
    tell("config", event["type"], name)
