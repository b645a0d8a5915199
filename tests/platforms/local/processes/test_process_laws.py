"""Laws of the pure parts: back-off, references, ports, records, exits."""

import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.plan.observed import Exit, Link, LinkState
from sampan.plan.types import ServiceKey
from sampan.platforms.local.backoff import BackOff
from sampan.platforms.local.exits import Ending, make_exit
from sampan.platforms.local.expansion import (
    ExpansionTooLarge,
    expand,
    expand_command,
    expand_env,
)
from sampan.platforms.local.memory import OomWatch, parse_oom_kills
from sampan.platforms.local.ports import NoFreePort, PortPool, is_free
from sampan.platforms.local.process import ProcessSpec, ProcessState, Zygote
from sampan.platforms.local.records import BadRecord, Record, Records, decode, encode

NAMES = st.from_regex(r"[A-Z_]{1,8}", fullmatch=True)


class TestBackOff:
    def test_the_default_is_the_kubelets(self) -> None:
        delays = [BackOff().delay(crashes) for crashes in range(1, 9)]
        assert delays == [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]

    @given(crashes=st.integers(0, 10**6))
    def test_never_shrinks_and_never_passes_its_cap(self, crashes: int) -> None:
        policy = BackOff()
        assert policy.delay(crashes) <= policy.delay(crashes + 1) <= policy.cap

    @given(before=st.integers(0, 1000), ran=st.floats(0, 10**6))
    def test_a_long_run_begins_a_new_series(self, before: int, ran: float) -> None:
        crashes = BackOff().crashes(before, ran)
        assert crashes == (1 if ran >= 600 else before + 1)


class TestReferences:
    @pytest.mark.parametrize(
        ("text", "expanded"),
        [
            pytest.param("$(A)", "1", id="a reference is replaced"),
            pytest.param("x$(A)y$(B)", "x1y2", id="several in one word"),
            pytest.param("$(C)", "$(C)", id="an unknown variable stays as written"),
            pytest.param("$$(A)", "$(A)", id="a doubled dollar escapes"),
            pytest.param("$$$(A)", "$1", id="an escape before a reference"),
            pytest.param("$A ${A}", "$A ${A}", id="shell forms are not ours"),
            pytest.param("$(A", "$(A", id="an unclosed reference stays"),
            pytest.param("cost: 5$", "cost: 5$", id="a dollar at the end stays"),
            pytest.param("$(D)", "$(A)", id="a value is not expanded again"),
        ],
    )
    def test_kubernetes_rules(self, text: str, expanded: str) -> None:
        assert expand(text, {"A": "1", "B": "2", "D": "$(A)"}) == expanded

    @given(text=st.text())
    def test_escaping_every_dollar_gives_the_text_back(self, text: str) -> None:
        assert expand(text.replace("$", "$$"), {"A": "1"}) == text

    @pytest.mark.parametrize(
        "env",
        [
            pytest.param({"A": "x" * 1000, "B": "$(A)" * 200}, id="one that names many"),
            pytest.param(
                {"A": "x" * 100_000, **{f"B{n}": "$(A)" for n in range(30)}},
                id="many that name one",
            ),
        ],
    )
    def test_no_environment_grows_beyond_what_a_process_takes(self, env: dict[str, str]) -> None:
        with pytest.raises(ExpansionTooLarge, match="name less"):
            expand_env(env, {})

    def test_a_long_value_without_references_stays(self) -> None:
        assert expand_env({"A": "x" * 500_000}, {})["A"] == "x" * 500_000

    @given(text=st.text(alphabet="$()AB x"))
    def test_text_without_doubled_dollars_is_its_own_expansion_without_variables(
        self, text: str
    ) -> None:
        if "$$" not in text:
            assert expand(text, {}) == text

    def test_env_sees_ports_and_the_variables_before_it_only(self) -> None:
        env = {"EARLY": "$(LATE)", "URL": "http://h:$(SAMPAN_PORT_80)", "LATE": "$(URL)/x"}
        assert expand_env(env, {80: 2001}) == {
            "SAMPAN_PORT_80": "2001",
            "EARLY": "$(LATE)",
            "URL": "http://h:2001",
            "LATE": "http://h:2001/x",
        }

    @given(env=st.dictionaries(NAMES, st.text(alphabet="ab$()", max_size=8)))
    def test_a_command_names_what_its_environment_holds(self, env: dict[str, str]) -> None:
        words = tuple(f"$({name})" for name in env)
        command = expand_command(words, env, {})
        assert command.argv == tuple(command.env[name] for name in env)


class TestPorts:
    def test_a_port_is_given_once_until_released(self) -> None:
        pool = PortPool(25_000, 25_003)
        free = [port for port in range(25_000, 25_004) if is_free(port)]
        assert sorted(pool.take() for _ in free) == free
        with pytest.raises(NoFreePort, match="25000-25003"):
            pool.take()
        pool.release(free[:1])
        assert pool.take() == free[0]

    def test_a_port_with_a_listener_on_any_address_is_left_alone(self) -> None:
        with socket.create_server(("127.0.0.2", 0)) as stranger:
            port = stranger.getsockname()[1]
            assert not is_free(port)
            with pytest.raises(NoFreePort):
                PortPool(port, port).take()

    def test_a_reserved_port_is_left_alone(self) -> None:
        pool = PortPool(25_010, 25_010)
        pool.reserve([25_010])
        with pytest.raises(NoFreePort):
            pool.take()


