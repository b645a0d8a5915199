"""The gateway with a real Envoy and real servers: change under load, death, hanging, start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from sampan.gateway.ask import Address, ask
from sampan.gateway.binary import encode_response_resource, encode_version
from sampan.gateway.config import ROUTES_FILE, ConfigFile, render_listeners
from sampan.gateway.config_routes import make_routes
from sampan.gateway.envoy import first_complaint, stop_left_behind
from sampan.gateway.errors import GatewayError
from sampan.gateway.listener import Gateway
from sampan.gateway.messages_routes import ROUTE_MESSAGES
from sampan.gateway.ports import observe_twin_addresses
from sampan.gateway.process import Identity, is_running, observe_identity
from sampan.gateway.rendering import Rendering
from sampan.gateway.settings import GatewaySettings
from sampan.gateway.table import Cluster, Endpoint, RouteTable, Share, TableRoute
from sampan.machinery.clock import SystemClock

MakeTable = Callable[..., RouteTable]
MakeIris = Callable[..., TableRoute]
MakeBackend = Callable[..., Awaitable]
HOST = "iris.default.localhost"


async def get(gateway: Gateway, path: str, host: str = HOST) -> tuple[int, str]:
    address = Address(port=gateway.settings.port)
    answer = await ask(address, path, host, 5)
    return answer.status, bytes(answer.body).decode()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """Seconds until the condition held; fails after the limit."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < seconds, f"not so within {seconds} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


