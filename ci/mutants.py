#!/usr/bin/python3
"""Plants known defects and shows that they are found.

mutants.py SET [--only NAME] [--list] [--fresh] [--seed S]

A mutant is a patch in sim/mutants/SET: a few sentences that say what is wrong, then the diff. Each
is applied to a copy of the tree under build/mutants, built there, and hunted; the copy keeps its
build, so that a mutant costs the files that it touches. First the copy without a mutant must pass
the same hunt. What was found already is not hunted again while neither the patch nor the tree has
changed, so that a run that was stopped goes on where it was; --fresh forgets it.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "sim/mutants"
WORK = ROOT / "build/mutants"
SETS = ("fidelity",)
PROGRAMS = 2000  # within which the differential fuzzer must find a defect
MAX_OPERATIONS = 6  # of the program that it is shrunk to


class Failure(Exception):
    """Something that is no verdict on a mutant: it does not apply, it does not compile."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    patch: pathlib.Path

    @property
    def about(self) -> str:
        """The first sentence of what stands before the diff."""
        text = self.patch.read_text().split("\n---", 1)[0].split("\ndiff ", 1)[0]
        return " ".join(text.split()).split(". ")[0].rstrip(".") + "."


@dataclasses.dataclass
class Verdict:
    found: bool
    detail: str
    seconds: float


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
    for command in (["cmake", "--preset", "release", "-B", folder],
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


def hunt_by_fidelity(seed: int) -> tuple[bool, str]:
    """True if the fuzzer found a gap; says which, or what its last line was."""
    result = run([WORK / "build/bin/vxmesh-fidelity", "run", "--programs", str(PROGRAMS), "--seed",
                  str(seed), "--most-gaps", "1", "--save", WORK / "cases", "--json"])
    try:
        report = json.loads(result.stdout)
    except json.JSONDecodeError as error:
        raise Failure(f"vxmesh-fidelity: exit status {result.returncode}: "
                      f"{(result.stderr or result.stdout)[-500:]}") from error
    if not report["found"]:
        return False, f"{report['programs']} programs, no gap"
    gap = report["found"][0]
    small = gap["operations"] <= MAX_OPERATIONS
    return small, (f"program {gap['program']}, {gap['operations']} operations: {gap['signature']}"
                   + ("" if small else f"; not shrunk to {MAX_OPERATIONS}"))


HUNTS = {"fidelity": ("vxmesh-fidelity", hunt_by_fidelity)}


def timed(hunt, *arguments) -> Verdict:
    began = time.monotonic()
    found, detail = hunt(*arguments)
    return Verdict(found, detail, time.monotonic() - began)


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
        return Verdict(known["found"], known["detail"], known["seconds"])

    def put(self, mutant: Mutant | None, verdict: Verdict) -> None:
        self._known[mutant.name if mutant else ""] = {
            "key": self._key_of(mutant), **dataclasses.asdict(verdict)}
        self._path.write_text(json.dumps(self._known, indent=1))


def hunt_set(name: str, mutants: list[Mutant], seed: int, fresh: bool) -> int:
    target, hunt = HUNTS[name]
    memory = Memory(name, copy_tree(WORK / "tree"), seed, fresh)
    clean = memory.get(None)
    if clean is None:
        print("without a mutant: building", flush=True)
        build(target)
        clean = timed(hunt, seed)
        memory.put(None, clean)
    if clean.found:
        print(f"without a mutant: {clean.detail}: mend that first")
        return 1
    print(f"without a mutant: {clean.detail} ({clean.seconds:.0f} s)", flush=True)
    missed = 0
    for number, mutant in enumerate(mutants, start=1):
        verdict = memory.get(mutant)
        if verdict is None:
            with planted(mutant):
                build(target)
                verdict = timed(hunt, seed)
            memory.put(mutant, verdict)
        missed += 0 if verdict.found else 1
        print(f"{number:2} of {len(mutants)} {'found ' if verdict.found else 'MISSED'} "
              f"{mutant.name}: {verdict.detail} ({verdict.seconds:.1f} s)", flush=True)
    build(target)
    print(f"ci/mutants {name}: {len(mutants) - missed} of {len(mutants)} found")
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="ci/mutants", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS, help="what finds them")
    parser.add_argument("--only", metavar="NAME", help="one mutant")
    parser.add_argument("--list", action="store_true", help="name them and end")
    parser.add_argument("--fresh", action="store_true", help="forget what was found already")
    parser.add_argument("--seed", type=int, default=1, help="of the hunt (default: 1)")
    arguments = parser.parse_args()
    mutants = mutants_of(arguments.set)
    if arguments.only:
        chosen = [mutant for mutant in mutants if mutant.name == arguments.only]
        if not chosen:
            parser.exit(2, f"ci/mutants: no mutant '{arguments.only}'; there are: "
                           f"{' '.join(mutant.name for mutant in mutants)}\n")
        mutants = chosen
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.name}: {mutant.about}")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    with open(WORK / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return hunt_set(arguments.set, mutants, arguments.seed, arguments.fresh)
        except Failure as failure:
            print(f"ci/mutants: {failure}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
