#!/usr/bin/python3
"""Keeps the rules that no compiler keeps: layers, banned calls, registration, sizes, format.

tidy.py [--all | --since REV] [--build DIR]

The rules that read text look at the whole tree every time. clang-tidy, which is slow, looks at what
changed since REV (default: the parent of HEAD) and in the working tree; with --all at everything.
Findings are lines "file:line: what is wrong, and what to do". Exit status: 0 none, 1 some, 2 usage.
"""

import argparse
import ast
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

import suites

MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 100
MAX_BEAST_FILES = 3  # a translation unit that includes it compiles for half a minute and more

CORE_PURE = ("base", "model", "ports", "decide", "explain", "agent")
FAKES = ("sim/world", "sim/kernel", "sim/kube", "sim/fabric", "sim/faults", "sim/check")

# Layer -> the layers that it may include beside itself (core/docs/architecture.md). Folders of one
# prefix that are not named here ("sim/" and the rest) take the entry of the prefix.
ALLOWED = {
    "base": (),
    "model": ("base",),
    "ports": ("base", "model"),
    "decide": ("base", "model", "ports"),  # a plan is made of the port's operations
    "explain": ("base", "model"),
    "agent": ("base", "model", "ports", "decide", "explain"),
    "adapters": ("base", "model", "ports"),
    "main": (*CORE_PURE, "adapters"),
    **{fake: ("base", "model", "ports", "sim/scenario", *FAKES) for fake in FAKES},
    "sim/scenario": ("base", "model"),
    "sim/cli": (*CORE_PURE, "sim", "adapters"),  # how long a run takes is the real clock's
    "sim/fakekube": ("base", "model", "ports", *FAKES, "adapters"),
    "sim": (*CORE_PURE, "sim"),
    "integration": (*CORE_PURE, "adapters", "sim", "integration"),
}


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


class Tree:
    """The files of a work tree, by path from its root, and their text."""

    def __init__(self, root: pathlib.Path, paths: Iterable[str]):
        self.root = root
        self.paths = sorted(paths)
        self._texts: dict[str, str] = {}
        self._code: dict[str, str] = {}

    @classmethod
    def of_git(cls, root: pathlib.Path) -> "Tree":
        listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard")
        return cls(root, (path for path in set(listed) if (root / path).is_file()))

    def text(self, path: str) -> str:
        if path not in self._texts:
            self._texts[path] = (self.root / path).read_text(errors="replace")
        return self._texts[path]

    def code(self, path: str) -> str:
        """The text of a C++ file with comments and what is in literals blanked, line by line."""
        if path not in self._code:
            self._code[path] = blank_comments_and_literals(self.text(path))
        return self._code[path]

    def cpp(self) -> list[str]:
        return [path for path in self.paths if path.endswith((".cpp", ".h"))]

    def cmake(self) -> list[str]:
        return [path for path in self.paths if pathlib.PurePath(path).name == "CMakeLists.txt"]


def git(root: pathlib.Path, *arguments: str) -> list[str]:
    output = subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True,
                            text=True, stdin=subprocess.DEVNULL)
    return output.stdout.splitlines()


LITERALS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#\s*include\s*(?:"(?P<quoted>[^"]+)"|<(?P<angled>[^>]+)>)',
                     re.MULTILINE)


def blank_comments_and_literals(text: str) -> str:
    def blank(match: re.Match) -> str:
        found = match.group()
        kept = found[0] + found[-1] if found[0] in "\"'" else ""
        return kept[:1] + re.sub(r"[^\n]", " ", found[len(kept):]) + kept[1:]

    return LITERALS.sub(blank, text)


def line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


# --- layers ---


def layer_of(path: str) -> str | None:
    """The layer that a file, or an included path, belongs to; None outside of them all."""
    parts = path.split("/")
    if parts[0] == "core":
        parts = parts[1:]
    if parts[0] == "sim" and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 and parts[0] in ALLOWED else None


