"""From what is there to what should be: what each situation calls for, and the laws of updates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.gateway.table import Cluster, Endpoint, Share, TableRoute
from sampan.plan.observed import Link, LinkState, Observed, ObservedReplica, ObservedWorkload
from sampan.plan.types import ModelSource, ServiceKey
from sampan.platforms.local.desired import Desired, DesiredWorkload, Problem
from sampan.platforms.local.diff import diff, make_publication, select_endpoints
from sampan.platforms.local.held import hold_workloads, select_held
from sampan.platforms.local.process_spec import make_replica_name
from sampan.platforms.local.steps import (
    BuildEnvironment,
    Fetch,
    Forget,
    LocalStep,
    Publish,
    StartReplica,
    StopReplica,
)

SERVICE = ServiceKey("default", "iris")
ROUTE = TableRoute("default/iris", ("iris.default.localhost",), "/serving/default/iris",
                   (Share("default/iris-predictor"),))  # fmt: skip
DONE = Link(LinkState.DONE)
NOW = 1000.0


def want(**changes: object) -> DesiredWorkload:
    base = DesiredWorkload(SERVICE, "iris-predictor", "predictor", "v1-new", 1,
                           models=(ModelSource("file:///m"),), requirements=("numpy",))  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def desired(workload: DesiredWorkload | None = None, route: TableRoute | None = ROUTE) -> Desired:
    return Desired(SERVICE, (workload or want(),), route)


def replica(name: str, **changes: object) -> ObservedReplica:
    base = ObservedReplica(name, "iris-predictor", "v1-new", running=True, ready=True,
                           address=f"127.0.0.1:{20000 + sum(map(ord, name))}", started_at=1.0,
                           load=DONE, routed=True)  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


OLD = {"template_hash": "v1-old"}
UNREADY = {"ready": False, "routed": False}


def seen(*replicas: ObservedReplica, **changes: object) -> Observed:
    workload = ObservedWorkload("iris-predictor", "predictor", "v1-new", DONE, DONE, replicas)
    workload = replace(workload, **changes)  # type: ignore[arg-type]
    clusters = (Cluster("default/iris-predictor", select_endpoints(replicas), ""),)
    return Observed((workload,), DONE, published=make_publication(ROUTE, clusters))


def held(*replicas: ObservedReplica) -> Observed:
    """What is seen while the requests wait at the activator."""
    told = hold_workloads(desired(), ["iris-predictor"]).route
    clusters = (Cluster("default/iris-predictor", select_endpoints(replicas), ""),)
    published = make_publication(told, clusters)
    return replace(seen(*replicas), published=published, held=frozenset({"iris-predictor"}))


def steps(want_: Desired, observed: Observed, now: float = NOW) -> list[LocalStep]:
    return list(diff(want_, observed, now).steps)


def kinds(found: list[LocalStep]) -> list[str]:
    return [type(step).__name__ for step in found]


CRASHED = Link(LinkState.FAILED, "Error", "the process exited with code 1")
FAILED = Link(LinkState.FAILED, "DownloadStalled", "no byte for 30 s", retry_at=NOW + 5)

SITUATIONS: dict[str, tuple[Desired, Observed, list[str]]] = {
    "nothing is there: prepare both at once and make the route known": (
        desired(), Observed(), ["Fetch", "BuildEnvironment", "Publish"],
    ),
    "all is as wanted: nothing to do": (desired(), seen(replica("a")), []),
    "prepared and no replica: start one": (desired(), seen(), ["StartReplica"]),
    "a download that runs is left alone": (
        desired(), seen(download=Link(LinkState.RUNNING)), [],
    ),
    "a failed download waits for its time": (desired(), seen(download=FAILED), []),
    "a failed download whose time has come is tried again": (
        desired(), seen(download=replace(FAILED, retry_at=NOW)), ["Fetch"],
    ),
    "what was prepared is for an older template: prepare anew, the old replica stays": (
        desired(), seen(replica("a", **OLD), template_hash="v1-old"),
        ["Fetch", "BuildEnvironment"],
    ),
    "a new template is prepared: start the new one beside the old": (
        desired(), seen(replica("a", **OLD)), ["StartReplica"],
    ),
    "the new one is not ready yet: wait": (
        desired(), seen(replica("a", **OLD), replica("b", **UNREADY)), [],
    ),
    "the new one is ready but the gateway has not found it healthy: wait": (
        desired(), seen(replica("a", **OLD), replica("b", routed=False)), [],
    ),
    "the new one serves: take the old one out of the gateway, then stop it": (
        desired(), seen(replica("a", **OLD), replica("b")), ["Publish", "StopReplica"],
    ),
    "the old one never was ready (crash loop): replace it at once": (
        desired(), seen(replica("a", **OLD, **UNREADY)), ["StartReplica", "StopReplica"],
    ),
    "the new template is still being fetched: the old one stays, ready or not": (
        desired(), seen(replica("a", **OLD, **UNREADY), download=Link(LinkState.RUNNING)), [],
    ),
    "Recreate: hold the requests first": (
        desired(want(strategy="Recreate")), seen(replica("a", **OLD)), ["Publish"],
    ),
    "Recreate: the requests are held: stop the old one": (
        desired(want(strategy="Recreate")), held(replica("a", **OLD)),
        ["Publish", "StopReplica"],
    ),
    "Recreate: the old one serves nobody: hold for the new one, and stop it at once": (
        desired(want(strategy="Recreate")), seen(replica("a", **OLD, **UNREADY)),
        ["Publish", "StopReplica"],
    ),
    "Recreate: the old one is gone: start the new one, the requests wait on": (
        desired(want(strategy="Recreate")), held(), ["StartReplica"],
    ),
    "Recreate: the new one loads: the requests wait on": (
        desired(want(strategy="Recreate")), held(replica("b", **UNREADY)), [],
    ),
    "Recreate: the new one is ready: it gets the requests": (
        desired(want(strategy="Recreate")), held(replica("b")), ["Publish"],
    ),
    "Recreate: the new one has failed: nobody waits for it": (
        desired(want(strategy="Recreate")), held(replica("b", **UNREADY, load=CRASHED)),
        ["Publish"],
    ),
    "Recreate: start when the old one is gone": (
        desired(want(strategy="Recreate")), held(replica("a", **OLD, draining=True, ready=False)),
        [],
    ),
    "scaled up: start what is missing": (
        desired(want(replicas=3)), seen(replica("a")), ["StartReplica", "StartReplica"],
    ),
    "scaled down: the youngest goes, out of the gateway first": (
        desired(), seen(replica("a", created_at=1.0), replica("b", created_at=2.0)),
        ["Publish", "StopReplica"],
    ),
    "scaled down: one that is not ready goes before those that are": (
        desired(), seen(replica("a", **UNREADY), replica("b")), ["StopReplica"],
    ),
    "stopped: the route goes, then all replicas, old and new": (
        Desired(SERVICE), seen(replica("a"), replica("b", **OLD)),
        ["Publish", "StopReplica", "StopReplica"],
    ),
    "stopped and gone: forget what was prepared": (
        Desired(SERVICE), replace(seen(), published=""), ["Forget"],
    ),
    "stopped and still draining: wait": (
        Desired(SERVICE), replace(seen(replica("a", draining=True)), published=""), [],
    ),
    "a draining replica is nobody's: another is started beside it": (
        desired(), seen(replica("a", draining=True, ready=False)), ["StartReplica"],
    ),
    "a replica became ready: publish it": (
        desired(), replace(seen(replica("a", routed=False)), published="x"), ["Publish"],
    ),
    "a blocked decision leaves everything as it is": (
        Desired(SERVICE, hold=True), seen(replica("a"), replica("b", **OLD)), [],
    ),
    "a blocked decision still keeps the endpoints true": (
        Desired(SERVICE, hold=True), seen(replica("a", routed=False)), ["Publish"],
    ),
    "the workload cannot run here: say so once": (
        desired(want(problem=Problem("ImageNotRunnable", "m"))), seen(), ["BuildEnvironment"],
    ),
    "the workload cannot run here and that is said: nothing more, and the old one serves on": (
        desired(want(problem=Problem("ImageNotRunnable", "m"))),
        seen(replica("a", **OLD), environment=Link(LinkState.FAILED, "ImageNotRunnable", "m")), [],
    ),
    "the workload can run after all (the image table was edited): build": (
        desired(), seen(environment=Link(LinkState.FAILED, "ImageNotRunnable", "m")),
        ["BuildEnvironment"],
    ),
    "a start that was refused is tried again when its time has come": (
        desired(),
        seen(replica("a", running=False, **UNREADY, started_at=0.0, address="",
                     load=Link(LinkState.FAILED, "CreateContainerConfigError", retry_at=NOW))),
        ["StartReplica"],
    ),
    "a replica that crashed is its launcher's to restart": (
        desired(), seen(replica("a", running=False, **UNREADY, back_off_until=NOW + 10)), [],
    ),
    "no replicas wanted: nothing is prepared": (
        desired(want(replicas=0)), replace(Observed(), published=seen().published), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_steps(situation: str) -> None:
    wanted, observed, expected = SITUATIONS[situation]
    assert kinds(steps(wanted, observed)) == expected


def test_an_update_names_the_old_replica_and_publishes_only_the_new_one() -> None:
    old, new = replica("a", **OLD), replica("b")
    publish, stop = steps(desired(), seen(old, new))
    assert stop == StopReplica("a")
    assert isinstance(publish, Publish)
    assert publish.clusters[0].endpoints == select_endpoints([new])


def test_scaling_down_stops_the_youngest() -> None:
    old, young = replica("a", created_at=1.0), replica("b", created_at=2.0)
    assert steps(desired(), seen(old, young))[-1] == StopReplica("b")


def test_a_retry_is_woken_for() -> None:
    assert diff(desired(), seen(download=FAILED), NOW).wake_at == FAILED.retry_at
    assert diff(desired(), seen(replica("a")), NOW).wake_at == 0.0


def test_names_of_new_replicas_are_new() -> None:
    taken = make_replica_name(want(), 0)
    (start,) = steps(desired(want(replicas=2)), seen(replica(taken)))
    assert start == StartReplica(want(replicas=2), make_replica_name(want(), 1))


@given(st.text("abcdefgh-", min_size=1, max_size=80), st.integers(0, 999))
def test_replica_names_are_dns_labels(name: str, ordinal: int) -> None:
    made = make_replica_name(want(name=name), ordinal)
    assert len(made) <= 63
    assert made.endswith(f"-{ordinal}")


def test_replica_names_differ_between_namespaces_and_templates() -> None:
    other = ServiceKey("other", "iris")
    made = {
        make_replica_name(w, 0)
        for w in (want(), want(service=other), want(template_hash="v1-x"), want(name="x"))
    }
    assert len(made) == 4


# Laws, in a world where every step does what it says and processes become ready in time.


@dataclass
class World:
    """A machine on which everything works; `serving_floor` is the least that ever served."""

    observed: Observed
    starts: int = 0
    serving_floor: int = 10**6
    published: frozenset[Endpoint] = field(default_factory=frozenset)

    @property
    def replicas(self) -> tuple[ObservedReplica, ...]:
        return self.observed.workloads[0].replicas if self.observed.workloads else ()

    def apply(self, step: LocalStep) -> None:
        match step:
            case Fetch(workload):
                self._prepare(workload, "download")
            case BuildEnvironment(workload):
                self._prepare(workload, "environment")
            case StartReplica(workload, name):
                assert name not in {r.name for r in self.replicas}, "a name is used once"
                self.starts += 1
                self._set(*self.replicas, replica(
                    name, template_hash=workload.template_hash, **UNREADY,
                    address=f"127.0.0.1:{30000 + self.starts}", created_at=NOW + self.starts,
                ))  # fmt: skip
            case Publish(route, clusters):
                self.published = frozenset(e for c in clusters for e in c.endpoints)
                published = make_publication(route, clusters)
                self.observed = replace(self.observed, published=published, held=select_held(route))
                self._set(*(replace(r, routed=r.routed and self.has(r)) for r in self.replicas))
            case StopReplica(name):
                for r in self.replicas:
                    assert r.name != name or not self.has(r), "stopped while the gateway has it"
                self._set(*(replace(r, draining=r.draining or r.name == name)
                            for r in self.replicas))  # fmt: skip
            case Forget():
                self.observed = replace(self.observed, workloads=())
        serving = sum(r.ready and self.has(r) and not r.draining for r in self.replicas)
        # Whoever asks while requests are held waits, and is served.
        if not self.observed.held:
            self.serving_floor = min(self.serving_floor, serving)

    def tick(self) -> None:
        """Time passes: what drains ends, what starts is ready, what is published is routed."""
        left = [r for r in self.replicas if not r.draining]
        self._set(*(replace(r, ready=True, running=True, routed=self.has(r)) for r in left))

    def has(self, r: ObservedReplica) -> bool:
        host, _, port = r.address.rpartition(":")
        return bool(port) and Endpoint(host, int(port)) in self.published

    def _prepare(self, workload: DesiredWorkload, link: str) -> None:
        found = next(iter(self.observed.workloads), None)
        if found is None or found.template_hash != workload.template_hash:
            found = ObservedWorkload(workload.name, workload.component, workload.template_hash,
                                     Link(), Link(), self.replicas)  # fmt: skip
        made = replace(found, **{link: DONE})
        self.observed = replace(self.observed, workloads=(made,))

    def _set(self, *replicas: ObservedReplica) -> None:
        if self.observed.workloads:
            made = replace(self.observed.workloads[0], replicas=tuple(replicas))
            self.observed = replace(self.observed, workloads=(made,))

    def settle(self, wanted: Desired) -> int:
        """Take all steps until none is left; return the number of rounds."""
        for rounds in range(60):
            found = diff(wanted, self.observed, NOW)
            for step in found.steps:
                self.apply(step)
            before = self.observed
            self.tick()
            if not found.steps and before == self.observed:
                return rounds
        raise AssertionError("the steps never end")


@st.composite
def worlds(draw: st.DrawFn, *, serving: int = 0) -> World:
    """Worlds in the middle of anything, with at least `serving` old replicas that serve."""
    some = st.builds(
        replica,
        st.just("r"),
        template_hash=st.sampled_from(["v1-old", "v1-older", "v1-new"]),
        ready=st.booleans(),
        routed=st.booleans(),
        draining=st.booleans(),
    )
    found = [replace(r, routed=r.routed and r.ready and not r.draining)
             for r in draw(st.lists(some, max_size=5))]  # fmt: skip
    found += [replica("r", **OLD) for _ in range(serving)]
    replicas = tuple(
        replace(r, name=f"r{i}", address=f"127.0.0.1:{20000 + i}", created_at=float(i))
        for i, r in enumerate(found)
    )
    link = st.sampled_from([DONE, Link()])
    observed = seen(*replicas, template_hash=draw(st.sampled_from(["v1-new", "v1-old"])),
                    download=draw(link), environment=draw(link))  # fmt: skip
    routed = select_endpoints(r for r in replicas if r.routed)
    clusters = (Cluster("default/iris-predictor", routed, ""),)
    observed = replace(observed, published=make_publication(ROUTE, clusters))
    return World(observed, published=frozenset(routed))


WANTED = st.builds(
    lambda n, strategy: desired(want(replicas=n, strategy=strategy)),
    st.integers(0, 6),
    st.sampled_from(["RollingUpdate", "Recreate"]),
)


@given(worlds(), WANTED)
@settings(max_examples=300, deadline=None)
def test_applying_all_steps_reaches_what_is_wanted_and_leaves_no_step(
    world: World, wanted: Desired
) -> None:
    world.settle(wanted)
    (workload,) = wanted.workloads
    assert [r.template_hash for r in world.replicas] == ["v1-new"] * workload.replicas
    assert world.published == frozenset(select_endpoints(world.replicas))
    assert diff(wanted, world.observed, NOW).steps == ()


@given(worlds(serving=1), st.integers(1, 6))
@settings(max_examples=300, deadline=None)
def test_an_update_never_takes_the_last_replica_that_serves(world: World, count: int) -> None:
    serving = sum(r.ready and r.routed and not r.draining for r in world.replicas)
    world.settle(desired(want(replicas=count)))
    assert world.serving_floor >= min(serving, count)


@given(worlds(serving=1))
@settings(max_examples=300, deadline=None)
def test_a_recreation_takes_the_last_replica_that_serves_only_while_requests_wait(
    world: World,
) -> None:
    world.settle(desired(want(strategy="Recreate")))
    assert world.serving_floor >= 1


@given(worlds())
@settings(deadline=None)
def test_stopped_means_that_nothing_is_left(world: World) -> None:
    world.settle(Desired(SERVICE))
    assert world.replicas == ()
    assert world.observed.published == ""
    assert world.published == frozenset()


@given(worlds(), st.integers(1, 6))
@settings(deadline=None)
def test_an_update_never_runs_more_than_the_surge_beside_what_is_wanted(
    world: World, count: int
) -> None:
    before = sum(not r.draining for r in world.replicas)
    wanted = desired(want(replicas=count))
    for _ in range(20):
        for step in diff(wanted, world.observed, NOW).steps:
            world.apply(step)
        live = sum(not r.draining for r in world.replicas)
        assert live <= max(before, count + max(1, -(-count // 4)))
        world.tick()
