#!/usr/bin/python3
"""Runs test suites and counts single test cases; ci/test and ci/full are its front doors.

A suite is either a label of GoogleTest programs that CMake registered with ctest, or a folder of
pytest files. Both report as JUnit XML, which is what is counted here. A suite without tests, and a
program that ends without a report, count as failures.
"""

import argparse
import dataclasses
import difflib
import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"  # Debian's: the packages of ci/setup are there, whatever PATH says
GTEST_LABELS = {"unit": "unit", "fakes": "sim", "contract": "contract"}  # of ctest, by suite
PYTEST_FOLDERS = {"simcli": "sim/cli/tests", "agent": "integration/agent",
                  "lab": "netns-lab/tests", "tidy": "ci/tests"}
SUITES = (*GTEST_LABELS, "fidelity", "sweep", "mutant", "simcli", "agent", "lab", "sanitized",
          "tidy")
GROUPS = {"sim": ("fakes", "sweep", "mutant")}
ABOUT = {
    "unit": "values and pure logic, beside the code",
    "fakes": "the core on fake ports, and every scenario file",
    "contract": "the real kernel and real HTTP in private namespaces",
    "fidelity": "random netlink programs on the fake kernel and the real one, compared",
    "sweep": "drawn runs of the cluster simulator",
    "mutant": "one defect of sim/mutants/sim, planted in a copy and found by the simulator",
    "simcli": "the program vxmesh-sim, every command of it",
    "agent": "the real agent with the fake API server",
    "lab": "several nodes in network namespaces",
    "sanitized": "unit, fakes and contract with address and undefined-behaviour sanitizers",
    "tidy": "layers, banned calls, format and clang-tidy of what changed",
    "sim": "the simulator: fakes, sweep and mutant",
}
PARALLEL = 2
# Properties are tried on cases drawn from a seed. ci/test tries the same ones every time, so that a
# commit passes or does not; ci/full tries new ones, and more of them.
FIXED_CASES = "seed=1"
NEW_CASES = "max_success=1000"
DEADLINE_S = {"short": 1200, "long": 3600}  # of a command; long: of what only ci/full does
# What ci/test draws its programs from; ci/full takes more of them, and other ones every time.
FIDELITY_SEED = 1
FIDELITY_PROGRAMS = {"short": 1500, "long": 20000}
FIDELITY_TIMED = {"short": 100, "long": 2000}
# Drawn runs of the simulator: the same ones every time; in ci/full others, and so many that a row
# of the table that stays zero is a failure.
SWEEP_SEED = 1
SWEEP_RUNS = {"short": 40, "long": 2000}
# Of one commit every build gives the same, whatever its compiler and wherever it is loaded.
HASH_SWEEP = ("--runs", "500", "--nodes", "6", "--pods", "18", "--for", "3m")
# The mutant that the commit chooses is found in the same run on every machine; how soon, only
# ci/mutants asks.
MUTANT_WITHIN_S = 400
EXIT_CAPABILITY = 4


@dataclasses.dataclass
class Outcome:
    """What became of one suite's cases; every failure and skip is a sentence."""

    passed: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    skips: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        self.passed += other.passed
        self.failures += other.failures
        self.skips += other.skips


def run(command: list[str], environment: dict[str, str] | None = None,
        deadline_s: int = DEADLINE_S["short"]) -> tuple[int, str]:
    """Runs `command` from the root of the tree; gives its exit status and output.

    The child leads a process group of its own, which is ended as a whole when the time is up or
    this program is stopped, so that nothing outlives it.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            status = 1
            log.write(f"\nstopped after {deadline_s} s\n")
        finally:
            end_group(child)
        log.seek(0)
        return status, log.read()


def end_group(child: subprocess.Popen) -> None:
    """Ends what is left of the child's process group: asks, then insists."""
    for number, patience_s in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue


def read_report(path: pathlib.Path, where: str) -> Outcome:
    """Counts the cases of one JUnit file, as GoogleTest and pytest write it."""
    outcome = Outcome()
    try:
        cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        return Outcome(failures=[f"{where}: no report, it crashed or was stopped ({error})"])
    for case in cases:
        name = f"{where}: {case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failures.append(name)
        elif skipped is not None:
            reason = (skipped.get("message") or skipped.text or "no reason given").strip()
            outcome.skips.append(f"{name}: {' '.join(reason.split())}")
        elif case.get("status") == "notrun":
            outcome.skips.append(f"{name}: disabled")
        else:
            outcome.passed += 1
    return outcome


