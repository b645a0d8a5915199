"""What a condition says of a link of the chain that is not done. Pure."""

from __future__ import annotations

from sampan.api.inferenceservice.conditions import REASON_MINIMUM_REPLICAS_UNAVAILABLE
from sampan.plan.chain import ChainLink
from sampan.plan.observed import LinkState


def describe_link(opened: ChainLink) -> tuple[str, str]:
    """Return reason and message.

    Of a link under way only the reason is told: its message is progress, which changes too often.
    """
    link = opened.link
    if link.state is LinkState.FAILED:
        reason = link.reason or REASON_MINIMUM_REPLICAS_UNAVAILABLE
        return reason, f"{opened.name}: {link.message}"
    doing = f"{link.state.value} ({link.reason})" if link.reason else link.state.value
    return REASON_MINIMUM_REPLICAS_UNAVAILABLE, f"{opened.name} is {doing}"
