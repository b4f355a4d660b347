"""Mechanical mutants: draws 60 from a seed and shows that the tests kill them.

20 each are of core/decide, core/agent and sim/kernel, of lines that the judges execute without a
mutant (executed.py), of each kind in turn (mutations.py). One that does not compile is redrawn.

Judges, the cheapest first, until one kills:
  core/decide, core/agent  the unit tests and the tests of the suite sim that run this code, with
                           properties tried on fixed cases; then 60 s of drawn runs of the simulator
  sim/kernel               the cases of the fidelity fuzzer; then 1000 of its programs; then 200
                           in which time passes

A mutant is killed if a judge fails, crashes, or hangs. All judges pass without a mutant, with the
same seeds; of the simulator, the build without a mutant passes the very run that kills.

What survives is listed. sim/mutants/equivalent.txt says why, of those that no test can kill: what
it is ("FILE FUNCTION KIND: CODE", KIND with a number if the function has several of it), then the
reason in indented lines. They count as survivors.
"""

import dataclasses
import itertools
import pathlib
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator

import executed
from mutant_tree import (ROOT, WORK, BuildFailure, Hung, Memory, build, copy_tree, run, simulate,
                         told)
from mutations import Mutation, drawn, mutations_of, short

DRAWN = 20  # of each folder
PROGRAMS = 1000
TIMED_PROGRAMS = 200
TEST_LIMIT_S = 60  # each program takes at most five seconds
PROGRAMS_LIMIT_S = 240  # either kind takes a minute on two busy cores
LEAST_KILLED_PERCENT = 85
EQUIVALENT = ROOT / "sim/mutants/equivalent.txt"
CLEAN = WORK / "vxmesh-sim-without-mechanical"
FAILED = re.compile(r"^\[  FAILED  \] (\S+?)[,.]?(?: |$)", re.MULTILINE)
GAP = re.compile(r"^(?:\S*?(?P<case>[\w-]+)\.txt: )?gap in program (?P<program>\d+): "
                 r"(?P<signature>.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Stage:
    targets: tuple[str, ...]  # that are built for it
    judge: Callable[[int], str]  # what killed the mutant; nothing if it lives


@dataclasses.dataclass
class Verdict:
    compiles: bool
    killed_by: str = ""
    seconds: float = 0


# --- Judges ---


def failure_of(command: list, limit_s: float, said: Callable[[str], str]) -> str:
    """Nothing if the program passes; else how it did not, with what `said` reads in its output."""
    name = pathlib.Path(command[0]).name
    try:
        result = run(command, environment={"RC_PARAMS": "seed=1"}, limit_s=limit_s)
    except Hung:
        return f"{name}: hangs"
    if result.returncode == 0:
        return ""
    if result.returncode < 0:
        return f"{name}: {signal.Signals(-result.returncode).name}"
    return f"{name}: {said(result.stdout + result.stderr)}"


def first_failed(output: str) -> str:
    failed = FAILED.search(output)
    return failed.group(1) if failed else "fails"


def first_gap(output: str) -> str:
    """Where the fake kernel and the real one part, or why they are not compared."""
    gap = GAP.search(output)
    if gap is None:
        return short((output.strip().splitlines() or ["fails"])[-1])
    return f"{gap['case'] or 'program ' + gap['program']}: {gap['signature']}"


def judge_by_tests(_seed: int) -> str:
    for test in executed.TESTS:
        failure = failure_of([WORK / "build/bin" / test, "--gtest_brief=1", "--gtest_fail_fast"],
                             TEST_LIMIT_S, first_failed)
        if failure:
            return failure
    return ""


def judge_by_simulation(seed: int) -> str:
    program = WORK / "build/bin/vxmesh-sim"
    if not CLEAN.is_file():
        shutil.copy2(program, CLEAN)
    try:
        runs, failures = simulate(program, CLEAN, seed, lambda failure: True)
    except Hung:
        return "vxmesh-sim: hangs"
    return f"vxmesh-sim: {told(failures[0], runs)}" if failures else ""


def judge_by_cases(_seed: int) -> str:
    return failure_of([WORK / "build/bin/vxmesh-fidelity", "replay", *executed.CASES],
                      TEST_LIMIT_S, first_gap)


def judge_by_programs(seed: int) -> str:
    return failure_of_programs(seed, "--programs", str(PROGRAMS))


def judge_by_timed_programs(seed: int) -> str:
    return failure_of_programs(seed, "--timed", "--programs", str(TIMED_PROGRAMS))


def failure_of_programs(seed: int, *which: str) -> str:
    return failure_of([WORK / "build/bin/vxmesh-fidelity", "run", *which, "--seed", str(seed),
                       "--most-gaps", "1", "--save", WORK / "cases"],
                      PROGRAMS_LIMIT_S, first_gap)


OF_CORE = (Stage(executed.TESTS, judge_by_tests), Stage(("vxmesh-sim",), judge_by_simulation))
OF_KERNEL = (Stage(("vxmesh-fidelity",), judge_by_cases),
             Stage(("vxmesh-fidelity",), judge_by_programs),
             Stage(("vxmesh-fidelity",), judge_by_timed_programs))
STAGES = {folder: OF_CORE for folder in executed.CORE} | {executed.KERNEL: OF_KERNEL}


def folder_of(mutation: Mutation) -> str:
    return str(pathlib.PurePath(mutation.file).parent)


def judged(mutation: Mutation, seed: int) -> Verdict:
    """Of the mutant in the copied tree."""
    began = time.monotonic()
    killed_by = ""
    for stage in STAGES[folder_of(mutation)]:
        try:
            build(*stage.targets)
        except BuildFailure:
            return Verdict(False, seconds=time.monotonic() - began)
        killed_by = stage.judge(seed)
        if killed_by:
            break
    return Verdict(True, killed_by, time.monotonic() - began)


# --- The hunt ---


def drawn_of(lines: dict[str, list[int]], seed: int) -> dict[str, list[Mutation]]:
    """By folder, in the order in which they are drawn."""
    return {folder: list(drawn(mutations_of(WORK / "tree", folder, lines), seed))
            for folder in STAGES}


class Hunter:
    """Judges mutants one by one and remembers the verdicts."""

    def __init__(self, tree: str, seed: int, fresh: bool):
        self._memory = Memory("mechanical", tree, seed, fresh)
        self._seed = seed
        self._judged = 0

    def passes_without(self) -> bool:
        """Whether all judges pass without a mutant; says which does not."""
        known = self._memory.get("", b"")
        if known is None or not CLEAN.is_file():
            known = {"failure": self._failure_without()}
            self._memory.put("", b"", known)
        if known["failure"]:
            print(f"without a mutant: {known['failure']}: mend that first")
        return not known["failure"]

    def _failure_without(self) -> str:
        CLEAN.unlink(missing_ok=True)
        for stage in (*OF_CORE, *OF_KERNEL):
            print(f"without a mutant: {' '.join(stage.targets)}", flush=True)
            build(*stage.targets)
            failure = stage.judge(self._seed)
            if failure:
                return failure
        return ""

    def verdict(self, mutation: Mutation, of: int) -> Verdict:
        about = f"{mutation.start} {mutation.new}".encode()
        known = self._memory.get(mutation.name, about)
        verdict = Verdict(**known) if known else self._hunt(mutation)
        self._memory.put(mutation.name, about, dataclasses.asdict(verdict))
        self._judged += verdict.compiles
        became = (f"{self._judged:2} of {of} " + ("killed  " if verdict.killed_by else "SURVIVED")
                  if verdict.compiles else "does not compile, redrawn:")
        print(f"{became} {mutation.name}: {verdict.killed_by or mutation.change} "
              f"({verdict.seconds:.0f} s)", flush=True)
        return verdict

    def _hunt(self, mutation: Mutation) -> Verdict:
        path = WORK / "tree" / mutation.file
        source = path.read_bytes()
        path.write_bytes(mutation.applied(source))
        try:
            return judged(mutation, self._seed)
        finally:
            path.write_bytes(source)


def hunt_folder(hunter: Hunter, order: list[Mutation], of: int) -> list[tuple[Mutation, Verdict]]:
    """Judges the first DRAWN that compile. What is drawn at once is judged by file: builds are
    cheaper so."""
    left = iter(order)
    found: list[tuple[Mutation, Verdict]] = []
    while len(found) < DRAWN:
        batch = sorted(itertools.islice(left, DRAWN - len(found)))
        if not batch:
            break
        verdicts = [(mutation, hunter.verdict(mutation, of)) for mutation in batch]
        found += [(mutation, verdict) for mutation, verdict in verdicts if verdict.compiles]
    return found


# --- Reports ---


def reasons(path: pathlib.Path = EQUIVALENT) -> dict[str, str]:
    """Why those that are known to be equivalent are, by Mutation.key."""
    result: dict[str, str] = {}
    key = ""
    for line in path.read_text().splitlines() if path.is_file() else ():
        if line.startswith(" "):
            result[key] = f"{result[key]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            key = line
            result[key] = ""
    return result


def report(verdicts: list[tuple[Mutation, Verdict]]) -> int:
    """Lists the survivors and counts; gives the exit status."""
    known = reasons()
    survivors = [mutation for mutation, verdict in verdicts if not verdict.killed_by]
    for mutation in survivors:
        print(f"survived: {mutation.name}, in {mutation.function}\n"
              f"  {mutation.change}\n  {known.get(mutation.key, 'no reason is known')}")
    killed = len(verdicts) - len(survivors)
    explained = sum(mutation.key in known for mutation in survivors)
    print(f"ci/mutants sim --mechanical: {killed} of {len(verdicts)} killed; of the "
          f"{len(survivors)} survivors {explained} have a reason in sim/mutants/{EQUIVALENT.name}")
    return 0 if verdicts and killed * 100 >= len(verdicts) * LEAST_KILLED_PERCENT else 1


def first_drawn(orders: dict[str, list[Mutation]]) -> Iterator[Mutation]:
    for order in orders.values():
        yield from sorted(order[:DRAWN])


def named(orders: dict[str, list[Mutation]], name: str) -> Mutation:
    for mutation in itertools.chain(*orders.values()):
        if mutation.name == name:
            return mutation
    raise ValueError(f"no mutant '{name}'; --list names those that are drawn")


def hunt(drawn_from: int, only: str | None, is_list: bool, fresh: bool, seed: int) -> int:
    """Draws from the seed `drawn_from`, hunts with `seed`; gives the exit status."""
    tree = copy_tree(WORK / "tree")
    orders = drawn_of(executed.executed_lines(tree), drawn_from)
    if is_list:
        for mutation in [named(orders, only)] if only else first_drawn(orders):
            print(f"{mutation.name}: {mutation.change}")
        return 0
    hunter = Hunter(tree, seed, fresh)
    if not hunter.passes_without():
        return 1
    if only:
        mutation = named(orders, only)
        verdict = hunter.verdict(mutation, 1)
        if not verdict.compiles:
            return 1
        return report([(mutation, verdict)])
    of = sum(min(DRAWN, len(order)) for order in orders.values())
    return report([pair for order in orders.values() for pair in hunt_folder(hunter, order, of)])