def may_include(layer: str, included: str) -> bool:
    if layer == included:
        return True
    allowed = ALLOWED.get(layer, ALLOWED[layer.split("/")[0]])
    return included in allowed or included.split("/")[0] in allowed


def check_layers(tree: Tree) -> Iterator[Finding]:
    for path in tree.cpp():
        layer = layer_of(path)
        for match in INCLUDE.finditer(tree.text(path)):
            quoted = match["quoted"]
            if layer is None or quoted is None:
                continue
            line = line_at(tree.text(path), match.start())
            included = layer_of(quoted)
            if included is None or quoted.startswith("core/"):
                yield Finding(path, line, f'"{quoted}" is in no layer; include core\'s files as '
                                          '"layer/file.h", all else by its path from the root')
            elif not may_include(layer, included):
                yield Finding(path, line, f"{layer} must not include {included}; see the layers in "
                                          "core/docs/architecture.md")


STANDARD_HEADER = re.compile(r"[a-z_0-9]+|tl/expected\.hpp")
# What a pure layer may know of the machine and of other libraries, and why.
FOREIGN_HEADERS = {
    ("base", "boost/unordered/unordered_flat_map.hpp"),  # a container, headers only: HashMap
    ("model", "arpa/inet.h"),     # inet_pton and inet_ntop: pure functions on text
    ("agent", "yaml-cpp/yaml.h"),  # the configuration file
    ("sim/world", "boost/pfr/core.hpp"),  # the fields of a struct, headers only: Digest
}


def is_for_tests(path: str) -> bool:
    return path.endswith("_test.cpp") or "/testing/" in path


def check_foreign_headers(tree: Tree) -> Iterator[Finding]:
    for path in tree.cpp():
        layer = layer_of(path)
        if layer not in (*CORE_PURE, *FAKES) or is_for_tests(path):
            continue
        for match in INCLUDE.finditer(tree.text(path)):
            angled = match["angled"]
            if angled is None or STANDARD_HEADER.fullmatch(angled):
                continue
            if (layer, angled) not in FOREIGN_HEADERS:
                yield Finding(path, line_at(tree.text(path), match.start()),
                              f"<{angled}> above the adapters; use a port, or move it to adapters/")


# --- banned calls ---


@dataclasses.dataclass(frozen=True)
class Ban:
    pattern: re.Pattern
    applies: Callable[[str], bool]  # to a file's path
    what: str


def in_deterministic_code(path: str) -> bool:
    return layer_of(path) in CORE_PURE or path.startswith("sim/")


def in_library(path: str) -> bool:
    """All but the programs' own files, the log's writer, and the end of a broken invariant."""
    return (path.startswith(("core/", "sim/"))
            and layer_of(path) not in ("main", "sim/cli", "sim/fakekube")
            and not is_for_tests(path)
            and not path.startswith(("core/base/check.", "core/adapters/posix/log_spdlog.")))


def ban(pattern: str, applies: Callable[[str], bool], what: str) -> Ban:
    return Ban(re.compile(pattern), applies, what)


