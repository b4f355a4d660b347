#!/usr/bin/python3
"""Plants known defects and shows that they are found.

mutants.py SET [--only NAME] [--list] [--fresh] [--seed S]

A mutant is a patch in sim/mutants/SET: a few sentences that say what is wrong, then the diff. Each
is applied to a copy of the tree under build/mutants, built there, and hunted; the copy keeps its
build, so that a mutant costs the files that it touches. First the copy without a mutant must pass
the same hunt. What was found already is not hunted again while neither the patch nor the tree has
changed, so that a run that was stopped goes on where it was; --fresh forgets it.

Of the set sim each patch names the oracle that must find it ("Oracle: safety"), in a run of the
simulator that nothing else has ended before, and that passes without the mutant. What a run has
found says the first violation in it; other runs may end with others.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "sim/mutants"
WORK = ROOT / "build/mutants"
PROGRAMS = 2000  # within which the differential fuzzer must find a defect
MAX_OPERATIONS = 6  # of the program that it is shrunk to
SIMULATED_S = 60  # within which the simulator must find a defect
JOBS = 2
# Small clusters and short runs, but as much that happens: most defects need no more.
SWARM = ("--nodes", "6", "--pods", "18", "--for", "3m")
ORACLE = re.compile(r"^Oracle: (\S+)$", re.MULTILINE)


class Failure(Exception):
    """Something that is no verdict on a mutant: it does not apply, it does not compile."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    patch: pathlib.Path

    @property
    def about(self) -> str:
        """The first sentence of what stands before the diff."""
        return " ".join(self._text.split()).split(". ")[0].rstrip(".") + "."

    @property
    def oracle(self) -> str:
        """What must find it, if the text says so."""
        named = ORACLE.search(self._text)
        return named.group(1) if named else ""

    @property
    def _text(self) -> str:
        """What stands before the diff."""
        return self.patch.read_text().split("\n---", 1)[0].split("\ndiff ", 1)[0]


@dataclasses.dataclass
class Verdict:
    found: bool
    detail: str
    seconds: float = 0
    oracles: list[str] = dataclasses.field(default_factory=list)  # that ended runs, in order


def mutants_of(name: str) -> list[Mutant]:
    return [Mutant(patch.stem, patch) for patch in sorted((MUTANTS / name).glob("*.patch"))]


def run(command: list, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)


def tree_files() -> list[str]:
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())


def copy_tree(tree: pathlib.Path) -> str:
    """Makes `tree` the same as the work tree, touching only what differs; gives its digest."""
    digest = hashlib.sha256()
    files = tree_files()
    for path in files:
        content = (ROOT / path).read_bytes()
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


