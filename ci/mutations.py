"""Mechanical mutants: what can be changed in a C++ file, and which of it a seed draws.

The kinds:
  drop    an expression statement, a `continue`, or the `break` of a loop, is left out
  negate  a condition is negated: of if, while, do, for and ?:, and each operand of && and ||
  swap    the operands of < <= > >= - / % are exchanged; of other operators that changes nothing,
          or does not compile

Left alone is what no test is to judge: PROBE, check(), reserve(), counters, metrics and the log,
with all that is written inside such a statement. Only .cpp files: a header costs a build of most of
the tree. Files are read with libclang.
"""

import collections
import dataclasses
import pathlib
import random
import re
from collections.abc import Iterator

from clang import cindex
from clang.cindex import CursorKind

from mutant_tree import Failure

KINDS = ("drop", "negate", "swap")
SWAPPED = ("<", "<=", ">", ">=", "-", "/", "%")
UNJUDGED = re.compile(r"PROBE|check\(|\(void\)|[\w.>-]+\.reserve\(|(\+\+)?counters_\."
                      r"|(\w+[.])?(metrics|log)[._]\w*\(")
FUNCTIONS = (CursorKind.FUNCTION_DECL, CursorKind.CXX_METHOD, CursorKind.CONSTRUCTOR,
             CursorKind.DESTRUCTOR, CursorKind.CONVERSION_FUNCTION, CursorKind.FUNCTION_TEMPLATE)
LOOPS = (CursorKind.FOR_STMT, CursorKind.CXX_FOR_RANGE_STMT, CursorKind.WHILE_STMT,
         CursorKind.DO_STMT)
SHORT = 100
SWITCH_PARTS = (CursorKind.CASE_STMT, CursorKind.DEFAULT_STMT)


@dataclasses.dataclass(frozen=True, order=True)
class Mutation:
    """Puts `new` in the place of the bytes from `start` to `end` of a file."""

    file: str  # from the root of the tree
    start: int
    end: int
    kind: str
    line: int  # from 1, where it starts
    function: str
    old: str
    new: str
    name: str = ""
    occurrence: int = 1  # among the equal changes of the function

    @property
    def change(self) -> str:
        """One line for people."""
        return f"{short(self.old)}  ->  {short(self.new) or '(nothing)'}"

    @property
    def key(self) -> str:
        """What it is, whatever the line numbers."""
        kind = self.kind + numbered(self.occurrence)
        return f"{self.file} {self.function} {kind}: {one_line(self.old)}"

    def applied(self, source: bytes) -> bytes:
        return source[:self.start] + self.new.encode() + source[self.end:]


def one_line(code: str) -> str:
    return " ".join(code.split())


def short(code: str) -> str:
    """What fits on a line: the rest of a long expression says little."""
    text = one_line(code)
    return text if len(text) <= SHORT else text[:SHORT - 4] + " ..."