BANS = (
    ban(r"\b(?:steady|system|high_resolution|utc)_clock\b|\b(?:clock_gettime|gettimeofday|localtime"
        r"|gmtime)\b|\bstd::time\b|(?<![\w.>:])time\((?:nullptr|NULL)\)",
        in_deterministic_code, "reads a clock; take the time from ports/clock.h"),
    ban(r"\bs?rand\(|\brandom_device\b|\bmt19937|\bdefault_random_engine\b|\bgetrandom\b"
        r"|_distribution\b",
        in_deterministic_code, "draws random numbers; use ports/random.h or sim/world/prng.h"),
    ban(r"\b(?:usleep|nanosleep|sleep|sleep_for|sleep_until)\s*\(",
        in_deterministic_code, "sleeps; use a timer of ports/event_loop.h"),
    ban(r"\b(?:secure_)?getenv\b|\benviron\b",
        lambda path: in_deterministic_code(path) and path != "sim/cli/output.cpp",  # colours
        "reads the environment; only main does, and passes the value"),
    ban(r"\bstd::(?:j?thread|async|mutex|condition_variable)\b",
        in_deterministic_code, "uses threads; the agent and the simulator have one"),
    ban(r"\bunordered_(?:multi)?(?:map|set)\b",
        lambda path: in_deterministic_code(path) and path != "core/base/hash_map.h",
        "has no defined order; use std::map, std::set, a sorted vector or base/hash_map.h"),
    ban(r"\bstd::(?:multi)?(?:map|set)<\s*(?:const\s+)?[\w:]+\s*(?:const\s*)?\*",
        in_deterministic_code, "orders by address, which differs from run to run; key by a value"),
    ban(r"#\s*include\s*<ranges>|\bstd::(?:ranges::)?views\b",
        in_deterministic_code, "does not compile with clang 14; use <algorithm> or a loop"),
    ban(r"\b(?:double|float)\b|#\s*include\s*<cmath>"
        r"|(?<![\w.'])(?:\d[\d']*\.|\.\d|\d[\d']*[eE][+-]?\d)\w*",
        in_deterministic_code, "floating point differs from machine to machine; use integers"),
    ban(r"\b[vfd]*printf\b|\bf?puts\b|\bstd::(?:cout|cerr|clog)\b|\bspdlog::|\bfmt::print\b"
        r"|\bsyslog\b|\bperror\b",
        in_library, "writes or logs from a library; return an Error, the agent logs it"),
    ban(r"\bPROBE(?:_IF)?\s*\(",
        lambda path: path.endswith(".h") and path != "core/base/probe.h",
        "is in a header, where one place is several or none; move it to a .cpp file"),
    ban(r"(?<![\w_])assert\s*\(|#\s*include\s*<cassert>",
        lambda path: True, "assert() is gone in release builds; use check() of base/check.h"),
    ban(r"#\s*define\s+private\b|\busing\s+namespace\s+std\s*;",
        lambda path: True, "bends the language; write what is meant"),
)


def check_bans(tree: Tree) -> Iterator[Finding]:
    for path in tree.cpp():
        code = tree.code(path)
        for rule in BANS:
            if rule.applies(path):
                for match in rule.pattern.finditer(code):
                    yield Finding(path, line_at(code, match.start()),
                                  f"'{match.group().strip()}' {rule.what}")


DRAW = re.compile(r"(?:\.|->)(?:below|between|chance)\s*\("
                  r"|\b(?!cursor|stream)\w+(?:\.|->)next\s*\(\s*\)")
# What stands before the brace of a lambda's body, and before that of any other block. A brace that
# follows neither opens a list of values, or a class, whose members end with a semicolon each.
LAMBDA_HEAD = re.compile(r"\](?:\s*\((?:[^()]|\([^()]*\))*\))?\s*(?:mutable\s*)?(?:noexcept\s*)?"
                         r"(?:->[\w\s:<>,&*]+)?$")
BLOCK_HEAD = re.compile(r"(?:^|[);{}:]|\b(?:else|do|try|const|noexcept|override|final))\s*$")
MAX_LAMBDA_HEAD = 300  # characters: what is longer is none


def second_draws(code: str) -> Iterator[int]:
    """Offsets of draws after the first of one full expression, in blanked code.

    A lambda's body is not part of the expression that it stands in. Draws that a function makes
    are not seen where it is called.
    """
    scopes: list[tuple[bool, int]] = []  # of each open brace: if it is a block; draws before it
    draws = 0
    for match in re.finditer(rf"[{{}};]|{DRAW.pattern}", code):
        token = match.group()
        if token == "{":
            head = code[max(0, match.start() - MAX_LAMBDA_HEAD):match.start()]
            is_lambda = LAMBDA_HEAD.search(head) is not None
            is_block = is_lambda or BLOCK_HEAD.search(head) is not None
            scopes.append((is_block, draws if is_lambda else 0))
            draws = 0 if is_block else draws
        elif token == "}" and scopes:
            is_block, before = scopes.pop()
            draws = before if is_block else draws
        elif token == ";":
            draws = 0
        elif token != "}":
            draws += 1
            if draws > 1:
                yield match.start()