SPEC = ProcessSpec(
    service=ServiceKey("default", "iris"),
    workload="iris-predictor",
    component="predictor",
    replica="iris-predictor-0",
    template_hash="v1-abc",
    argv=("serve",),
    env={"A": "secret"},
    cwd="/",
    ports=(8080, 8081),
    http_port=8080,
    readiness={"httpGet": {"path": "/", "port": 8080}},
)

EXITS = st.builds(
    Exit,
    code=st.none() | st.integers(0, 255),
    reason=st.sampled_from(["Error", "OOMKilled"]),
    message=st.text(),
    last_lines=st.lists(st.text(), max_size=3).map(tuple),
)
RECORDS = st.builds(
    Record,
    state=st.builds(
        ProcessState,
        spec=st.sampled_from([SPEC, replace(SPEC, zygote=Zygote("python", ("numpy",), "a:b"))]),
        created_at=st.floats(0, 2e9),
        pid=st.integers(0, 2**22),
        ports=st.dictionaries(st.integers(1, 65535), st.integers(1, 65535), max_size=2),
        running=st.booleans(),
        restarts=st.integers(0, 9),
        load=st.builds(Link, state=st.sampled_from(LinkState), message=st.text()),
        last_exit=st.none() | EXITS,
    ),
    uid=st.text(alphabet="0123456789abcdef", max_size=8),
    crashes=st.integers(0, 99),
    stop_at=st.floats(0, 2e9),
)


class TestRecords:
    @given(record=RECORDS)
    def test_a_record_is_read_as_it_was_written(
        self, tmp_path_factory: pytest.TempPathFactory, record: Record
    ) -> None:
        records = Records(tmp_path_factory.getbasetemp() / "law")
        records.write(record)
        assert records.read(SPEC.replica) == record
        assert decode(encode(record)) == record

    def test_nobody_else_can_read_it(self, tmp_path: Path) -> None:
        records = Records(tmp_path / "r")
        records.write(Record(ProcessState(SPEC, 1.0)))
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "r").rglob("*")}
        assert modes == {"iris-predictor-0": 0o700, "record.json": 0o600}

    @pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", "A", "a..b", "-a", "a" * 300])
    def test_a_name_never_leaves_the_folder(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match="is not a DNS subdomain"):
            Records(tmp_path).folder(name)

    @pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"version": 99}'])
    def test_a_broken_record_is_said_to_be_one(self, tmp_path: Path, body: str) -> None:
        records = Records(tmp_path)
        (records.folder("a") / "record.json").write_text(body)
        with pytest.raises(BadRecord, match="is not a record"):
            records.read("a")


class TestExits:
    @pytest.mark.parametrize(
        ("ending", "expected"),
        [
            pytest.param(
                {"status": 0}, (0, "", "Completed"), id="exit code 0 is Completed, and no error"
            ),
            pytest.param({"status": 3 << 8}, (3, "", "Error"), id="an exit code is an Error"),
            pytest.param({"status": 9}, (137, "SIGKILL", "Error"), id="128 + the signal"),
            pytest.param({"status": 64}, (192, "SIGRTMAX", "Error"), id="the last signal"),
            pytest.param({"status": 40}, (168, "SIG40", "Error"), id="a signal without a name"),
            pytest.param(
                {"status": None}, (None, "", "ContainerStatusUnknown"), id="nobody could reap it"
            ),
            pytest.param(
                {"status": 9, "out_of_memory": True}, (137, "SIGKILL", "OOMKilled"), id="memory"
            ),
            pytest.param(
                {"status": 15, "killed_for": "the liveness probe is lost"},
                (143, "SIGTERM", "Unhealthy"),
                id="ended for its probe",
            ),
            pytest.param(
                {"status": 256, "termination": '{"reason": "ModelMissing", "message": "no x"}'},
                (1, "", "ModelMissing"),
                id="the process told a reason",
            ),
        ],
    )
    def test_in_kubernetes_words(
        self, ending: dict[str, object], expected: tuple[int | None, str, str]
    ) -> None:
        found = make_exit(Ending(started_at=1.0, finished_at=2.0, **ending))  # type: ignore[arg-type] # rows
        assert (found.code, found.signal, found.reason) == expected
        assert found.message

    @given(text=st.text(min_size=1).filter(str.strip))
    def test_any_termination_text_is_a_message(self, text: str) -> None:
        found = make_exit(Ending(256, 1.0, 2.0, termination=text))
        assert found.reason
        assert found.message

    def test_plain_termination_text_is_the_message(self) -> None:
        assert make_exit(Ending(256, 1.0, 2.0, termination=" no model\n")).message == "no model"


class TestMemory:
    def test_the_count_is_read_from_vmstat(self) -> None:
        assert parse_oom_kills("nr_free_pages 5\noom_kill 7\n") == 7

    def test_a_kernel_that_does_not_count_has_none(self) -> None:
        assert parse_oom_kills("nr_free_pages 5\n") == 0

    def test_a_kill_is_seen_though_a_tick_came_between(self, tmp_path: Path) -> None:
        vmstat = tmp_path / "vmstat"
        vmstat.write_text("oom_kill 1\n")
        watch = OomWatch(vmstat)
        assert not watch.killed_lately()
        vmstat.write_text("oom_kill 2\n")
        watch.tick()
        assert watch.killed_lately()
        watch.tick()
        assert not watch.killed_lately()