class TestChange:
    async def test_moving_between_endpoints_and_clusters_under_load_loses_nothing(
        self,
        gateway: Gateway,
        make_backend: MakeBackend,
        make_table: MakeTable,
        make_iris: MakeIris,
    ) -> None:
        a, b, c = [await make_backend(name) for name in "abc"]
        for backend in (a, b, c):
            backend.delay = 0.02
        other = Cluster("default/iris-predictor/v2-b", (c.endpoint,), "/health")
        tables = [
            make_table(a, b),
            make_table(b),
            RouteTable((make_iris(Share(other.name)),), (other,)),
            make_table(a),
        ]
        await gateway.apply(tables[0])
        answers: Counter[int] = Counter()
        stop = asyncio.Event()

        async def load() -> None:
            url = f"http://127.0.0.1:{gateway.settings.port}/serving/default/iris/x"
            async with httpx.AsyncClient() as client:
                while not stop.is_set():
                    answers[(await client.get(url)).status_code] += 1

        clients = [asyncio.create_task(load()) for _ in range(6)]
        for table in tables * 4:
            await gateway.apply(table)
            await asyncio.sleep(0.1)
        stop.set()
        await asyncio.gather(*clients)
        assert set(answers) == {200}
        assert answers[200] > 100
        assert all(backend.seen for backend in (a, b, c))

    async def test_a_request_on_its_way_outlives_its_cluster(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        backend = await make_backend()
        backend.delay = 0.7
        await gateway.apply(make_table(backend))
        request = asyncio.create_task(get(gateway, "/slow"))
        await until(lambda: as_async(bool(backend.seen)), 2)
        await gateway.apply(RouteTable())
        assert await request == (200, "a /slow")
        assert (await get(gateway, "/slow"))[0] == 404

    async def test_a_replica_that_dies_loses_no_request_that_was_not_sent(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        dead, live = await make_backend("dead"), await make_backend("live")
        await gateway.apply(make_table(dead, live))
        await dead.stop()
        answers = [await get(gateway, "/x") for _ in range(20)]
        assert answers == [(200, "live /x")] * 20

    async def test_there_may_be_more_services_than_a_user_has_file_watches(
        self, gateway: Gateway, make_backend: MakeBackend
    ) -> None:
        backend = await make_backend()
        names = [f"m{number}" for number in range(200)]  # the usual limit is 128
        clusters = tuple(Cluster(f"a/{name}", (backend.endpoint,), "") for name in names)
        routes = tuple(
            TableRoute(f"a/{name}", (f"{name}.a.localhost",), f"/serving/a/{name}", (share,))
            for name, share in zip(names, (Share(c.name) for c in clusters), strict=True)
        )
        await gateway.apply(RouteTable(routes, clusters))
        assert await get(gateway, "/x", "m199.a.localhost") == (200, "a /x")
        assert gateway.restarts == 0

    async def test_the_same_table_again_writes_nothing(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable, tmp_path: Path
    ) -> None:
        table = make_table(await make_backend())
        await gateway.apply(table)
        files = list((tmp_path / "gateway").rglob("*.json"))
        before = {path: path.stat().st_mtime_ns for path in files}
        await gateway.detach()
        successor = Gateway(tmp_path / "gateway", gateway.settings)
        await successor.start()
        await successor.apply(table)
        await successor.detach()
        assert {path: path.stat().st_mtime_ns for path in files} == before

    async def test_a_change_that_was_given_up_half_way_is_made_whole_by_the_next(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        first = make_table(await make_backend())
        await gateway.apply(first)
        for pause in (0, 0.001, 0.003):
            change = asyncio.create_task(gateway.apply(RouteTable()))
            await asyncio.sleep(pause)
            change.cancel()
            await asyncio.gather(change, return_exceptions=True)
            await gateway.apply(first)
            assert (await get(gateway, "/x"))[0] == 200

    async def test_a_refused_configuration_is_named_and_undone(
        self,
        gateway: Gateway,
        make_backend: MakeBackend,
        make_table: MakeTable,
        tmp_path: Path,
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        folder = tmp_path / "gateway"
        good = (folder / ROUTES_FILE).read_bytes()
        routes = make_routes(RouteTable(), gateway.settings, starting=False)
        routes["virtual_hosts"][0]["domains"] = ["same", "same"]
        body = encode_response_resource(routes, ROUTE_MESSAGES)
        stat = Rendering(gateway.settings).routes(RouteTable()).stat
        bad = ConfigFile(ROUTES_FILE, "bad", stat, encode_version("bad") + body)
        with pytest.raises(GatewayError, match="Duplicate entry of domain same") as raised:
            await gateway._delivery.deliver([bad])
        assert raised.value.reason == "ConfigRejected"
        assert (folder / ROUTES_FILE).read_bytes() == good
        assert (await get(gateway, "/v1"))[0] == 200


async def as_async(value: bool) -> bool:
    return value


class TestHealth:
    async def test_a_hung_server_is_seen_and_passed_by_within_about_a_second(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        good, bad = await make_backend("good"), await make_backend("bad")
        await gateway.apply(make_table(good, bad))
        await asyncio.sleep(0.6)
        bad.hang = True

        async def seen() -> bool:
            gateway._health_at = float("-inf")
            (endpoints,) = (await gateway.health()).values()
            return {e.endpoint: e.healthy for e in endpoints} == {
                good.endpoint: True,
                bad.endpoint: False,
            }

        # 0.5 s between questions and 1 s to answer one.
        assert await until(seen, 3) < 1.8
        assert [await get(gateway, "/x") for _ in range(10)] == [(200, "good /x")] * 10
        bad.hang = False
        await until(lambda: _not(seen), 2)

    async def test_where_no_server_is_healthy_the_servers_own_words_reach_the_client(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        backend = await make_backend("loading")
        backend.unready = True
        await gateway.apply(make_table(backend))
        ((endpoint,),) = (await gateway.health()).values()
        assert not endpoint.healthy
        assert await get(gateway, "/x") == (503, "loading /x")

    async def test_an_endpoint_in_the_place_of_another_is_told_though_their_number_is_the_same(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        old, new = await make_backend("old"), await make_backend("new")

        async def told() -> set[tuple[Endpoint, bool]]:
            gateway._health_at = float("-inf")
            (endpoints,) = (await gateway.health()).values()
            return {(e.endpoint, e.healthy) for e in endpoints}

        await gateway.apply(make_table(old))
        assert await told() == {(old.endpoint, True)}
        await gateway.apply(make_table(new))
        assert await told() == {(new.endpoint, True)}
        assert await told() == {(new.endpoint, True)}

    async def test_a_gateway_that_was_started_again_is_asked_for_everything(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        backend = await make_backend()
        await gateway.apply(make_table(backend))
        before = await gateway.health()
        os.kill(gateway.pid, signal.SIGKILL)

        async def same() -> bool:
            gateway._health_at = float("-inf")
            try:
                return await gateway.health() == before
            except GatewayError:
                return False

        await until(lambda: _not(same), 20)
        await until(same, 20)

    async def test_envoy_is_asked_once_a_second_at_most(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        answers = await asyncio.gather(*(gateway.health() for _ in range(20)))
        assert all(answer is answers[0] for answer in answers)

    async def test_a_front_door_that_answers_is_told_from_one_that_hangs(
        self, gateway: Gateway
    ) -> None:
        assert await gateway.answers()
        os.kill(gateway.pid, signal.SIGSTOP)
        try:
            await until(lambda: _not(gateway.answers), 20)  # its threads stop one by one
        finally:
            os.kill(gateway.pid, signal.SIGCONT)
        assert await gateway.answers()

    async def test_verify_sends_a_real_request(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        backend = await make_backend()
        table = make_table(backend)
        missing = await gateway.verify(table.routes[0], "/v1/models/iris")
        assert (missing.passed, missing.status) == (False, 503)
        await gateway.apply(table)
        verdict = await gateway.verify(table.routes[0], "/v1/models/iris")
        assert (verdict.passed, verdict.status) == (True, 200)
        assert b"GET /v1/models/iris " in backend.seen[0]
        by_path = replace(table.routes[0], hosts=())
        assert (await gateway.verify(by_path, "/v1/models/iris")).passed


async def _not(condition: Callable[[], Awaitable[bool]]) -> bool:
    return not await condition()


class Naps(SystemClock):
    """The machine's clock, which notes how long somebody slept."""

    def __init__(self) -> None:
        self.naps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        await super().sleep(seconds)


def take_port(port: int) -> socket.socket:
    """Listen on a port as soon as who has it has ended, and let nobody else in between."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline, f"port {port} is not free within 20 s"
            time.sleep(0.005)


class TestDeath:
    async def test_a_killed_envoy_comes_back_with_the_same_routes(
        self, gateway: Gateway, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        first = gateway.pid
        os.kill(first, signal.SIGKILL)

        async def serves() -> bool:
            try:
                return (await get(gateway, "/x"))[0] == 200
            except OSError:
                return False

        assert await until(serves, 5) < 2
        assert gateway.pid not in {0, first}
        assert gateway.restarts == 1

    async def test_an_envoy_whose_port_was_taken_meanwhile_is_back_soon_after_it_is_free(
        self, tmp_path: Path, settings: GatewaySettings
    ) -> None:
        clock = Naps()
        gateway = Gateway(tmp_path / "gateway", settings, clock)
        await gateway.start()
        try:
            os.kill(gateway.pid, signal.SIGKILL)
            clock.naps.clear()
            with take_port(settings.port):  # before the gateway's own task can run
                await until(lambda: as_async(len(clock.naps) > 10), 20)
                assert gateway.last_error
                assert gateway.last_error.reason == "PortInUse"
                assert max(clock.naps) <= 0.1
            await until(lambda: as_async(gateway.restarts == 1), 20)
            assert gateway.last_error is None
        finally:
            await gateway.close()

    async def test_envoy_outlives_its_daemon_and_the_next_adopts_it(
        self,
        tmp_path: Path,
        settings: GatewaySettings,
        make_backend: MakeBackend,
        make_table: MakeTable,
    ) -> None:
        backend = await make_backend()
        folder = tmp_path / "gateway"
        daemon = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            DAEMON,
            str(folder),
            str(settings.port),
            stdout=asyncio.subprocess.PIPE,
        )
        assert daemon.stdout
        pid = int(await asyncio.wait_for(daemon.stdout.readline(), 10))
        daemon.kill()
        await daemon.wait()
        envoy = observe_identity(pid)
        assert envoy
        gateway = Gateway(folder, settings)
        await gateway.start()
        try:
            assert gateway.pid == pid
            assert gateway.restarts == 0
            await gateway.apply(make_table(backend))
            assert (await get(gateway, "/x"))[0] == 200
            os.kill(pid, signal.SIGKILL)
            await until(lambda: as_async(gateway.pid not in {0, pid}), 3)
        finally:
            await gateway.close()
        assert not is_running(envoy)

    async def test_routes_stay_through_an_adoption(
        self, gateway: Gateway, tmp_path: Path, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        await gateway.detach()
        assert (await get(gateway, "/x"))[0] == 200
        successor = Gateway(tmp_path / "gateway", gateway.settings)
        await successor.start()
        assert successor.pid == gateway.pid
        assert (await get(gateway, "/x"))[0] == 200
        await successor.detach()

    async def test_what_a_dead_daemon_left_behind_can_be_ended_without_a_new_one(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        identity = observe_identity(gateway.pid)
        assert identity
        await gateway.detach()
        assert await stop_left_behind(tmp_path / "gateway") is True
        assert not is_running(identity)
        assert await stop_left_behind(tmp_path / "gateway") is False
        assert await stop_left_behind(tmp_path / "nothing") is False

    async def test_a_strangers_pid_is_never_touched(
        self, tmp_path: Path, settings: GatewaySettings
    ) -> None:
        stranger = await asyncio.create_subprocess_exec("sleep", "60")
        identity = observe_identity(stranger.pid)
        assert identity
        folder = tmp_path / "gateway"
        folder.mkdir()
        for ticks in (identity.start_ticks, identity.start_ticks - 1):
            record = {"pid": stranger.pid, "startTicks": ticks, "fingerprint": "x"}
            (folder / "envoy.json").write_text(json.dumps(record))
            gateway = Gateway(folder, settings)
            await gateway.start()
            assert gateway.pid != stranger.pid
            await gateway.close()
        assert is_running(identity)
        stranger.kill()
        await stranger.wait()

    async def test_close_leaves_no_process_and_no_listener(self, gateway: Gateway) -> None:
        identity = observe_identity(gateway.pid)
        assert identity
        await gateway.close()
        assert not is_running(identity)
        with pytest.raises(OSError, match="Connect call failed"):
            await get(gateway, "/")
        await gateway.close()

    async def test_a_new_envoy_does_not_send_to_endpoints_of_an_earlier_life(
        self,
        tmp_path: Path,
        settings: GatewaySettings,
        make_backend: MakeBackend,
        make_table: MakeTable,
    ) -> None:
        backend = await make_backend()
        for _ in range(2):
            gateway = Gateway(tmp_path / "gateway", settings)
            await gateway.start()
            status, body = await get(gateway, "/x")
            assert status == 503
            assert "does not know its services yet" in json.loads(body)["error"]
            await gateway.apply(make_table(backend))
            await gateway.close()
        assert backend.seen == []


DAEMON = """
import asyncio, sys
from pathlib import Path
from sampan.gateway.listener import Gateway
from sampan.gateway.settings import GatewaySettings

async def main():
    gateway = Gateway(Path(sys.argv[1]), GatewaySettings(port=int(sys.argv[2]), workers=1))
    await gateway.start()
    print(gateway.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


class TestStart:
    async def test_a_taken_port_is_named_with_who_holds_it_and_the_mend(
        self, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            gateway = Gateway(tmp_path / "gateway", GatewaySettings(port=port))
            with pytest.raises(GatewayError) as raised:
                await gateway.start()
        assert raised.value.reason == "PortInUse"
        for words in (f"port {port}", f"process {os.getpid()}", "pytest", "--port"):
            assert words in raised.value.message
        assert gateway.pid == 0

    async def test_a_port_that_is_shared_by_others_counts_as_taken(self, tmp_path: Path) -> None:
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            with pytest.raises(GatewayError, match="is taken"):
                await Gateway(tmp_path / "gateway", GatewaySettings(port=port)).start()

    async def test_a_port_lost_after_the_check_is_told_in_envoys_words(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            taken = replace(gateway.settings, port=holder.getsockname()[1])
            listeners = render_listeners(taken, str(tmp_path / "gateway"))
            with pytest.raises(GatewayError, match="Address already in use"):
                await gateway._delivery.deliver([listeners])
        assert (await get(gateway, "/x"))[0] == 503

    async def test_ipv6_names_of_this_machine_lead_here_too(self, gateway: Gateway) -> None:
        if observe_twin_addresses("127.0.0.1") == ():
            pytest.skip("this machine has no ::1")
        answer = await ask(Address(host="::1", port=gateway.settings.port), "/", "localhost", 5)
        assert answer.status == 503

    async def test_the_ipv6_twin_of_the_port_counts_as_the_port(self, tmp_path: Path) -> None:
        if observe_twin_addresses("127.0.0.1") == ():
            pytest.skip("this machine has no ::1")
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as holder:
            port = holder.getsockname()[1]
            with pytest.raises(GatewayError, match=f"port {port} on ::1 is taken by process"):
                await Gateway(tmp_path / "gateway", GatewaySettings(port=port)).start()

    async def test_a_folder_too_deep_for_a_socket_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(GatewayError) as raised:
            await Gateway(tmp_path / ("d" * 120)).start()
        assert raised.value.reason == "PathTooLong"
        assert "XDG_STATE_HOME" in raised.value.message

    async def test_off_loopback_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(GatewayError, match="not authenticated") as raised:
            await Gateway(tmp_path / "gateway", GatewaySettings(host="0.0.0.0")).start()
        assert raised.value.reason == "InvalidSettings"

    async def test_files_are_the_users_alone(
        self, gateway: Gateway, tmp_path: Path, make_backend: MakeBackend, make_table: MakeTable
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        folder = tmp_path / "gateway"
        modes = {path.name: path.stat().st_mode & 0o077 for path in folder.rglob("*")}
        assert set(modes.values()) == {0}
        assert folder.stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("what", ["port", "access_log"])
    async def test_settings_may_change_with_the_daemon(
        self,
        gateway: Gateway,
        tmp_path: Path,
        make_backend: MakeBackend,
        make_table: MakeTable,
        what: str,
    ) -> None:
        await gateway.apply(make_table(await make_backend()))
        await gateway.detach()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        changes = {"port": port} if what == "port" else {"access_log": True}
        successor = Gateway(tmp_path / "gateway", replace(gateway.settings, **changes))
        await successor.start()
        assert successor.pid == gateway.pid
        assert (await get(successor, "/x"))[0] == 200
        await successor.detach()


def test_no_identity_is_shared_by_two_lives_of_a_pid() -> None:
    mine = observe_identity(os.getpid())
    assert mine
    assert is_running(mine)
    assert not is_running(Identity(mine.pid, mine.start_ticks + 1))


CRASH = """
[2026-01-01 00:00:00.000][1][critical][assert] [source/a.cc:25] assert failure: fd
[2026-01-01 00:00:00.001][1][error][envoy_bug] [./source/b.h:66] #0 UNKNOWN [0x56]
"""
COMPLAINTS = [
    ("nothing where nothing was said", "", ""),
    ("the first error, not the stack after it", CRASH, "assert failure: fd"),
    ("else the last line", "error: unknown option\n\nsee --help\n", "see --help"),
]


@pytest.mark.parametrize(
    ("log", "complaint"), [row[1:] for row in COMPLAINTS], ids=[row[0] for row in COMPLAINTS]
)
def test_of_envoys_log_is_told(log: str, complaint: str) -> None:
    assert first_complaint(log) == complaint


async def test_an_envoy_that_ends_at_its_start_is_told_with_its_words(
    tmp_path: Path, settings: GatewaySettings
) -> None:
    folder = tmp_path / "gateway"
    gateway = Gateway(folder, settings)
    gateway._bootstrap = b'{"admin": 1}'
    with pytest.raises(GatewayError, match="Unable to parse JSON as proto") as raised:
        await gateway.start()
    assert raised.value.reason == "EnvoyExited"
    assert gateway.pid == 0