def check_draws(tree: Tree) -> Iterator[Finding]:
    for path in tree.cpp():
        if in_deterministic_code(path):
            for offset in second_draws(tree.code(path)):
                yield Finding(path, line_at(tree.code(path), offset),
                              "is a second draw in one expression, whose order differs from "
                              "compiler to compiler; draw into a variable first")


def check_beast(tree: Tree) -> Iterator[Finding]:
    users = [path for path in tree.cpp()
             if re.search(r"#\s*include\s*<boost/beast", tree.text(path))]
    for path in users[MAX_BEAST_FILES:]:
        yield Finding(path, 1, f"is one more than {MAX_BEAST_FILES} files with Boost.Beast; "
                               f"go through {' or '.join(users[:MAX_BEAST_FILES])}")


# --- registration ---


def cmake_paths(tree: Tree, call: str, ending: str) -> set[str]:
    """Paths with `ending` that are named inside calls of `call` (a pattern), from the root."""
    named = set()
    for path in tree.cmake():
        folder = pathlib.PurePath(path).parent
        text = re.sub(r"#[^\n]*", "", tree.text(path))
        for arguments in re.findall(rf"\b(?:{call})\s*\(([^)]*)\)", text):
            for token in arguments.split():
                if token.endswith(ending):
                    token = token.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
                    root = token.startswith("${PROJECT_SOURCE_DIR}/")
                    token = token.removeprefix("${PROJECT_SOURCE_DIR}/")
                    named.add(os.path.normpath(token if root else folder / token))
    return named


def check_registration(tree: Tree) -> Iterator[Finding]:
    built = cmake_paths(tree, r"\w+", ".cpp")
    tests = cmake_paths(tree, "vxmesh_test", ".cpp")
    for path in tree.cpp():
        if path.endswith("_test.cpp") and path not in tests:
            yield Finding(path, 1, "is a test that never runs; name it in a vxmesh_test() of the "
                                   "CMakeLists.txt beside it")
        elif path.endswith(".cpp") and path not in built:
            yield Finding(path, 1, "is built by no CMakeLists.txt; name it there or delete it")
    for path in sorted(built - set(tree.paths)):
        yield Finding(path, 1, "is named in a CMakeLists.txt but is not there")
    folders = cmake_paths(tree, "add_subdirectory", "")
    for path in tree.cmake():
        folder = str(pathlib.PurePath(path).parent)
        if folder != "." and folder not in folders:
            yield Finding(path, 1, "is reached by no add_subdirectory(); its tests never run")


def check_pytest_folders(tree: Tree) -> Iterator[Finding]:
    folders = tuple(f"{folder}/" for folder in suites.PYTEST_FOLDERS.values())
    for path in tree.paths:
        is_test = re.fullmatch(r"test_\w+\.py", pathlib.PurePath(path).name)
        if is_test and not path.startswith(folders):
            yield Finding(path, 1, "is a test that never runs; put it into one of: "
                                   + ", ".join(folders))


