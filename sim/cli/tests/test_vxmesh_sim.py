"""The program vxmesh-sim: every command, what it prints, and its exit status."""

import contextlib
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = pathlib.Path(os.environ.get("VXMESH_BIN_DIR", ROOT / "build/release/bin")) / "vxmesh-sim"
PASS, FAILED, USAGE = 0, 1, 2
SMALL = ("--nodes", "2", "--pods", "4", "--for", "1s")

HOLDS = """\
scenario: holds
about: A node joins.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}}
  pods: {a: n1, b: n2}
steps:
  - {at: 1s, add-node: n3}
expect:
  - {within: 2s, connect: "a -> b"}
  - {finally: converged}
"""
# n3 is never where this looks for it.
CANNOT_HOLD = HOLDS.replace("scenario: holds", "scenario: cannot-hold").replace(
    '{within: 2s, connect: "a -> b"}',
    "{within: 2s, fdb: {node: n1, mac: mac(n3), dst: 172.20.0.99}}")

FINALLY_WRONG = HOLDS.replace("{finally: converged}", "{finally: converged, not-ready: n1}")


@pytest.fixture
def sim(tmp_path):
    """Runs the program in a folder of its own."""
    def call(*arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=tmp_path, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    return call


@pytest.fixture
def scenario(tmp_path):
    def write(text, name="scenario.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path
    return write


@pytest.fixture
def bundle(sim, scenario, tmp_path):
    """Of a run that has failed."""
    assert sim("run", scenario(CANNOT_HOLD), "--dir", "bundle").returncode == FAILED
    return tmp_path / "bundle"


def hash_of(output):
    return re.search(r"hash=([0-9a-f]{16})", output)[1]


def between(output):
    """Without the lines that say which run it is."""
    return "".join(output.splitlines(keepends=True)[1:-1])


def without_times(output):
    """What a sweep prints that must not depend on how fast it was, or by how many jobs."""
    output = re.sub(r"\d+ jobs", "", output)
    return re.sub(r"(ratio|rate)=\S+", "", output)


# --- run ---


def test_run_of_a_seed_says_what_it_is_and_what_came_out(sim):
    done = sim("run", "--seed", 7, *SMALL)
    assert done.returncode == PASS, done.stdout
    lines = done.stdout.splitlines()
    assert re.match(r"vxmesh-sim: seed-7, seed 7, commit \S+, 2 nodes, 4 pods, \d+ steps", lines[0])
    assert re.match(r"run: passed virtual=\d+\.\d{3}s ratio=\d+\.\d events/s=\d+ hash=[0-9a-f]{16} "
                    r"again: vxmesh-sim run --seed 7 --nodes 2 --pods 4 --for 1s$", lines[-1])
    again = sim(*lines[-1].split("vxmesh-sim ")[1].split())
    assert hash_of(again.stdout) == hash_of(done.stdout)


def test_another_seed_is_another_run(sim):
    assert (hash_of(sim("run", "--seed", 7, *SMALL).stdout)
            != hash_of(sim("run", "--seed", 8, *SMALL).stdout))


def test_run_of_a_file(sim, scenario, tmp_path):
    done = sim("run", scenario(HOLDS))
    assert done.returncode == PASS, done.stdout
    assert hash_of(sim("run", scenario(HOLDS)).stdout) == hash_of(done.stdout)
    assert not (tmp_path / "sim-failures").exists()


def test_run_as_json(sim, scenario):
    passed = json.loads(sim("run", scenario(HOLDS), "--json").stdout)
    assert passed["verdict"] == "passed" and passed["bundle"] is None
    failed = json.loads(sim("run", scenario(CANNOT_HOLD), "--json").stdout)
    assert failed["verdict"] == "failed" and failed["kind"] == "expectation"
    assert failed["bundle"] == "sim-failures/cannot-hold"


def test_failure_prints_its_report_in_order(sim, scenario, tmp_path):
    done = sim("run", scenario(CANNOT_HOLD))
    assert done.returncode == FAILED
    path = tmp_path / "scenario.yaml"
    order = [f"failed (expectation): {path}: line 10 is not met", "wrong paths:",
             "bundle: sim-failures/cannot-hold", "run: failed (expectation)",
             "again: vxmesh-sim run"]
    places = [done.stdout.index(words) for words in order]
    assert places == sorted(places)
    assert "\033[" not in done.stdout  # no terminal
    files = {path.name for path in (tmp_path / "sim-failures/cannot-hold").iterdir()}
    assert files == {"run.json", "scenario.yaml", "trace.txt"}


def test_failure_names_the_fault_on_the_underlay(sim, scenario):
    done = sim("run", scenario("""\
scenario: black-hole
about: Long packets are lost.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}}
  pods: {a: n1, b: n2}
steps:
  - {at: 1s, mtu-black-hole: [n1, n2], bytes: 1000, for: 2s}
expect:
  - {always: "a -> b", max-dark: 1900ms}
"""))
    assert done.returncode == FAILED
    fault = "packets longer than 1000 bytes between n1 and n2 are lost for 2s"
    assert f"a (n1) -> b (n2): delivered, on the underlay {fault}\n" in done.stdout
    assert f"  on the underlay: {fault}\n" in done.stdout


def test_failure_walks_the_way_that_is_wrong(sim, scenario):
    # An agent that the API does not reach cannot know of the new node.
    done = sim("run", scenario("""\
scenario: unknown-node
about: A node joins while n1's agent hears nothing.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}}
  pods: {a: n1, b: n2}
steps:
  - {at: 1s, partition: [n1, api], for: 20s}
  - {at: 2s, add-node: n3}
  - {at: 3s, add-pod: {c: n3}}
expect:
  - {within: 0s, from: 10s, route: {node: n1, to: podCIDR(n3)}}
"""))
    assert done.returncode == FAILED
    assert "a (n1) -> c (n3): refused" in done.stdout
    assert "first wrong: hop 1, 100.96.3.2 belongs to n3, but n1 refuses it" in done.stdout
    assert "2.000000 world fault n3 joins" in done.stdout


@pytest.mark.parametrize(("arguments", "complaint"), [
    (("run",), "FILE or --seed"),
    (("run", "missing.yaml"), "missing.yaml: cannot be read"),
    (("run", "--seed", "x"), "--seed"),
    (("run", "--seed", "-1"), "--seed: '-1' is no number"),
    (("sweep", "--runs", "1", "--seed", "18446744073709551616"), "--seed"),
    (("sweep", "--runs", "2", "--seed", "18446744073709551615"), "too large for so many runs"),
    (("sweep", "--runs", "1", "--junit", "/nowhere/x.xml"), "/nowhere/x.xml: cannot be written"),
    (("bench", "--resync", "0s"), "--resync"),
    (("run", "--seed", "1", "--nodes", "1"), "--nodes"),
    (("run", "--seed", "1", "--nodes", "2", "--pods", "1000"), "--pods"),
    (("run", "--seed", "1", "--for", "soon"), "--for"),
    (("run", "--seed", "1", "--faults", "some"), "--faults: no mix 'some'"),
    (("run", "a.yaml", "--nodes", "3"), "--nodes"),
    (("sweep",), "--runs, --time or --exhaustive"),
    (("sweep", "--runs", "0"), "--runs"),
    (("sweep", "--runs", "1", "--jobs", "0"), "--jobs"),
    (("replay", "missing"), "missing/run.json: cannot be read"),
    (("replay", "."), "./run.json: cannot be read"),
    (("trace", ".", "fdb"), "--node"),
    (("trace", ".", "--node", "n1", "arp"), "arp"),
    (("trace", ".", "--node", "n1", "--pcap", "x.pcapng"), "--pcap"),
    (("compile", "--schema", "--json"), "--json"),
    (("run", "a\033[31m\nb.yaml"), "a\\x1b[31m\\nb.yaml: cannot be read"),
    (("verify",), "no command 'verify'; see --help"),
    (("explain", ".", "a"), "B"),
    (("export", "."), "--scenario"),
    (("compile",), "FILE or --schema"),
    (("compile", "missing.yaml"), "missing.yaml: cannot be read"),
    (("repaly", "."), "no command 'repaly'; did you mean 'replay'?"),
    ((), "subcommand"),
])
def test_usage_errors_are_told_on_standard_error(sim, arguments, complaint):
    done = sim(*arguments)
    assert done.returncode == USAGE
    assert complaint in done.stderr and done.stderr.startswith("vxmesh-sim: ")
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["run", "compile"])
def test_bad_scenario_is_told_with_its_line(sim, scenario, command):
    path = scenario(HOLDS.replace("add-node: n3", "add-nod: n3"))
    done = sim(command, path)
    assert done.returncode == USAGE
    assert f"{path}:8: " in done.stderr


@pytest.mark.parametrize("command", [(), ("run",), ("sweep",), ("replay",), ("trace",),
                                     ("explain",), ("shrink",), ("export",), ("bench",),
                                     ("compile",)])
def test_help(sim, command):
    done = sim(*command, "--help")
    assert done.returncode == PASS and "Usage" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


# --- on a terminal ---


def everything_from(terminal):
    """What was written to it, until nobody has it open."""
    written = b""
    try:
        while part := os.read(terminal, 65536):
            written += part
    except OSError:
        pass
    return written.decode()


def on_terminal(tmp_path, stream, *arguments, **environment):
    """What the program writes to that stream if it is a terminal, and its exit status."""
    terminal, other_end = os.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {stream: other_end}
    process = subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=tmp_path,
                               stdin=subprocess.DEVNULL, env=os.environ | environment, **streams)
    os.close(other_end)
    try:
        return everything_from(terminal), process.wait(timeout=120)
    finally:
        os.close(terminal)