def build(target: str) -> None:
    tree, folder = WORK / "tree", WORK / "build"
    environment = dict(os.environ)
    if subprocess.run(["which", "ccache"], capture_output=True).returncode == 0:
        environment |= {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache", "CCACHE_BASEDIR": str(tree),
                        "CCACHE_NOHASHDIR": "1"}
    for command in (["cmake", "--preset", "release", "-DVXMESH_WITH_HTTP=OFF", "-B", folder],
                    ["cmake", "--build", folder, "--target", target, "--parallel",
                     str(os.cpu_count())]):
        result = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True,
                                stdin=subprocess.DEVNULL)
        if result.returncode != 0:
            raise Failure(f"does not build:\n{(result.stdout + result.stderr)[-4000:]}")


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The mutant is in the copied tree while this lasts."""
    tree = WORK / "tree"
    applied = run(["git", "apply", "--unsafe-paths", f"--directory={tree}", mutant.patch],
                  cwd=pathlib.Path("/"))
    if applied.returncode != 0:
        raise Failure(f"does not apply:\n{applied.stderr}")
    try:
        yield
    finally:
        copy_tree(tree)


# --- Hunts ---


def run_json(command: list) -> dict:
    """What a program reports on standard output, whatever its exit status."""
    result = run(command)
    try:
        return json.loads(result.stdout)
    except json.JSONDecodeError as error:
        raise Failure(f"{pathlib.Path(command[0]).name}: exit status {result.returncode}: "
                      f"{(result.stderr or result.stdout)[-500:]}") from error


def hunt_by_fidelity(_mutant: Mutant | None, seed: int) -> Verdict:
    """Found if the fuzzer has found a gap; says which, or what its last line was."""
    report = run_json([WORK / "build/bin/vxmesh-fidelity", "run", "--programs", str(PROGRAMS),
                       "--seed", str(seed), "--most-gaps", "1", "--save", WORK / "cases", "--json"])
    if not report["found"]:
        return Verdict(False, f"{report['programs']} programs, no gap")
    gap = report["found"][0]
    small = gap["operations"] <= MAX_OPERATIONS
    return Verdict(small, f"program {gap['program']}, {gap['operations']} operations: "
                          f"{gap['signature']}"
                          + ("" if small else f"; not shrunk to {MAX_OPERATIONS}"))


def sweep(program: pathlib.Path, seed: int, limit: list[str]) -> dict:
    return run_json([program, "sweep", "--seed", str(seed), "--jobs", str(JOBS), *SWARM,
                     *limit, "--stop-at-first", "--json"])


def hunt_by_simulation(mutant: Mutant | None, seed: int) -> Verdict:
    """Found if a run that passes without the mutant fails first by the oracle that it names.

    Without a mutant: if any run fails.
    """
    program, clean = WORK / "build/bin/vxmesh-sim", WORK / "vxmesh-sim-clean"
    if mutant is None:
        shutil.copy2(program, clean)
    elif not mutant.oracle:
        raise Failure(f"{mutant.patch.name} names no oracle")
    left = float(SIMULATED_S)
    first, runs, oracles = seed, 0, []
    while left > 0:
        report = sweep(program, first, ["--time", f"{int(left * 1000)}ms"])
        left -= report["real_ns"] / 1e9
        runs += report["runs"]
        if not report["failures"]:
            break
        failure = report["failures"][0]
        said = f"seed {failure['seed']}, run {runs}: {failure['kind']}: {failure['what']}"
        if mutant is None:
            return Verdict(True, said)
        first = failure["seed"] + 1
        if sweep(clean, failure["seed"], ["--runs", "1"])["failures"]:
            continue  # it may be anything
        oracles.append(failure["kind"])
        if failure["kind"] == mutant.oracle:
            return Verdict(True, said, oracles=oracles)
    others = f", but {', '.join(sorted(set(oracles)))}" if oracles else ""
    named = f"nothing of {mutant.oracle}" if mutant else "no failure"
    return Verdict(False, f"{runs} runs, {named}{others}", oracles=oracles)


@dataclasses.dataclass(frozen=True)
class Hunt:
    target: str  # that is built
    judge: Callable[[Mutant | None, int], Verdict]


HUNTS = {"fidelity": Hunt("vxmesh-fidelity", hunt_by_fidelity),
         "sim": Hunt("vxmesh-sim", hunt_by_simulation)}


def timed(hunt: Hunt, mutant: Mutant | None, seed: int) -> Verdict:
    began = time.monotonic()
    verdict = hunt.judge(mutant, seed)
    return dataclasses.replace(verdict, seconds=time.monotonic() - began)


# --- What was found already ---


class Memory:
    """Verdicts by name, kept while patch and tree stay what they were."""

    def __init__(self, name: str, tree: str, seed: int, fresh: bool):
        self._path = WORK / f"{name}.json"
        self._key = f"{tree} {seed}"
        self._known = {} if fresh or not self._path.is_file() else json.loads(
            self._path.read_text())

    def _key_of(self, mutant: Mutant | None) -> str:
        patch = mutant.patch.read_bytes() if mutant else b""
        return hashlib.sha256(self._key.encode() + patch).hexdigest()

    def get(self, mutant: Mutant | None) -> Verdict | None:
        known = self._known.get(mutant.name if mutant else "")
        if known is None or known["key"] != self._key_of(mutant):
            return None
        return Verdict(**{key: value for key, value in known.items() if key != "key"})

    def put(self, mutant: Mutant | None, verdict: Verdict) -> None:
        self._known[mutant.name if mutant else ""] = {
            "key": self._key_of(mutant), **dataclasses.asdict(verdict)}
        self._path.write_text(json.dumps(self._known, indent=1))


def without_others(mutants: list[Mutant], verdicts: list[Verdict]) -> tuple[set[str], set[str]]:
    """Of the oracles that the mutants name: those that alone found at least one, and the rest."""
    named = {mutant.oracle for mutant in mutants if mutant.oracle}
    alone = {mutant.oracle for mutant, verdict in zip(mutants, verdicts)
             if verdict.found and set(verdict.oracles) == {mutant.oracle}}
    return alone, named - alone


def hunt_set(name: str, mutants: list[Mutant], seed: int, fresh: bool) -> list[Verdict] | None:
    """Verdicts of the mutants, in order; nothing if the hunt finds something without a mutant."""
    hunt = HUNTS[name]
    memory = Memory(name, copy_tree(WORK / "tree"), seed, fresh)
    clean = memory.get(None)
    if clean is None:
        print("without a mutant: building", flush=True)
        build(hunt.target)
        clean = timed(hunt, None, seed)
        memory.put(None, clean)
    if clean.found:
        print(f"without a mutant: {clean.detail}: mend that first")
        return None
    print(f"without a mutant: {clean.detail} ({clean.seconds:.0f} s)", flush=True)
    verdicts = []
    for number, mutant in enumerate(mutants, start=1):
        verdict = memory.get(mutant)
        if verdict is None:
            with planted(mutant):
                build(hunt.target)
                verdict = timed(hunt, mutant, seed)
            memory.put(mutant, verdict)
        verdicts.append(verdict)
        print(f"{number:2} of {len(mutants)} {'found ' if verdict.found else 'MISSED'} "
              f"{mutant.name}: {verdict.detail} ({verdict.seconds:.1f} s)", flush=True)
    build(hunt.target)
    return verdicts


def report(name: str, mutants: list[Mutant], verdicts: list[Verdict], is_whole: bool) -> int:
    """Prints the last lines; `is_whole`: all mutants of the set were hunted."""
    found = sum(verdict.found for verdict in verdicts)
    alone, never_alone = without_others(mutants, verdicts)
    if alone or never_alone:
        print(f"oracles that alone found a mutant: {' '.join(sorted(alone)) or 'none'}")
    if is_whole and never_alone:
        print(f"oracles that never did: {' '.join(sorted(never_alone))}")
    print(f"ci/mutants {name}: {found} of {len(mutants)} found")
    return 1 if found < len(mutants) or (is_whole and never_alone) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="ci/mutants", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=sorted(HUNTS), help="what finds them")
    parser.add_argument("--only", metavar="NAME", help="one mutant")
    parser.add_argument("--list", action="store_true", help="name them and end")
    parser.add_argument("--fresh", action="store_true", help="forget what was found already")
    parser.add_argument("--seed", type=int, default=1, help="of the hunt (default: 1)")
    arguments = parser.parse_args()
    mutants = mutants_of(arguments.set)
    count = len(mutants)
    if not mutants:
        parser.exit(2, f"ci/mutants: no mutants in sim/mutants/{arguments.set}: nothing to hunt\n")
    if arguments.only:
        chosen = [mutant for mutant in mutants if mutant.name == arguments.only]
        if not chosen:
            parser.exit(2, f"ci/mutants: no mutant '{arguments.only}'; there are: "
                           f"{' '.join(mutant.name for mutant in mutants)}\n")
        mutants = chosen
    if arguments.list:
        for mutant in mutants:
            by = f" [{mutant.oracle}]" if mutant.oracle else ""
            print(f"{mutant.name}:{by} {mutant.about}")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    with open(WORK / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            verdicts = hunt_set(arguments.set, mutants, arguments.seed, arguments.fresh)
            if verdicts is None:
                return 1
        except Failure as failure:
            print(f"ci/mutants: {failure}", file=sys.stderr)
            return 1
    return report(arguments.set, mutants, verdicts, len(mutants) == count)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
