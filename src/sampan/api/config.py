"""`inferenceservice-config` as one frozen value, parsed once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Config:
    """What the cluster's operator configured. Field names follow the ConfigMap's keys."""

    default_deployment_mode: str = "Standard"
    ingress_domain: str = "example.com"