def test_run_and_replay_show_how_far_they_are(sim, tmp_path):
    progress = re.compile(r"\r\d+\.\d{3}s of virtual time, \d+\.\d times real time\033\[K")
    for arguments in (("run", "--seed", 7, *SMALL, "--dir", "bundle"), ("replay", "bundle")):
        shown, status = on_terminal(tmp_path, "stderr", *arguments)
        assert status == PASS and progress.match(shown) and shown.endswith("\r\033[K")
        assert sim(*arguments).stderr == ""


def test_colours_are_for_terminals_of_who_wants_them(tmp_path, scenario):
    arguments = ("stdout", "run", scenario(HOLDS))
    assert "\033[32mpassed\033[0m" in on_terminal(tmp_path, *arguments, NO_COLOR="")[0]
    plain, _ = on_terminal(tmp_path, *arguments, NO_COLOR="1")
    assert "run: passed " in plain and "\033[" not in plain


# --- bundles ---


def test_replay_is_as_recorded(sim, bundle):
    done = sim("replay", bundle)
    assert done.returncode == FAILED  # it fails as it did
    assert "replay: failed (expectation), as recorded" in done.stdout
    assert hash_of(done.stdout) == json.loads((bundle / "run.json").read_text())["hash"]


def test_replay_of_a_run_that_passes(sim):
    assert sim("run", "--seed", 7, *SMALL, "--dir", "passing").returncode == PASS
    done = sim("replay", "passing")
    assert done.returncode == PASS and "replay: passed, as recorded" in done.stdout


