"""What an autoscaler is told by the cluster and by a revision's annotations, resolved to values.

Knative Serving, `config-autoscaler` and the annotations `autoscaling.knative.dev/…`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sampan.autoscaler.windows import Algorithm

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Defaults:
    """`config-autoscaler`: what holds where a revision says nothing. Durations in seconds,
    shares in percent.
    """

    autoscaler_class: str = "kpa.autoscaling.knative.dev"
    concurrency_target: float = 100
    requests_per_second_target: float = 200
    target_percentage: float = 70
    min_scale: int = 0
    max_scale: int = 0
    max_scale_limit: int = 0
    initial_scale: int = 1
    allow_zero_initial_scale: bool = False
    scale_down_delay: float = 0
    pod_retention: float = 0
    stable_window: float = 60
    panic_window_percentage: float = 10
    panic_threshold_percentage: float = 200
    target_burst_capacity: float = 211
    max_scale_up_rate: float = 1000
    max_scale_down_rate: float = 2
    grace_period: float = 30
    enable_scale_to_zero: bool = True
    activator_capacity: float = 100


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one revision. Durations in seconds.

    `target` is the value a replica is held at, `total` what one can take; `maximum` 0: unbounded.
    """

    metric: str = "concurrency"
    target: float = 70.0
    total: float = 100.0
    minimum: int = 0
    maximum: int = 0
    initial: int = 1
    activation: int = 1
    stable_window: int = 60
    panic_window: int = 6
    panic_threshold: float = 2.0
    algorithm: Algorithm = "linear"
    scale_down_delay: float = 0
    pod_retention: float = 0
    burst_capacity: float = 211
    defaults: Defaults = field(default_factory=Defaults)