class Reader:
    """Finds the mutations of one file."""

    def __init__(self, file: str, source: bytes):
        self._file = file
        self._source = source
        self._found: list[Mutation] = []

    def read(self, root: pathlib.Path) -> list[Mutation]:
        unit = cindex.Index.create().parse(
            str(root / self._file), args=["-std=c++20", f"-I{root}/core", f"-I{root}"])
        errors = [problem for problem in unit.diagnostics if problem.severity >= problem.Error]
        if errors:
            raise Failure(f"{self._file}: {errors[0]}")
        for cursor in unit.cursor.get_children():
            if cursor.location.file and cursor.location.file.name == str(root / self._file):
                self._visit(cursor, "", None)
        return named(sorted(set(self._found)))

    def _visit(self, cursor, function: str, parent) -> None:
        """`parent`: the kind of the innermost block, loop or switch around it."""
        if cursor.kind in FUNCTIONS:
            function = cursor.spelling
        text = self._text(cursor)
        is_made_up = cursor.kind == CursorKind.COMPOUND_STMT and not text.startswith("{")
        if is_made_up or UNJUDGED.match(text):  # made up: of a macro, of what is defaulted
            return
        children = list(cursor.get_children())
        for statement in statements_of(cursor, children):
            self._drop(statement, function, parent)
        for condition in conditions_of(cursor, children, self._between):
            self._negate(condition, function)
        self._swap(cursor, children, function)
        breakable = cursor.kind in LOOPS or cursor.kind == CursorKind.SWITCH_STMT
        for child in children:
            self._visit(child, function, cursor.kind if breakable else parent)

    def _drop(self, statement, function: str, around) -> None:
        is_break = statement.kind == CursorKind.BREAK_STMT and around in LOOPS
        droppable = (is_break or statement.kind == CursorKind.CONTINUE_STMT
                     or statement.kind.is_expression())
        if droppable and not UNJUDGED.match(self._text(statement)):
            self._add("drop", function, statement.extent, "")

    def _negate(self, condition, function: str) -> None:
        self._add("negate", function, condition.extent, f"!({self._text(condition)})")

    def _swap(self, cursor, children: list, function: str) -> None:
        """Of built-in operators, of overloaded ones, and of those that <=> stands for."""
        is_overloaded = (cursor.kind == CursorKind.CALL_EXPR and len(children) == 3
                         and children[1].spelling.startswith("operator"))
        if not is_overloaded and cursor.kind != CursorKind.BINARY_OPERATOR:
            return
        left, right = children[0], children[-1]
        operator = self._between(left, right)
        if operator in SWAPPED and self._text(left) != self._text(right):
            self._add("swap", function, cursor.extent,
                      f"({self._text(right)}) {operator} ({self._text(left)})")

    def _add(self, kind: str, function: str, extent, new: str) -> None:
        start, end = extent.start.offset, extent.end.offset
        self._found.append(Mutation(self._file, start, end, kind, extent.start.line, function,
                                    self._source[start:end].decode(), new))

    def _between(self, left, right) -> str:
        return self._source[left.extent.end.offset:right.extent.start.offset].decode().strip()

    def _text(self, cursor) -> str:
        return self._source[cursor.extent.start.offset:cursor.extent.end.offset].decode()


def statements_of(cursor, children: list) -> list:
    if cursor.kind == CursorKind.COMPOUND_STMT:
        return children
    return children[-1:] if cursor.kind in SWITCH_PARTS else []


def conditions_of(cursor, children: list, between) -> list:
    """The expressions that `cursor` takes as true or false."""
    if cursor.kind == CursorKind.BINARY_OPERATOR:
        return children if between(*children) in ("&&", "||") else []
    if cursor.kind == CursorKind.CONDITIONAL_OPERATOR:
        return children[:1]
    if cursor.kind == CursorKind.DO_STMT:
        return children[-1:]
    if cursor.kind == CursorKind.FOR_STMT:
        return [child for child in children[:-1] if child.kind.is_expression()
                and child.type.kind == cindex.TypeKind.BOOL][:1]
    if cursor.kind not in (CursorKind.IF_STMT, CursorKind.WHILE_STMT):
        return []
    if any(child.kind == CursorKind.VAR_DECL for child in children):
        return []  # the condition is a declaration
    return [child for child in children if child.kind.is_expression()][:1]


def numbered(number: int) -> str:
    return f" {number}" if number > 1 else ""


def named(mutations: list[Mutation]) -> list[Mutation]:
    """Of one file, in order: names them by place and kind, and by number where that is not
    enough; counts equal changes."""
    names: collections.Counter = collections.Counter()
    keys: collections.Counter = collections.Counter()
    result = []
    for mutation in mutations:
        place = "/".join(pathlib.PurePath(mutation.file).parts[-2:])
        name = f"{place}:{mutation.line} {mutation.kind}"
        names[name] += 1
        keys[mutation.key] += 1
        result.append(dataclasses.replace(mutation, name=name + numbered(names[name]),
                                          occurrence=keys[mutation.key]))
    return result


def mutations_of(root: pathlib.Path, folder: str, executed: dict[str, list[int]]
                 ) -> list[Mutation]:
    """All that start on an executed line of the folder's files; `executed`: lines by file."""
    result = []
    for path in sorted((root / folder).glob("*.cpp")):
        file = f"{folder}/{path.name}"
        lines = set(executed.get(file, ()))
        if lines:
            found = Reader(file, path.read_bytes()).read(root)
            result += [mutation for mutation in found if mutation.line in lines]
    return result


def drawn(mutations: list[Mutation], seed: int) -> Iterator[Mutation]:
    """All of one folder in the order that the seed gives: the kinds take turns while they last."""
    source = random.Random(seed)
    queues = []
    for kind in KINDS:
        queue = sorted(mutation for mutation in mutations if mutation.kind == kind)
        source.shuffle(queue)
        queues.append(queue)
    for turn in range(max(map(len, queues))):
        yield from (queue[turn] for queue in queues if turn < len(queue))