def test_replay_says_what_is_not_as_recorded(sim, bundle):
    record = json.loads((bundle / "run.json").read_text())
    (bundle / "run.json").write_text(json.dumps(record | {"hash": "0" * 16}))
    done = sim("replay", bundle)
    assert done.returncode == FAILED
    assert "replay: failed (nondeterminism), not as recorded" in done.stdout
    assert "recorded hash: 0000000000000000" in done.stdout
    (bundle / "run.json").write_text(json.dumps(record | {"hash": "0" * 16, "commit": "other"}))
    assert "recorded by commit other" in sim("replay", bundle).stdout


def test_replay_until_a_time_ends_there(sim, bundle):
    converged = json.loads((bundle / "run.json").read_text())["converged_ns"] / 1e9
    done = sim("replay", bundle, "--until", "1500ms")
    assert done.returncode == PASS
    assert f"passed until then virtual={converged + 1.5:.3f}s" in done.stdout


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda record: "{", "is no JSON"),
    (lambda record: "[]", "no run of this format"),
    (lambda record: json.dumps(record | {"format": 2}), "no run of this format"),
    (lambda record: json.dumps(record | {"hash": "later"}), "'hash'"),
    (lambda record: json.dumps(record | {"options": {}}), "'seed'"),
    (lambda record: json.dumps(record | {"violation": {"kind": 7}}), "'kind'"),
])
def test_bundle_that_is_none_is_told(sim, bundle, change, complaint):
    record = json.loads((bundle / "run.json").read_text())
    (bundle / "run.json").write_text(change(record))
    done = sim("replay", bundle)
    assert done.returncode == USAGE
    assert complaint in done.stderr and "run.json" in done.stderr


def test_trace_is_that_of_the_bundle(sim, bundle):
    text = (bundle / "trace.txt").read_text()
    assert between(sim("trace", bundle).stdout) == text
    assert "1.000000 world fault n3 joins" in text
    early = between(sim("trace", bundle, "--at", "500ms").stdout)
    assert text.startswith(early) and 0 < len(early) < len(text)
    begin = between(sim("trace", bundle, "--at", "0s").stdout)
    assert early.startswith(begin) and 0 < len(begin) < len(early)  # of the same zero
    of_one = between(sim("trace", bundle, "--node", "n2").stdout).splitlines()
    assert {line.split()[1] for line in of_one} == {"n2", "world"}


@pytest.mark.parametrize("arguments", [
    ("trace", "--node", "n1", "--at", "2s"), ("trace", "--node", "n1", "fdb"),
    ("trace", "--pcap", "frames.pcapng"), ("explain", "a", "b")])
def test_who_looks_at_a_bundle_says_which_run_it_is(sim, bundle, arguments):
    done = sim(arguments[0], bundle, *arguments[1:])
    first, *_, last = done.stdout.splitlines()
    assert re.match(r"vxmesh-sim: cannot-hold, seed 1, commit \S+, 2 nodes, 2 pods, 1 step, ",
                    first)
    told, again = last.split(" again: vxmesh-sim ")
    recorded = json.loads((bundle / "run.json").read_text())["hash"]
    assert told == f"{arguments[0]}: failed (expectation) hash={recorded}"
    assert sim(*shlex.split(again)).stdout == done.stdout