def with_log(outcome: Outcome, status: int, what: str, log: str) -> Outcome:
    """Makes a bad exit status a failure even if no case failed, and shows the log of a failure."""
    if status != 0 and not outcome.failures:
        outcome.failures.append(f"{what}: exit status {status}")
    if outcome.failures:
        print(log, file=sys.stderr, flush=True)
    return outcome


def build(preset: str) -> Outcome:
    """Builds a preset; on a terminal the build shows its own progress."""
    child = subprocess.Popen([ROOT / "ci/build", preset], cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        status = child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
    return Outcome(failures=[f"build {preset}"] if status != 0 else [])


def run_gtest(preset: str, labels: tuple[str, ...], properties: str = FIXED_CASES) -> Outcome:
    """Runs the GoogleTest programs with those labels from the build of `preset`.

    `properties` is RapidCheck's configuration, unless RC_PARAMS is set in the environment.
    """
    select = ["ctest", "--test-dir", f"build/{preset}", "--label-regex", f"^({'|'.join(labels)})$"]
    status, listing = run([*select, "--show-only=json-v1"])
    if status != 0:
        return with_log(Outcome(), status, "ctest", listing)
    programs = [test["name"] for test in json.loads(listing)["tests"]]
    if not programs:
        return Outcome(failures=["no tests"])
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as reports:
        status, log = run([*select, "--parallel", str(PARALLEL), "--output-on-failure"],
                          {"GTEST_OUTPUT": f"xml:{reports}/",
                           "RC_PARAMS": os.environ.get("RC_PARAMS", properties)})
        for program in programs:
            outcome.add(read_report(pathlib.Path(reports, f"{program}.xml"), program))
    return with_log(outcome, status, "ctest", log)


def run_pytest(folder: str, preset: str = "release") -> Outcome:
    """Runs the pytest files of a folder against the programs of `preset`."""
    if not list((ROOT / folder).glob("**/test_*.py")):
        return Outcome(failures=["no tests"])
    with tempfile.TemporaryDirectory() as reports:
        report = pathlib.Path(reports, "pytest.xml")
        status, log = run(
            [PYTHON, "-B", "-m", "pytest", "-p", "no:cacheprovider", "--quiet",
             f"--junitxml={report}", folder],
            {"VXMESH_BIN_DIR": str(ROOT / "build" / preset / "bin"),
             "PYTHONDONTWRITEBYTECODE": "1"})
        outcome = read_report(report, folder)
    return with_log(outcome, status, "pytest", log)


def run_sanitized(preset: str, properties: str = FIXED_CASES) -> Outcome:
    outcome = build(preset)
    if not outcome.failures:
        outcome.add(run_gtest(preset, tuple(GTEST_LABELS.values()), properties))
    return outcome


def run_fidelity(length: str = "short", seed: int = FIDELITY_SEED) -> Outcome:
    """The saved cases, then new programs; each invocation counts as one case."""
    program = ROOT / "build/release/bin/vxmesh-fidelity"
    cases = sorted((ROOT / "integration/fidelity/cases").glob("*.txt"))
    with tempfile.TemporaryDirectory() as save:
        common = ["--seed", str(seed), "--save", save]
        commands = [[program, "replay", *cases],
                    [program, "run", "--programs", str(FIDELITY_PROGRAMS[length]), *common],
                    [program, "run", "--timed", "--programs", str(FIDELITY_TIMED[length]),
                     *common]]
        outcome = Outcome()
        for command in commands:
            status, log = run([str(word) for word in command])
            name = " ".join(str(word) for word in command[1:3])
            if status == EXIT_CAPABILITY:
                outcome.skips.append(f"vxmesh-fidelity {name}: {' '.join(log.split())}")
            elif status == 0:
                outcome.passed += 1
                print(f"  {log.strip().splitlines()[-1]}", flush=True)
            else:
                outcome.add(with_log(Outcome(), status, f"vxmesh-fidelity {name}", log))
    return outcome


def run_sweep(length: str = "short", seed: int = SWEEP_SEED, preset: str = "release") -> Outcome:
    """Each drawn run counts as one case."""
    program = ROOT / "build" / preset / "bin/vxmesh-sim"
    with tempfile.TemporaryDirectory() as reports:
        report = pathlib.Path(reports, "sweep.xml")
        status, log = run([str(program), "sweep", "--runs", str(SWEEP_RUNS[length]), "--seed",
                           str(seed), "--jobs", str(PARALLEL), "--junit", str(report)],
                          deadline_s=DEADLINE_S[length])
        outcome = read_report(report, "vxmesh-sim sweep")
    if log.strip():
        print(f"  {log.strip().splitlines()[-1]}", flush=True)
    return with_log(outcome, status, "vxmesh-sim sweep", log)


def run_simulator(*arguments: str) -> Outcome:
    """One command of vxmesh-sim, which counts as one case; its last line is shown."""
    status, log = run([str(ROOT / "build/release/bin/vxmesh-sim"), *arguments],
                      deadline_s=DEADLINE_S["long"])
    if log.strip():
        print(f"  {log.strip().splitlines()[-1][:200]}", flush=True)
    return with_log(Outcome(passed=1 if status == 0 else 0), status,
                    f"vxmesh-sim {arguments[0]}", log)


def run_exhaustive() -> Outcome:
    """Every scenario file that is for the simulator, with a fault at every point."""
    program = ROOT / "build/release/bin/vxmesh-sim"
    files = []
    for folder in ("sim/scenario/corpus", "netns-lab/incidents"):
        for file in sorted((ROOT / folder).glob("*.yaml")):
            status, log = run([str(program), "compile", "--json", str(file)])
            if status != 0:
                return with_log(Outcome(), status, f"compile {file}", log)
            if "sim" not in json.loads(log).get("backends", {}):
                files.append(str(file.relative_to(ROOT)))
    return run_simulator("sweep", "--jobs", str(PARALLEL), "--exhaustive", *files)


def run_hashes(seed: int) -> Outcome:
    """The same runs by both compilers, and with addresses that are drawn or fixed."""
    total = build("clang-release")
    hashes = {}
    for preset, prefix in (("release", ()), ("release", ("setarch", "-R")), ("clang-release", ())):
        name = " ".join((*prefix, preset))
        program = str(ROOT / "build" / preset / "bin/vxmesh-sim")
        status, log = run([*prefix, program, "sweep", *HASH_SWEEP, "--seed", str(seed), "--jobs",
                           str(PARALLEL), "--json"], deadline_s=DEADLINE_S["long"])
        total.add(with_log(Outcome(passed=1 if status == 0 else 0), status, name, log))
        if status == 0:
            hashes[name] = json.loads(log)["hash"]
    print("  " + ", ".join(f"{name}: {found}" for name, found in hashes.items()), flush=True)
    if len(set(hashes.values())) > 1:
        total.failures.append(f"the runs from seed {seed} differ from build to build")
    return total


def run_mutants(*arguments: str, length: str = "long") -> Outcome:
    """Those of the set sim: all of them, or what the arguments of ci/mutants say."""
    status, log = run([PYTHON, "-B", "ci/mutants.py", "sim", *arguments],
                      deadline_s=DEADLINE_S[length])
    for line in log.strip().splitlines()[-3:]:
        print(f"  {line}", flush=True)
    return with_log(Outcome(passed=1 if status == 0 else 0), status, "ci/mutants", log)


def run_tidy(arguments: tuple[str, ...] = ()) -> Outcome:
    status, log = run([PYTHON, "-B", "ci/tidy.py", *arguments])
    outcome = Outcome(passed=1) if status == 0 else Outcome(failures=["ci/tidy.py"])
    outcome = with_log(outcome, status, "ci/tidy.py", log)
    outcome.add(run_pytest(PYTEST_FOLDERS["tidy"]))
    return outcome


def run_suite(name: str) -> Outcome:
    if name in GTEST_LABELS:
        return run_gtest("release", (GTEST_LABELS[name],))
    if name == "fidelity":
        return run_fidelity()
    if name == "sweep":
        return run_sweep()
    if name == "mutant":
        return run_mutants("--commit", "--within", str(MUTANT_WITHIN_S), length="short")
    if name == "sanitized":
        return run_sanitized("sanitize-quick")
    if name == "tidy":
        return run_tidy()
    return run_pytest(PYTEST_FOLDERS[name])


def full_steps() -> dict:
    """The long form: what ci/test runs, and longer; sweeps, mutants and hashes whole; then clang,
    all of it sanitized, and all of tidy.
    """
    steps = {name: lambda name=name: run_suite(name) for name in SUITES
             if name not in ("fidelity", "sweep", "mutant", "sanitized", "tidy")}
    steps["sweep"] = lambda: run_sweep("long", secrets.randbelow(2**32))
    steps["fidelity"] = lambda: run_fidelity("long", secrets.randbelow(2**32))
    steps["exhaustive"] = run_exhaustive
    steps["hashes"] = lambda: run_hashes(secrets.randbelow(2**32))
    steps["bench"] = lambda: run_simulator("bench", "--jobs", str(PARALLEL))
    steps["mutants"] = run_mutants
    steps["mechanical mutants"] = lambda: run_mutants("--mechanical",
                                                      str(secrets.randbelow(2**32)))
    for preset in ("debug", "clang-release", "clang-debug"):
        steps[preset] = lambda preset=preset: run_sanitized(preset, NEW_CASES)
    for name in ("simcli", "agent"):
        steps[f"{name}, sanitized"] = lambda name=name: run_pytest(PYTEST_FOLDERS[name], "debug")
    steps["sweep, sanitized"] = lambda: run_sweep("short", secrets.randbelow(2**32), "debug")
    steps["tidy"] = lambda: run_tidy(("--all",))
    return steps


def report_step(name: str, step) -> Outcome:
    """Runs one step and prints its line, with the reason of every skip and failure."""
    started = time.monotonic()
    outcome = step()
    print(f"{name}: {outcome.passed} passed, {len(outcome.failures)} failed, "
          f"{len(outcome.skips)} skipped ({time.monotonic() - started:.0f} s)")
    for skip in outcome.skips:
        print(f"  skipped: {skip}")
    for failure in outcome.failures:
        print(f"  failed: {failure}")
    sys.stdout.flush()
    return outcome


def parse_arguments() -> argparse.Namespace:
    is_full = "--full" in sys.argv[1:]
    parser = argparse.ArgumentParser(
        prog="ci/full" if is_full else "ci/test",
        description="Runs the long form of every suite." if is_full
        else "Builds and runs test suites.")
    parser.add_argument("--list", action="store_true", help="name the suites and end")
    parser.add_argument("--full", action="store_true", help=argparse.SUPPRESS)
    if is_full:
        parser.set_defaults(suites=[])
    else:
        parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: all")
    arguments = parser.parse_args()
    for name in arguments.suites:
        if name not in (*SUITES, *GROUPS):
            near = difflib.get_close_matches(name, (*SUITES, *GROUPS), n=1, cutoff=0)[0]
            parser.exit(2, f"ci/test: no suite '{name}'; did you mean '{near}'? "
                           f"There are: {' '.join((*SUITES, *GROUPS))}\n")
    arguments.suites = [suite for name in arguments.suites for suite in GROUPS.get(name, (name,))]
    return arguments


def main() -> int:
    arguments = parse_arguments()
    if arguments.list:
        for name in (*SUITES, *GROUPS):
            print(f"{name:10} {ABOUT[name]}")
        return 0
    # Being asked to stop unwinds like an error, so that children are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.full:
        steps = full_steps()
    else:
        steps = {name: lambda name=name: run_suite(name) for name in arguments.suites or SUITES}
    total = build("release")
    for failure in total.failures:
        print(f"failed: {failure}")
    if not total.failures:
        for name, step in steps.items():
            total.add(report_step(name, step))
    print(f"ci/{'full' if arguments.full else 'test'}: {total.passed} passed, "
          f"{len(total.failures)} failed, {len(total.skips)} skipped", flush=True)
    return 1 if total.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