def check_mutants(tree: Tree) -> Iterator[Finding]:
    for path in tree.paths:
        if not path.endswith(".patch"):
            continue
        applied = subprocess.run(["git", "-C", tree.root, "apply", "--check", path],
                                 capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if applied.returncode != 0:
            why = applied.stderr.strip().splitlines()
            yield Finding(path, 1, "does not apply; make it again: "
                          + (why[0] if why else ""))
        if tree.text(path).startswith(("diff ", "---")):
            yield Finding(path, 1, "does not say what is wrong; begin with a sentence")


def check_headers(tree: Tree) -> Iterator[Finding]:
    included = {match["quoted"] for path in tree.cpp()
                for match in INCLUDE.finditer(tree.text(path))}
    for path in tree.cpp():
        if not path.endswith(".h"):
            continue
        if path.removeprefix("core/") not in included:
            yield Finding(path, 1, "is included by no file; delete it")
        if not re.search(r"^#pragma once$", tree.text(path), re.MULTILINE):
            yield Finding(path, 1, "has no #pragma once")


# --- sizes and words ---


CONTAINER = re.compile(r"\b(?:namespace|class|struct|union|enum)\b(?![^;{}]*\))|\bextern\s*$")


PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)


def cpp_functions(code: str) -> Iterator[tuple[int, int]]:
    """First and last line of each outermost function body with its signature, in blanked code."""
    code = PREPROCESSOR.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), code)
    scopes: list[tuple[str, int]] = []  # kind of each open brace, and where its statement began
    start = 0
    for match in re.finditer(r"[{};]|\b(?:public|protected|private)\s*:(?!:)", code):
        head = code[start:match.start()]
        inside = any(kind == "function" for kind, _ in scopes)
        if match.group() == "{":
            is_function = "(" in head and not inside and not CONTAINER.search(head)
            scopes.append(("function" if is_function else "other", start))
        elif match.group() == "}" and scopes:
            kind, began = scopes.pop()
            if re.match(r"\s*[,{]", code[match.end():]):
                start = began  # only the braces of a member's initialiser: the body follows
                continue
            if kind == "function":
                first = began + len(code[began:]) - len(code[began:].lstrip())
                yield line_at(code, first), line_at(code, match.start())
        if not any(kind == "function" for kind, _ in scopes):
            start = match.end()


def python_functions(text: str) -> Iterator[tuple[int, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno or node.lineno


def check_function_lengths(tree: Tree) -> Iterator[Finding]:
    for path in tree.paths:
        if path.endswith((".cpp", ".h")):
            functions = cpp_functions(tree.code(path))
        elif path.endswith(".py"):
            functions = python_functions(tree.text(path))
        else:
            continue
        for first, last in functions:
            if last - first >= MAX_FUNCTION_LINES:
                yield Finding(path, first, f"is a function of {last - first + 1} lines; split it, "
                                           f"{MAX_FUNCTION_LINES} is the most")


def is_script(tree: Tree, path: str) -> bool:
    name = pathlib.PurePath(path).name
    return (name.endswith((".cpp", ".h", ".py", ".sh", ".cmake")) or name == "CMakeLists.txt"
            or tree.text(path).startswith("#!"))


# Split, so that this file does not find itself.
MARKS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|TB" r"D)\b")


def check_lines(tree: Tree) -> Iterator[Finding]:
    for path in tree.paths:
        if path == "LICENSE":
            continue
        script = is_script(tree, path)
        for number, line in enumerate(tree.text(path).splitlines(), start=1):
            if script and len(line) > MAX_COLUMNS:
                yield Finding(path, number, f"has {len(line)} columns; {MAX_COLUMNS} is the most")
            mark = MARKS.search(line)
            if mark:
                yield Finding(path, number, f"{mark.group()} marks unfinished work; finish it, or "
                                            "open an issue and delete the mark")


# --- clang's own tools ---


def check_format(tree: Tree) -> Iterator[Finding]:
    files = tree.cpp()
    if not files:
        return
    result = subprocess.run(["clang-format-14", "--dry-run", "--ferror-limit=1", *files],
                            cwd=tree.root, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): ", result.stderr,
                                 re.MULTILINE):
        yield Finding(path, int(line), f"is not formatted; run clang-format-14 -i {path}")
    if result.returncode != 0:
        yield Finding(".clang-format", 1, f"clang-format-14 failed: {result.stderr.strip()[:500]}")


