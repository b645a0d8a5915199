"""Shares that change all the time, under clients of all kinds: nothing is lost, and each holds."""

from __future__ import annotations

import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .restless import Clients, Noting, restless

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).parent / "sampan"
ISVCS = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
MERGE = "application/merge-patch+json"
SHARES = (0, 10, 30, 50, 80)
COUNTED = 150
"""Answers over which a share is judged."""
SIGMAS = 5
UNDER_WAY = 12
"""Answers that may have been on their way by the shares before."""


@dataclass
class Shared(Noting):
    """A service each template of which notes into a file of its own."""

    @property
    def files(self) -> dict[int, Path]:
        """Return the files by the number of the template."""
        found = self.folder.glob(f"{self.name}.noted.*")
        return {int(path.suffix[1:]): path for path in found}

    def yaml(self, roll: int = 0) -> str:
        return super().yaml(roll).replace(str(self.noted), f"{self.noted}.{roll}")

    def by_template(self) -> Counter[int]:
        return Counter({n: len(path.read_text().split()) for n, path in self.files.items()})

    def counted(self) -> Counter[int]:
        lines = (line for path in self.files.values() for line in path.read_text().split())
        return Counter(map(int, lines))


@dataclass
class Story:
    """A service that is changed again and again. `templates` are those of its revisions."""

    sampan: Any
    api: Any
    noting: Shared
    templates: dict[str, int] = field(default_factory=dict)
    newest: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def service(self) -> dict[str, Any]:
        return dict(self.sampan.api(f"{ISVCS}/{self.noting.name}"))

    @property
    def traffic(self) -> dict[str, int]:
        """Return the shares by revision, as the status tells them."""
        told = self.service["status"]["components"]["predictor"]
        return {t["revisionName"]: int(t["percent"]) for t in told.get("traffic") or ()}

    def patch(self, predictor: dict[str, Any]) -> None:
        body = {"spec": {"predictor": predictor}}
        status, told = self.api.ask("PATCH", f"{ISVCS}/{self.noting.name}", body, MERGE)
        assert status == 200, told

    def rollout(self, action: str) -> None:
        self.sampan.cli("rollout", action, self.noting.name)

    def finish(self) -> None:
        """Wait until the rollout is done, and note which template the newest revision has."""
        self.rollout("status")
        service = self.service
        (container,) = service["spec"]["predictor"]["containers"]
        roll = next(e["value"] for e in container["env"] if e["name"] == "ROLL")
        created = service["status"]["components"]["predictor"]["latestCreatedRevision"]
        self.templates[created] = int(roll)

    def share(self, percent: int) -> None:
        """Give the newest template a share, a new one where it has all the requests."""
        if len(self.traffic) == 1:
            self.newest += 1
            (container,) = self.service["spec"]["predictor"]["containers"]
            noted = f"{self.noting.noted}.{self.newest}"
            env = {"ROLL": str(self.newest), "NOTED": noted}
            container["env"] = [{"name": k, "value": v} for k, v in env.items()]
            self.patch({"containers": [container], "canaryTrafficPercent": percent})
        else:
            self.patch({"canaryTrafficPercent": percent})
        self.finish()

    def pause(self, percent: int) -> None:
        """Ask for another share while the rollout is on hold: nothing changes until it goes on."""
        self.share(50)
        before = self.traffic
        self.rollout("pause")
        self.patch({"canaryTrafficPercent": percent})
        self.sampan.wait_for(self.noting.name, lambda told: bool(told["ready"]), 120)
        time.sleep(1)
        assert self.traffic == before
        self.rollout("resume")
        self.finish()

    def change(self, choose: random.Random) -> None:
        """Change something, and wait until it is done."""
        what = choose.choice(("share", "share", "share", "promote", "undo", "pause"))
        percent = choose.choice(SHARES)
        if what in ("promote", "undo") and len(self.traffic) > 1:
            self.told.append(what)
            self.rollout(what)
            self.finish()
        else:
            made = "pause" if what == "pause" else "share"
            self.told.append(f"{made} {percent}")
            (self.pause if made == "pause" else self.share)(percent)

    def check_shares(self, clients: Clients) -> None:
        """Each template answers as many of the next requests as its share says."""
        wanted: Counter[int] = Counter()
        for revision, percent in self.traffic.items():
            wanted[self.templates[revision]] += percent
        before, deadline = self.noting.by_template(), time.monotonic() + 120
        while (found := self.noting.by_template() - before).total() < COUNTED:
            assert time.monotonic() < deadline, f"{found} answers in two minutes: {clients.lost}"
            time.sleep(0.1)
        total = found.total()
        for template in found.keys() | wanted.keys():
            share = wanted[template] / 100
            allowed = SIGMAS * math.sqrt(total * share * (1 - share)) + UNDER_WAY
            off = abs(found[template] - total * share)
            assert off <= allowed, f"{dict(found)} after {self.told[-3:]}, wanted {dict(wanted)}"


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(4, id="a few", marks=pytest.mark.timeout(400)),
        pytest.param(100, id="a hundred", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_shares_change_under_load_and_nothing_is_lost(
    times: int, sampan: Any, make_api: Callable[[Any], Any], tmp_path: Path
) -> None:
    noting = Shared(f"changing-{times}", tmp_path, COMMAND)
    sampan.apply(noting.yaml())
    sampan.wait_ready(noting.name)
    story = Story(sampan, make_api(sampan), noting)
    story.finish()
    choose = random.Random(times)
    with restless(sampan.port, noting.name) as clients:
        for _ in range(times):
            story.change(choose)
            story.check_shares(clients)
    assert clients.lost == [], story.told
    assert noting.counted() == clients.numbers()
    assert all(clients.answered.values())
    sampan.cli("delete", "isvc", noting.name)
