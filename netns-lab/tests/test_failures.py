"""A demo that finds something wrong says what, fails, and leaves its logs; nothing else is left."""

import json
import pathlib
import signal

import pytest
from runs import LAB, failed, lab_run

DEADLINE_S = 120

# The real agent, but: on n3 a smaller MTU than it should be; on n2 every 50th forwarded UDP packet
# is lost; and whoever starts a second time on a node finds a route gone, so that it must write.
BROKEN_AGENT = """\
#!/bin/bash
node=$3
if [[ -e /run/started-$node ]]; then
  ip route del 100.96.4.0/24 dev vxlan1
fi
touch "/run/started-$node"
if [[ $node == n2 ]]; then
  nft -f - <<END
table inet lossy {{
  chain forward {{
    type filter hook forward priority 0
    meta l4proto udp numgen inc mod 50 0 drop
  }}
}}
END
fi
if [[ $node == n3 ]]; then
  set -- "$@" --mtu 1400
fi
exec {agent} "$@"
"""


def with_agent(folder: pathlib.Path, programs: pathlib.Path, script: str) -> str:
    """A folder of programs in which the agent is replaced by a script."""
    folder.mkdir()
    (folder / "vxmesh-fakekube").symlink_to(programs / "vxmesh-fakekube")
    agent = folder / "vxmesh-agent"
    agent.write_text(script)
    agent.chmod(0o755)
    return str(folder)


def test_a_broken_agent_fails_the_checks_that_it_breaks(
    programs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    script = BROKEN_AGENT.format(agent=programs / "vxmesh-agent")
    folder = with_agent(tmp_path / "bin", programs, script)
    logs = tmp_path / "logs"
    arguments = ["demo", "--json", "--dead-for", "6", "--bin", folder, "--keep-logs", str(logs)]
    with lab_run(*arguments) as run:
        status, output, errors = run.finish(DEADLINE_S)
    wrong = failed(json.loads(output))
    assert status == 1
    assert wrong["n3: device"]["was"]["mtu"] == 1400
    assert wrong["n3: device"]["wanted"]["mtu"] == 1450
    lossy = wrong["matrix: no packet lost"]["was"]
    assert lossy != [] and all(" udp: " in text and "p2" in text for text in lossy)
    assert "killed agent: p11 -> p21 udp loses nothing" in wrong
    assert "RTM_NEWROUTE" in wrong["restart: the new agent issues no write"]["was"]
    sound = {"n1: device", "n3: FDB", "n1: routes", "killed agent: p11 -> p31 udp loses nothing"}
    assert sound & set(wrong) == set()
    assert errors.splitlines()[-1].endswith(f"{len(wrong)} failed")
    assert "FAIL n3: device" in errors and str(logs) in errors
    assert "vxlan1" in (logs / "n1-kernel.txt").read_text()


def test_an_agent_that_ends_at_once_fails_the_demo(
    programs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    script = "#!/bin/sh\necho no thanks >&2\nexit 3\n"
    folder = with_agent(tmp_path / "bin", programs, script)
    with lab_run("demo", "--bin", folder, "--keep-logs", str(tmp_path / "logs")) as run:
        status, output, _ = run.finish(DEADLINE_S)
        assert run.await_none_living(5) == []
    assert status == 1
    assert "agent of n1 is not ready: ended with status 3" in output
    assert "no thanks" in output
    assert output.splitlines()[-1] == "demo: 0 checks passed, 1 failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_demo_and_all_that_it_started(
    programs: pathlib.Path, tmp_path: pathlib.Path, number: signal.Signals
) -> None:
    with lab_run("demo", "--bin", str(programs), "--keep-logs", str(tmp_path)) as run:
        run.await_line("First packets", within=60)
        assert len(run.living()) > 10
        run.process.send_signal(number)
        assert run.finish(within=20)[0] == 128 + number
        assert run.await_none_living(5) == []


def test_nothing_outlives_a_killed_demo(programs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with lab_run("demo", "--bin", str(programs), "--keep-logs", str(tmp_path)) as run:
        run.await_line("First packets", within=60)
        run.end()
        assert run.await_none_living(10) == []


def test_up_holds_a_lab_until_it_is_interrupted(
    programs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    # As an earlier run may have left it: not this one's API.
    (tmp_path / "fakekube.log").write_text("vxmesh-fakekube listening on http://127.0.0.1:1\n")
    with lab_run("up", "--bin", str(programs), "--keep-logs", str(tmp_path)) as run:
        run.await_line("up: API http://", within=60)
        assert len(run.living()) > 10
        run.process.send_signal(signal.SIGINT)
        assert run.finish(within=20)[0] == 0
        assert run.await_none_living(5) == []


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["dmo"], "did you mean demo?"),
        (["demo", "--jsn"], "did you mean --json?"),
        (["up", "--dead-for", "3"], "unknown argument --dead-for"),
        (["demo", "--bin", "/nonexistent"], "no vxmesh-agent in /nonexistent"),
        (["demo", "--dead-for", "long"], "argument --dead-for"),
        (["demo", "--dead-for", "-1"], "is not between 0 and 3600"),
    ],
)
def test_bad_usage_is_refused(arguments: list[str], text: str) -> None:
    with lab_run(*arguments) as run:
        status, _, errors = run.finish(20)
    assert (status, text in errors, errors.count("\n")) == (2, True, 1), errors


def test_help_has_examples() -> None:
    with lab_run("--help") as run:
        status, output, _ = run.finish(20)
    assert status == 0
    assert f"{LAB.name} demo" in output