def test_run_of_another_commit_is_noticed(sim, bundle):
    path = bundle / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": "other"}))
    for arguments in (("trace", bundle), ("explain", bundle, "a", "b"), ("shrink", bundle)):
        done = sim(*arguments)
        assert done.returncode == PASS
        assert done.stderr.startswith("vxmesh-sim: warning: commit other recorded this run")


def test_tables_of_a_moment(sim, bundle):
    def table(at, name):
        done = sim("trace", bundle, "--at", at, "--node", "n1", name)
        assert done.returncode == PASS
        return between(done.stdout)
    assert "00:53:64:60:03:00" not in table("500ms", "fdb")
    assert "00:53:64:60:03:00 dev #5 dst 172.20.0.13" in table("2s", "fdb")
    assert "100.96.3.0/24" in table("2s", "routes")
    assert "vxlan1" in table("2s", "links")
    assert "100.96.2.2" in table("2s", "neigh")


def test_unknown_node_or_pod_is_told_with_the_nearest(sim, bundle):
    done = sim("trace", bundle, "--node", "n11", "fdb")
    assert done.returncode == USAGE and "no node 'n11'" in done.stderr
    done = sim("trace", bundle, "--node", "n11")
    assert done.returncode == USAGE and done.stdout == ""
    assert "no node 'n11' by that moment; did you mean 'n1'?; there are n1, n2, n3" in done.stderr
    assert "did you mean" not in sim("trace", bundle, "--node", "worker").stderr
    done = sim("explain", bundle, "a", "bb")
    assert done.returncode == USAGE and "did you mean 'b'" in done.stderr


def test_capture_is_read_by_tshark(sim, bundle, tmp_path):
    done = sim("trace", bundle, "--pcap", "frames.pcapng")
    assert done.returncode == PASS
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark")
    frames = subprocess.run(
        ["tshark", "-r", tmp_path / "frames.pcapng", "-Y", "vxlan", "-T", "fields", "-e",
         "vxlan.vni", "-e", "ip.src"], text=True, capture_output=True, check=True)
    assert "1\t172.20.0.11,100.96.1.2" in frames.stdout.splitlines()


def test_capture_and_trace_count_from_one_zero(sim, bundle, tmp_path):
    assert sim("trace", bundle, "--pcap", "frames.pcapng").returncode == PASS
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark")
    # A host that boots announces its address before the capture knows it.
    read = subprocess.run(
        ["tshark", "-r", tmp_path / "frames.pcapng", "-Y", "not arp.isgratuitous", "-T", "fields",
         "-e", "frame.time_epoch"], text=True, capture_output=True, check=True)
    captured = [line[:-3] for line in read.stdout.splitlines()]  # of nanoseconds
    traced = [line.split()[0] for line in (bundle / "trace.txt").read_text().splitlines()
              if line.split()[2] == "frame"
              and not re.search(r"ARP who has (\S+), tell \1 ", line)]
    assert captured == [time for time in traced if not time.startswith("-")] != []


def test_capture_that_cannot_be_written_fails(sim, bundle):
    assert sim("trace", bundle, "--pcap", "no/such/folder").returncode == FAILED


def test_explain_walks_a_packet(sim, bundle):
    done = sim("explain", bundle, "a", "b")
    assert done.returncode == PASS
    assert "delivered at n2" in done.stdout.splitlines()[-2]
    by_address = sim("explain", bundle, "100.96.1.2", "100.96.2.2")
    assert between(by_address.stdout) == between(done.stdout)


def test_export_gives_the_same_run(sim, scenario, bundle, tmp_path):
    done = sim("export", bundle, "--scenario", "exported.yaml")
    assert done.returncode == PASS
    assert (tmp_path / "exported.yaml").read_text() == CANNOT_HOLD
    again = done.stdout.split("again: vxmesh-sim ")[1].split()
    assert hash_of(sim(*again).stdout) == json.loads((bundle / "run.json").read_text())["hash"]


def test_export_of_a_drawn_run_gives_the_same_run(sim):
    drawn = sim("run", "--seed", 5, *SMALL, "--dir", "drawn")
    exported = sim("export", "drawn", "--scenario", "drawn.yaml").stdout
    again = sim(*exported.split("again: vxmesh-sim ")[1].split())
    assert hash_of(again.stdout) == hash_of(drawn.stdout)


# --- compile ---


def test_compile(sim, scenario):
    path = scenario(HOLDS)
    assert sim("compile", path).stdout == (
        f"{path}: holds: 2 nodes, 2 pods, 1 step, 2 expectations\n")
    compiled = json.loads(sim("compile", path, "--json").stdout)
    assert compiled["steps"][0]["action"] == "add-node"
    schema = sim("compile", "--schema").stdout
    assert schema == (ROOT / "sim/scenario/scenario.schema.json").read_text()


