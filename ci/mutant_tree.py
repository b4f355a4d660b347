"""The copy of the tree that mutants are planted in, its builds, and what is known of them.

All of it is under build/mutants: `tree`, the copy; `build`, its build, which a mutant changes by
the files that it touches; what was found already, by set of mutants.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build/mutants"
BUILT_FROM = ("CMakeLists.txt", "CMakePresets.json", "cmake/", "core/", "sim/", "integration/")
NOT_BUILT = ("sim/mutants/",)
NOT_BUILT_SUFFIXES = (".md", ".py", ".patch")
SIMULATED_S = 60  # within which the simulator must find a defect
SHRUNK_S = 60  # within which the run that has found it must be small
SHRUNK = re.compile(r"^shrink: \d+ steps? to (\d+) in ", re.MULTILINE)
HUNG_S = 300  # a program that takes longer will not end; none takes half of it without a mutant
MEMORY_BYTES = 8 << 30  # of a program, so that a loop that allocates ends before the machine does
JOBS = 2
# Small clusters and short runs, but as much that happens: most defects need no more.
SWARM = ("--nodes", "6", "--pods", "18", "--for", "3m")


class Failure(Exception):
    """Something that is no verdict on a mutant: it does not apply, a program gives no report."""


class BuildFailure(Failure):
    """It does not compile, or does not link."""


class Hung(Failure):
    """A program did not end."""


def run(command: list, cwd: pathlib.Path = ROOT, environment: dict | None = None,
        limit_s: float = HUNG_S) -> subprocess.CompletedProcess:
    """Runs a program with all that it starts; raises Hung, and ends it, when the time is up."""
    def bound():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with subprocess.Popen(command, cwd=cwd, env=os.environ | (environment or {}), text=True,
                          errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True,
                          preexec_fn=bound) as child:
        try:
            out, err = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as late:
            raise Hung(f"{pathlib.Path(command[0]).name}: did not end in {limit_s:.0f} s") from late
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def run_json(command: list, limit_s: float = HUNG_S) -> dict:
    """What a program reports on standard output, whatever its exit status."""
    result = run(command, limit_s=limit_s)
    try:
        return json.loads(result.stdout)
    except json.JSONDecodeError as error:
        raise Failure(f"{pathlib.Path(command[0]).name}: exit status {result.returncode}: "
                      f"{(result.stderr or result.stdout)[-500:]}") from error


# --- The copy and its builds ---


def tree_files() -> list[str]:
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())


def is_built(path: str) -> bool:
    return (path.startswith(BUILT_FROM) and not path.startswith(NOT_BUILT)
            and not path.endswith(NOT_BUILT_SUFFIXES))


def copy_tree(tree: pathlib.Path) -> str:
    """Makes `tree` the same as the work tree, touching only what differs; gives the digest of what
    builds are made of."""
    digest = hashlib.sha256()
    files = tree_files()
    for path in files:
        content = (ROOT / path).read_bytes()
        if is_built(path):
            digest.update(path.encode() + b"\0" + content + b"\0")
        copy = tree / path
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            copy.chmod((ROOT / path).stat().st_mode)
    kept = set(files)
    for copy in [path for path in tree.rglob("*") if path.is_file()]:
        if str(copy.relative_to(tree)) not in kept:
            copy.unlink()
    return digest.hexdigest()


def build(*targets: str, preset: str = "release", folder: str = "build") -> None:
    """Raises BuildFailure."""
    tree = WORK / "tree"
    environment = {}
    if run(["which", "ccache"]).returncode == 0:
        environment = {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache", "CCACHE_BASEDIR": str(tree),
                       "CCACHE_NOHASHDIR": "1"}
    configure = ["cmake", "--preset", preset, "-DVXMESH_WITH_HTTP=OFF", "-B", WORK / folder]
    make = ["cmake", "--build", WORK / folder, "--parallel", str(os.cpu_count()), "--target",
            *targets]
    for command in (configure, make):
        result = run(command, tree, environment, limit_s=7200)
        if result.returncode != 0:
            raise BuildFailure(f"does not build:\n{(result.stdout + result.stderr)[-4000:]}")


@contextlib.contextmanager
def held() -> Iterator[None]:
    """One hunt at a time."""
    WORK.mkdir(parents=True, exist_ok=True)
    with open(WORK / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- The simulator as a hunter ---


def sweep(program: pathlib.Path, seed: int, limit: list[str], within_s: float) -> dict:
    return run_json([program, "sweep", "--seed", str(seed), "--jobs", str(JOBS), *SWARM,
                     *limit, "--stop-at-first", "--json"], 2 * within_s)


def simulate(program: pathlib.Path, clean: pathlib.Path | None, seed: int,
             is_enough: Callable[[dict], bool],
             within_s: float = SIMULATED_S) -> tuple[int, list[dict]]:
    """Sweeps with `program` for so long, or until a failure is enough.

    Gives the number of runs, and the failures in order, without those of seeds at which `clean`
    fails too: they may be anything.
    """
    left = float(within_s)
    first, runs, failures = seed, 0, []
    while left > 0:
        report = sweep(program, first, ["--time", f"{int(left * 1000)}ms"], within_s)
        left -= report["real_ns"] / 1e9
        runs += report["runs"]
        if not report["failures"]:
            break
        failure = report["failures"][0]
        first = failure["seed"] + 1
        if clean and sweep(clean, failure["seed"], ["--runs", "1"], within_s)["failures"]:
            continue
        failures.append(failure)
        if is_enough(failure):
            break
    return runs, failures


def told(failure: dict, runs: int) -> str:
    return f"seed {failure['seed']}, run {runs}: {failure['kind']}: {failure['what']}"


class Shrunk(NamedTuple):
    events: int  # that are left of the run
    seconds: float


def shrink(program: pathlib.Path, seed: int) -> Shrunk:
    """Makes a run small that fails, but does not crash."""
    bundle = WORK / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    run([program, "run", "--seed", str(seed), *SWARM, "--dir", bundle])
    began = time.monotonic()
    result = run([program, "shrink", bundle, "--time", f"{SHRUNK_S}s"])
    left = SHRUNK.search(result.stdout)
    if not left:
        raise Failure(f"shrink: exit status {result.returncode}: {result.stderr[-500:]}")
    return Shrunk(int(left.group(1)), time.monotonic() - began)


# --- What was found already ---


class Memory:
    """Verdicts by name, as JSON, kept while `about` (what was judged, and by what) stays equal."""

    def __init__(self, name: str, tree: str, seed: int, fresh: bool):
        self._path = WORK / f"{name}.json"
        self._key = f"{tree} {seed}"
        self._known = {} if fresh or not self._path.is_file() else json.loads(
            self._path.read_text())

    def _key_of(self, about: bytes) -> str:
        return hashlib.sha256(self._key.encode() + about).hexdigest()

    def get(self, name: str, about: bytes) -> dict | None:
        known = self._known.get(name)
        return known["verdict"] if known and known["key"] == self._key_of(about) else None

    def put(self, name: str, about: bytes, verdict: dict) -> None:
        self._known[name] = {"key": self._key_of(about), "verdict": verdict}
        self._path.write_text(json.dumps(self._known, indent=1))
