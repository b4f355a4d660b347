"""The whole demonstration, with the real programs on the real kernel."""

import fcntl
import json
import pathlib
from typing import Any, Iterator

import pytest
from runs import failed, host_state, lab_run

DEMO_DEADLINE_S = 150
LONG_DEAD_S = 150
NEIGHBOURS_LOCK = pathlib.Path("/run/lock/vxmesh-neighbours.lock")

# One for every promise: a demo that forgot to look at one must not pass.
PROMISES = [
    "n1: device",
    "n2: address",
    "n3: FDB",
    "n1: routes",
    "n2: no neighbour before traffic",
    "first packets: none lost",
    "n3: a miss for every remote pod and base address",
    "n1: each miss answered",
    "pod to remote node: nothing sent through the tunnel",
    "pod to remote node: raises no miss",
    "matrix: no packet lost",
    "n2: neighbours",
    "p11: 100.96.77.1 refused within 100 ms",
    "n1: 100.96.77.9 refused every time",
    "n1: no neighbour appears for refused addresses",
    "join: n4 and its pods reach and are reached",
    "address change: n1: FDB",
    "leave: n1: FDB",
    "leave: n1: routes",
    "leave: n1: its neighbours are gone",
    "take-over: p51 answers, never p41",
    "killed agent: p11 -> p21 tcp loses nothing",
    "killed agent: p21 -> p11 icmp loses nothing",
    "restart: its reads are seen",
    "restart: the new agent issues no write",
]


@pytest.fixture(scope="module")
def two_at_once(
    programs: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Two short demos at the same time, and the host before and after."""
    before = host_state()
    arguments = ["demo", "--json", "--dead-for", "2", "--bin", str(programs)]
    logs = [tmp_path_factory.mktemp("logs") for _ in range(2)]
    with lab_run(*arguments, "--keep-logs", str(logs[0])) as first:
        with lab_run(*arguments, "--keep-logs", str(logs[1])) as second:
            results = [run.finish(DEMO_DEADLINE_S) for run in (first, second)]
            yield {
                "results": results,
                "living": first.await_none_living(5) + second.await_none_living(5),
                "before": before,
                "after": host_state(),
            }


def test_two_demos_at_once_pass(two_at_once: dict[str, Any]) -> None:
    for status, output, errors in two_at_once["results"]:
        result = json.loads(output)
        assert failed(result) == {}, errors
        assert (status, result["failed"]) == (0, 0)
        names = {check["name"] for check in result["checks"]}
        assert [promise for promise in PROMISES if promise not in names] == []


def test_the_last_line_counts_the_checks(two_at_once: dict[str, Any]) -> None:
    for _, output, errors in two_at_once["results"]:
        count = json.loads(output)["passed"]
        assert errors.splitlines()[-1] == f"demo: {count} checks passed, 0 failed"


def test_a_demo_leaves_the_host_as_it_was(two_at_once: dict[str, Any]) -> None:
    assert two_at_once["living"] == []
    before, after = two_at_once["before"], two_at_once["after"]
    # Keys of a kernel module that was loaded meanwhile are no change.
    common = {key: value for key, value in after["settings"].items() if key in before["settings"]}
    assert after | {"settings": common} == before


def test_flows_outlive_the_agent_where_plain_neighbours_die(
    programs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """150 s without an agent, on a host whose neighbour table is being collected."""
    with NEIGHBOURS_LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others rely on the table staying small
        arguments = ["demo", "--json", "--crowd", "--dead-for", str(LONG_DEAD_S)]
        with lab_run(*arguments, "--bin", str(programs), "--keep-logs", str(tmp_path)) as run:
            status, output, errors = run.finish(DEMO_DEADLINE_S + LONG_DEAD_S)
    if status == 4:
        pytest.skip(errors.strip().splitlines()[-1])
    result = json.loads(output)
    assert (failed(result), status) == ({}, 0), errors
    names = {check["name"] for check in result["checks"]}
    assert "plain NOARP beside it: has died" in names
    assert f"dead for {LONG_DEAD_S} s: tables as before" in names