# --- files ---


def test_commands_to_paste_quote_their_paths(sim, scenario, tmp_path):
    (tmp_path / "a folder").mkdir()
    done = sim("run", scenario(CANNOT_HOLD, "a folder/it's.yaml"), "--dir", "a bundle")
    assert done.returncode == FAILED
    again = shlex.split(done.stdout.splitlines()[-1].partition(" again: vxmesh-sim ")[2])
    assert sim(*again).returncode == FAILED
    replayed = sim("replay", "a bundle")
    assert replayed.stdout.endswith(" again: vxmesh-sim replay 'a bundle'\n")


def test_what_cannot_be_written_is_said(sim, scenario, tmp_path):
    (tmp_path / "taken").write_text("")
    done = sim("run", scenario(CANNOT_HOLD), "--dir", "taken")
    assert done.returncode == FAILED and "run: failed (expectation)" in done.stdout
    assert "taken: cannot be made" in done.stderr
    assert sim("run", scenario(HOLDS), "--dir", "taken").returncode == USAGE
    with open("/dev/full", "w", encoding="utf-8") as full:
        broken = subprocess.run([PROGRAM, "compile", "--schema"], stdout=full, text=True,
                                stderr=subprocess.PIPE, check=False, timeout=60)
    assert broken.returncode == FAILED and "standard output: cannot be written" in broken.stderr