def changed_since(tree: Tree, revision: str) -> set[str]:
    return {*git(tree.root, "diff", "--name-only", revision),
            *git(tree.root, "ls-files", "--others", "--exclude-standard")}


def units_to_analyse(tree: Tree, changed: set[str], built: set[str]) -> list[str]:
    """The changed translation units, and for a changed header one that shows it to clang-tidy."""
    units = {path for path in changed if path in built}
    for header in sorted(path for path in changed if path.endswith(".h")):
        name = header.removeprefix("core/")
        users = [path for path in sorted(built & set(tree.paths))
                 if f'#include "{name}"' in tree.text(path)]
        if users and not units.intersection(users):
            own = header.removesuffix(".h") + ".cpp"
            units.add(own if own in users else users[0])
    return sorted(units)


def run_clang_tidy(tree: Tree, build: pathlib.Path, unit: str) -> list[Finding]:
    # The flags are g++'s; clang does not know all of its warnings.
    command = ["clang-tidy-14", "--quiet", "-p", build, "--extra-arg=-Wno-unknown-warning-option"]
    if is_for_tests(unit):
        # It walks GoogleTest's and RapidCheck's templates for most of a minute a file; tests are
        # run with sanitizers instead.
        command.append("--checks=-clang-analyzer-*")
    result = subprocess.run([*command, unit], cwd=tree.root, capture_output=True, text=True,
                            stdin=subprocess.DEVNULL)
    findings = []
    for path, line, what in re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*)$",
                                       result.stdout, re.MULTILINE):
        findings.append(Finding(os.path.relpath(path, tree.root), int(line), what))
    if result.returncode != 0 and not findings:
        findings.append(Finding(unit, 1, f"clang-tidy-14 failed: {result.stderr.strip()[:500]}"))
    return findings


def check_clang_tidy(tree: Tree, build: pathlib.Path,
                     changed: set[str] | None) -> Iterator[Finding]:
    """Analyses what `changed` names, or everything if it is None."""
    database = build / "compile_commands.json"
    if not database.is_file():
        yield Finding("ci/tidy.py", 1, f"clang-tidy needs {database}; run ci/build first")
        return
    entries = json.loads(database.read_text())
    built = {os.path.relpath(entry["file"], tree.root) for entry in entries} & set(tree.paths)
    units = sorted(built) if changed is None else units_to_analyse(tree, changed, built)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for findings in pool.map(lambda unit: run_clang_tidy(tree, build, unit), units):
            yield from findings


TEXT_CHECKS = (
    check_layers, check_foreign_headers, check_bans, check_draws, check_beast, check_registration,
    check_pytest_folders, check_mutants, check_headers, check_function_lengths, check_lines,
    check_format,
)


def has_parent(root: pathlib.Path) -> bool:
    return subprocess.run(["git", "-C", root, "rev-parse", "--verify", "--quiet", "HEAD~1"],
                          capture_output=True).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="ci/tidy.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--all", action="store_true", help="clang-tidy on every file")
    scope.add_argument("--since", metavar="REV", help="clang-tidy on what changed since REV")
    parser.add_argument("--build", metavar="DIR", default=suites.ROOT / "build/release",
                        type=pathlib.Path, help="a configured build (default: build/release)")
    arguments = parser.parse_args()
    tree = Tree.of_git(suites.ROOT)
    findings = {finding for check in TEXT_CHECKS for finding in check(tree)}
    changed = None
    if not arguments.all:
        since = arguments.since or ("HEAD~1" if has_parent(tree.root) else "HEAD")
        changed = changed_since(tree, since)
    findings.update(check_clang_tidy(tree, arguments.build.resolve(), changed))
    for finding in sorted(findings):
        print(finding)
    print(f"ci/tidy.py: {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
