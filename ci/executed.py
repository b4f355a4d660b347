"""Which lines the judges of mechanical mutants execute in the code that they judge.

Their programs are built with the preset `coverage` in build/mutants/coverage, run, and read with
gcov. What was measured is kept until what is built changes.
"""

import json
import pathlib
import shutil

from mutant_tree import ROOT, SWARM, WORK, Failure, build, run

CORE = ("core/decide", "core/agent")
KERNEL = "sim/kernel"
TESTS = ("decide_test", "agent_test", "sim_plan_laws_test", "sim_kernel_mirror_test",
         "sim_watch_session_test", "sim_agent_test")
CASES = sorted((ROOT / "integration/fidelity/cases").glob("*.txt"))
SIMULATED_SEEDS = (1, 2, 3)
PROGRAMS = 150
GCOV = "gcov-12"
COVERAGE = WORK / "coverage"
LIMIT_S = 900  # of a program: it is not optimised


def executed_lines(tree: str) -> dict[str, list[int]]:
    """Lines by file; of the copied tree, whose digest is `tree`."""
    kept = WORK / "executed.json"
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    if known.get("tree") != tree:
        known = {"tree": tree, "lines": measured()}
        kept.write_text(json.dumps(known))
    return known["lines"]


def measured() -> dict[str, list[int]]:
    print("measuring which lines are executed: building", flush=True)
    build(*TESTS, "vxmesh-sim", "vxmesh-fidelity", preset="coverage", folder="coverage")
    print("measuring which lines are executed: running", flush=True)
    forget_counts()
    execute("vxmesh-fidelity", "replay", *CASES)
    execute("vxmesh-fidelity", "run", "--programs", str(PROGRAMS), "--save", WORK / "cases")
    lines = counted(KERNEL)
    forget_counts()
    for test in TESTS:
        execute(test, "--gtest_brief=1")
    # Workers end without writing their counts; to make a bundle the process itself runs it again.
    for seed in SIMULATED_SEEDS:
        execute("vxmesh-sim", "run", "--seed", str(seed), *SWARM, "--dir", WORK / "executed")
    for folder in CORE:
        lines |= counted(folder)
    return lines


def execute(program: str, *arguments) -> None:
    result = run([COVERAGE / "bin" / program, *arguments], environment={"RC_PARAMS": "seed=1"},
                 limit_s=LIMIT_S)
    if result.returncode != 0:
        raise Failure(f"{program}: exit status {result.returncode} without a mutant:\n"
                      f"{(result.stdout + result.stderr)[-2000:]}")


def forget_counts() -> None:
    for counts in COVERAGE.rglob("*.gcda"):
        counts.unlink()


def counted(folder: str) -> dict[str, list[int]]:
    """Executed lines of the folder's .cpp files; nothing of files that no program linked."""
    tree = (WORK / "tree").resolve()
    if shutil.which(GCOV) is None:
        raise Failure(f"{GCOV} is missing; run ci/setup")
    lines = {}
    for counts in sorted((COVERAGE / folder).rglob("*.gcda")):
        read = run([GCOV, "--json-format", "--stdout", counts], cwd=counts.parent)
        for document in read.stdout.splitlines():
            report = json.loads(document)
            where = pathlib.Path(report["current_working_directory"])
            for file in report["files"]:
                path = (where / file["file"]).resolve()
                if path.suffix == ".cpp" and path.is_relative_to(tree / folder):
                    lines[str(path.relative_to(tree))] = sorted(
                        {line["line_number"] for line in file["lines"] if line["count"] > 0})
    return lines