def test_folder_of_somebody_is_left_alone(sim, scenario, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/run.txt").write_text("mine")
    done = sim("run", scenario(CANNOT_HOLD), "--dir", "mine")
    assert done.returncode == USAGE and done.stdout == ""
    assert "mine: is not empty and no bundle" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["run.txt"]


def test_bundle_written_over_another_has_nothing_of_it(sim, scenario, bundle):
    assert sim("shrink", bundle).returncode == PASS and (bundle / "small").exists()
    assert sim("run", scenario(HOLDS), "--dir", bundle).returncode == PASS
    assert not (bundle / "small").exists()
    assert sim("run", scenario(CANNOT_HOLD), "--dir", bundle).returncode == FAILED
    (bundle / "small").mkdir()
    (bundle / "small/note").write_text("mine")
    assert sim("shrink", bundle).returncode == USAGE
    assert (bundle / "small/note").read_text() == "mine"


@pytest.mark.parametrize(("member", "value"), [
    ("lasts_ns", -5), ("resync_interval_ns", 0), ("max_skew_ppm", -1), ("max_skew_ppm", 10**9),
    ("max_neighbours", 0), ("probes_per_second", 10**18), ("heartbeats_per_second", 10**15)])
def test_bundle_that_asks_for_what_no_run_has_is_refused(sim, bundle, member, value):
    path = bundle / "run.json"
    run = json.loads(path.read_text())
    run["options"][member] = value
    path.write_text(json.dumps(run))
    done = sim("replay", bundle)
    assert done.returncode == USAGE and f"'{member}' is missing or odd" in done.stderr


def test_empty_file_is_told_from_one_that_cannot_be_read(sim, scenario):
    done = sim("compile", scenario(""))
    assert done.returncode == USAGE and "nothing in it" in done.stderr


# --- sweep ---


def test_sweep_says_the_same_for_any_number_of_jobs(sim):
    one, two = (sim("sweep", "--runs", 5, "--seed", 10, "--jobs", jobs, *SMALL) for jobs in (1, 2))
    assert one.returncode == two.returncode == PASS, one.stdout
    assert without_times(one.stdout) == without_times(two.stdout)
    last = re.match(r"sweep: passed runs=5 failed=0 virtual=\S+ ratio=\S+ packets/s=\d+ "
                    r"events/s=\d+ rate=\S+ runs/s hash=([0-9a-f]{16}) again: vxmesh-sim (.*)$",
                    one.stdout.splitlines()[-1])
    assert f"hash={last[1]} " in sim(*last[2].split()).stdout.splitlines()[-1]
    assert "\033[" not in one.stdout and one.stderr == ""  # no terminal, no progress


def test_sweep_has_a_row_for_every_action_oracle_and_probe(sim):
    result = json.loads(sim("sweep", "--runs", 2, "--seed", 10, *SMALL, "--json").stdout)
    assert result["runs"] == 2 and result["failed"] == 0
    assert "crash-at-operation" in result["actions"] and "api-stale" in result["actions"]
    assert {"blackout", "liveness", "quiet", "safety"} <= result["oracles"].keys()
    assert "kernel-events-lost" in result["probes"]
    churn = json.loads(sim("sweep", "--runs", 1, "--seed", 10, *SMALL, "--faults", "churn",
                           "--json").stdout)
    assert "add-node" in churn["actions"] and "partition" not in churn["actions"]


def test_run_of_a_sweep_is_the_run_of_that_seed(sim):
    """Twice the same run folds into what a sweep of one run says of it."""
    swept = [json.loads(sim("sweep", "--runs", 1, "--seed", 3, *SMALL, "--json").stdout)
             for _ in range(2)]
    alone = json.loads(sim("run", "--seed", 3, *SMALL, "--json").stdout)
    assert swept[0]["hash"] == swept[1]["hash"]
    assert swept[0]["virtual_ns"] == alone["virtual_ns"]


def test_large_sweep_without_a_row_is_no_pass(sim):
    done = sim("sweep", "--runs", 100, "--jobs", 2, "--nodes", 2, "--pods", 2, "--for", "1ms",
               "--faults", "none")
    assert done.returncode == USAGE
    assert "no run has met probe " in done.stderr


def test_larger_sweep_in_which_an_action_seldom_does_anything_is_no_pass(sim):
    """In a millisecond few faults meet what they are about."""
    done = sim("sweep", "--runs", 500, "--jobs", 2, "--nodes", 2, "--pods", 2, "--for", "1ms")
    assert done.returncode == USAGE
    rare = r"^vxmesh-sim: action mtu-black-hole did something in \d+ runs, less than 5 %$"
    assert re.search(rare, done.stderr, re.MULTILINE)
    assert " did something in 0 runs" not in done.stderr


def test_sweep_for_a_time_ends_soon_after(sim):
    begun = time.monotonic()
    done = sim("sweep", "--time", "1s", *SMALL, "--faults", "none")
    assert done.returncode == PASS
    assert 1 <= time.monotonic() - begun < 30


def test_junit_names_every_run(sim, tmp_path):
    sim("sweep", "--runs", 3, "--seed", 4, *SMALL, "--junit", "report.xml")
    suite = xml.etree.ElementTree.parse(tmp_path / "report.xml").getroot()
    assert [case.get("name") for case in suite] == ["seed 4", "seed 5", "seed 6"]
    assert suite.get("failures") == "0"


def children_of(pid):
    return [int(child) for child in
            pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def under_way(tmp_path, *arguments, until="."):
    """A command that goes on until somebody ends it, and its worker.

    Its progress, which it shows on a terminal, says that the worker has begun, or is as far as the
    pattern says.
    """
    terminal, stderr = os.openpty()
    process = subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=tmp_path, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
    os.close(stderr)
    try:
        shown = ""
        while not re.search(until, shown):
            assert select.select([terminal], [], [], 60)[0], "no progress"
            shown = (shown + os.read(terminal, 4096).decode())[-8192:]
        yield process, children_of(process.pid)[0]
    finally:
        process.kill()
        process.communicate()
        os.close(terminal)


@pytest.fixture
def long_sweep(tmp_path):
    """A sweep that goes on until somebody ends it, or a run fails, and its worker."""
    with under_way(tmp_path, "sweep", "--time", "10m", "--stop-at-first", "--jobs", "1", "--junit",
                   "r.xml") as begun:
        yield begun


def test_sweep_that_is_interrupted_says_what_it_has_and_leaves_nobody(long_sweep):
    sweep, worker = long_sweep
    sweep.send_signal(signal.SIGINT)
    output, _ = sweep.communicate(timeout=30)
    assert sweep.returncode == 128 + signal.SIGINT
    assert output.splitlines()[-1].startswith("sweep: failed (interrupted) runs=")
    assert not pathlib.Path(f"/proc/{worker}").exists()


def test_run_that_dies_is_a_failure_of_its_seed(long_sweep, tmp_path):
    sweep, worker = long_sweep
    os.kill(worker, signal.SIGKILL)
    output, _ = sweep.communicate(timeout=120)
    assert sweep.returncode == FAILED
    assert "failed (crash): the run does not end: 1 run, first seed 1\n  signal Killed" in output
    assert "again: vxmesh-sim run --seed 1\n" in output
    failure = xml.etree.ElementTree.parse(tmp_path / "r.xml").getroot()[-1][0]
    assert failure.get("type") == "crash"


def test_run_that_dies_leaves_a_bundle(sim, tmp_path):
    long = ("--seed", 1, "--nodes", 20, "--for", "2h")
    in_the_steps = r"\d\d\d\.\d+s of virtual time"
    with under_way(tmp_path, "run", *long, until=in_the_steps) as (run, worker):
        os.kill(worker, signal.SIGKILL)
        output, _ = run.communicate(timeout=120)
    assert run.returncode == FAILED
    assert "failed (crash): the run does not end: signal Killed, at " in output
    assert "run: failed (crash) virtual=" in output
    record = json.loads((tmp_path / "sim-failures/seed-1/run.json").read_text())
    assert record["violation"]["kind"] == "crash" and record["options"]["seed"] == 1
    assert record["end_ns"] > record["converged_ns"] > 0
    text = (tmp_path / "sim-failures/seed-1/trace.txt").read_text()
    assert between(sim("trace", "sim-failures/seed-1").stdout) == text != ""
    early = sim("replay", "sim-failures/seed-1", "--until", "1s")
    assert early.returncode == PASS and "replay: passed until then" in early.stdout


# --- shrink ---

# Only that n2 leaves makes it fail.
MUCH_HAPPENS = """\
scenario: much-happens
about: A node leaves, and is expected to be there.
cluster:
  overlay: 100.96.0.0/12
  nodes: {n1: {}, n2: {}, n3: {}}
  pods: {a: n1, b: n3}
steps:
  - {at: 100ms, scan: a, count: 3}
  - {at: 200ms, add-node: n4}
  - {at: 2s, delete-node: n2}
  - {at: 3s, move-pod: {b: {node: n1}}}
expect:
  - {from: 5s, within: 1s, route: {node: n1, to: 100.96.2.0/24}}
"""


def test_shrink_leaves_what_it_takes_and_tells_it(sim, scenario, tmp_path):
    assert sim("run", scenario(MUCH_HAPPENS), "--dir", "bundle").returncode == FAILED
    done = sim("shrink", "bundle")
    assert done.returncode == PASS, done.stderr
    assert "What is wrong:" in done.stdout and "n2's Node is deleted" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert re.match(r"shrink: 4 steps to 1 in \d+ runs; scenario bundle/small/scenario.yaml; "
                    r"failed \(expectation\) virtual=\S+ ratio=\S+ events/s=\d+ "
                    r"hash=[0-9a-f]{16} again: vxmesh-sim replay bundle/small$", last)
    again = sim("replay", "bundle/small")
    assert again.returncode == FAILED and "as recorded" in again.stdout
    assert (tmp_path / "bundle/small/story.txt").read_text() in done.stdout + "\n"


def test_shrinking_keeps_whom_the_expectation_is_about(sim, bundle):
    assert sim("shrink", bundle).returncode == PASS
    story = (bundle / "small/story.txt").read_text()
    assert "n3 joins" in story and "172.20.0.13" in story


def test_shrink_of_a_run_that_passed_is_refused(sim, scenario):
    assert sim("run", scenario(HOLDS), "--dir", "bundle").returncode == PASS
    done = sim("shrink", "bundle")
    assert done.returncode == USAGE and "has passed" in done.stderr


# --- sweep --exhaustive ---


def test_exhaustive_sweep_says_the_same_for_any_number_of_jobs(sim, scenario):
    alone = sim("sweep", "--exhaustive", scenario(HOLDS))
    assert alone.returncode == PASS, alone.stdout
    first, points, last = alone.stdout.splitlines()
    assert first.startswith("vxmesh-sim: sweep --exhaustive, seed 1, commit ")
    found = re.search(r": (\d+) of (\d+) injection points, all converged \(\d+ of them inside a "
                      r"batch\)$", points)
    assert found and found[1] == found[2] and int(found[1]) > 50
    again = re.match(rf"sweep: passed files=1 points={found[1]} failed=0 failed-files=0 "
                     r"rate=\d+\.\d points/s again: vxmesh-sim (.*)$", last)

    def timeless(done):
        return re.sub(r"rate=\S+ ", "", done.stdout)

    assert timeless(sim(*again[1].split())) == timeless(alone)
    twice = sim("sweep", "--exhaustive", scenario(HOLDS), "--jobs", 2)
    assert timeless(twice) == timeless(alone)


def test_exhaustive_sweep_of_two_files_as_text_and_as_json(sim, scenario):
    files = ("sweep", "--exhaustive", scenario(HOLDS), scenario(FINALLY_WRONG, "second.yaml"))
    text = sim(*files)
    assert text.returncode == FAILED
    assert re.match(r"sweep: failed \(exhaustive\) files=2 points=\d+ failed=0 failed-files=1 ",
                    text.stdout.splitlines()[-1])
    result = json.loads(sim(*files, "--json").stdout)
    first, second = result["files"]
    assert result["failed_files"] == 1 and result["points"] == first["points"] > 50
    assert not first["failures"] and "without_injection" not in first
    assert second["points"] == 0 and second["without_injection"]["kind"]


@pytest.mark.parametrize("flag", (("--runs", 3), ("--time", "1s"), ("--nodes", 3),
                                  ("--junit", "x.xml"), ("--stop-at-first",)))
def test_exhaustive_sweep_takes_no_flag_that_it_would_ignore(sim, scenario, flag):
    done = sim("sweep", "--exhaustive", scenario(HOLDS), *flag)
    assert done.returncode == USAGE and flag[0] in done.stderr


def test_one_point_of_an_exhaustive_sweep(sim, scenario):
    done = sim("sweep", "--exhaustive", scenario(HOLDS), "--only", "crash@3")
    assert done.returncode == PASS and done.stdout.startswith("sweep: crash@3 passed hash=")
    wrong = sim("sweep", "--exhaustive", scenario(HOLDS), "--only", "nothing")
    assert wrong.returncode == USAGE and "crash@17" in wrong.stderr
    absent = sim("sweep", "--exhaustive", scenario(HOLDS), "--only", "crash@99999")
    assert absent.returncode == USAGE and "has no point crash@99999" in absent.stderr


def test_exhaustive_sweep_of_a_scenario_that_fails_by_itself(sim, scenario):
    done = sim("sweep", "--exhaustive", scenario(FINALLY_WRONG))
    assert done.returncode == FAILED and "fails without injection" in done.stdout


def test_exhaustive_sweep_that_is_interrupted_says_what_it_has(scenario, tmp_path):
    corpus = sorted((ROOT / "sim/scenario/corpus").glob("*.yaml"))
    with under_way(tmp_path, "sweep", "--exhaustive", *corpus,
                   until="points,") as (sweep, worker):
        sweep.send_signal(signal.SIGINT)
        output, _ = sweep.communicate(timeout=30)
    assert sweep.returncode == 128 + signal.SIGINT
    assert output.splitlines()[-2].startswith("  interrupted: there are ")
    assert output.splitlines()[-1].startswith("sweep: failed (interrupted) files=1 points=")
    assert not pathlib.Path(f"/proc/{worker}").exists()


def test_exhaustive_sweep_whose_first_run_dies_has_a_verdict(scenario, tmp_path):
    endless = scenario(HOLDS + "  - {from: 10h, within: 1s, ready: n1}\n")
    with under_way(tmp_path, "sweep", "--exhaustive", endless,
                   until="without injection") as (sweep, worker):
        os.kill(worker, signal.SIGKILL)
        output, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == FAILED
    assert "fails without injection: crash: the run does not end: signal Killed" in output
    assert output.splitlines()[-1].startswith("sweep: failed (exhaustive) files=1 points=0 ")


def test_bench_that_is_interrupted_says_what_it_has(tmp_path):
    many = ("bench", "--nodes", 400, "--agents", 400, "--together", 1, "--for", "1h")
    with under_way(tmp_path, *many) as (bench, _):
        bench.send_signal(signal.SIGINT)
        output, _ = bench.communicate(timeout=30)
    assert bench.returncode == 128 + signal.SIGINT
    last = output.splitlines()[-1]
    assert re.match(r"bench: failed \(interrupted\) groups=[1-9]\d* virtual=", last)


def test_bench_says_what_it_is_and_what_came_out(sim):
    done = sim("bench", "--nodes", 12, "--agents", 3, "--for", "30s")
    first, *_, last = done.stdout.splitlines()
    assert re.match(r"vxmesh-sim: bench, seed 1, commit \S+, 12 nodes, 3 agents by \d+, for 30s, "
                    r"resync 10m, 1 job$", first)
    again = re.match(r"bench: passed groups=1 virtual=30.000s ratio=\S+ events/s=\d+ "
                     r"hash=[0-9a-f]{16} again: vxmesh-sim (.*)$", last)
    assert hash_of(sim(*again[1].split()).stdout) == hash_of(done.stdout)


def test_bench_compares_every_kernel_at_its_end(sim):
    one, two = (sim("bench", "--nodes", 12, "--agents", 3, "--for", "30s", "--json")
                for _ in range(2))
    assert one.returncode == 0, one.stderr
    result = json.loads(one.stdout)
    assert result["verdict"] == "passed" and result["deviation"] == ""
    assert result["nodes"] == 12 and result["agents"] == 3
    changes = result["joins"] + result["leaves"] + result["status_writes"]
    assert result["deliveries"] >= 3 * changes > 0  # to each agent
    assert json.loads(two.stdout)["hash"] == result["hash"]


def test_bench_of_agents_by_themselves_is_that_of_all_together(sim):
    results = [json.loads(sim("bench", "--nodes", 40, "--agents", 7, "--for", "2m",
                              "--resync", "50s", "--together", together, "--jobs", jobs,
                              "--json").stdout)
               for together, jobs in ((7, 1), (1, 2), (3, 2), (3, 1))]
    what_agents_did = [{key: result[key] for key in ("deliveries", "operations", "status_writes",
                                                     "joins", "leaves", "verdict")}
                       for result in results]
    assert what_agents_did[0]["verdict"] == "passed" and what_agents_did[0]["operations"] > 0
    assert all(done == what_agents_did[0] for done in what_agents_did)
    assert results[2]["hash"] == results[3]["hash"], "the number of processes changes nothing"
