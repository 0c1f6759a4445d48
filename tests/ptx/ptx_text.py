"""Reads the text of a PTX module: its kernels, their variables and their instructions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

BYTES = {"8": 1, "16": 2, "32": 4, "64": 8, "16x2": 4}


class PtxError(ValueError):
    """Text that this translator does not know; the message names line and kernel."""


@dataclass(frozen=True)
class Variable:
    """A parameter, or an array in one of the memories; `bytes` is None where a launch decides."""

    space: str  # param, shared, local, const or global
    name: str
    align: int
    bytes: int | None
    values: tuple[int, ...] = ()  # one a byte, of .const and .global


@dataclass(frozen=True)
class Registers:
    """A declaration such as `.reg .b32 %r<3>`: registers of one type."""

    type: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Label:
    name: str


@dataclass(frozen=True)
class Brace:
    """The start or the end of a scope, which inline assembly opens for registers of its own."""

    text: str


@dataclass(frozen=True)
class Instruction:
    """One instruction: `@!%p1 ld.global.u32 %r1, [%rd1];` has the operands `%r1` and `[%rd1]`."""

    guard: str | None  # a predicate, with ! in front if negated
    opcode: str
    operands: tuple[str, ...]
    line: int

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.opcode.split("."))

    @property
    def text(self) -> str:
        guard = f"@{self.guard} " if self.guard else ""
        return f"{guard}{self.opcode} {', '.join(self.operands)}"


Statement = Variable | Registers | Label | Brace | Instruction


@dataclass
class Kernel:
    name: str
    parameters: list[Variable]
    body: list[Statement]


@dataclass
class Module:
    variables: list[Variable] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)


# What a module and a kernel say to ptxas alone.
HEADER = re.compile(r"\.version [\d.]+|\.target [\w, ]+|\.address_size 64")
LIMITS = re.compile(
    r"\.(maxntid|reqntid|minnctapersm|maxnctapersm|maxnreg|blocksareclusters)\b[\s\d,]*"
)
ENTRY = re.compile(r"(?:\.visible\s+|\.weak\s+)?\.entry\s+([\w$]+)\s*\(([^)]*)\)([^{]*)\{")
VARIABLE = re.compile(
    r"(?:\.extern\s+|\.visible\s+|\.weak\s+)?\.(param|shared|local|const|global)\s+"
    r"(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([\w$]+)(?:\[(\d*)\])?(?:\s*=\s*\{?([^}]*)\}?)?"
)
REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)", re.DOTALL)
INSTRUCTION = re.compile(r"(?:@(!?[\w%$]+)\s+)?([\w.:]+)\s*(.*)", re.DOTALL)
LABEL = re.compile(r"([\w$]+):(?!:)")
BLANK = re.compile(r"\s*")
OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s|]+(?:\|[^,\s]+)?")


def read_module(text: str) -> Module:
    """Reads the PTX that nvcc writes.

    Raises:
        PtxError: the text has a directive or a form that the translator does not know.
    """
    # Comments become blanks, so that lines keep their numbers.
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.S)
    module = Module()
    at = 0
    while entry := ENTRY.search(text, at):
        module.variables += _read_variables(text[at : entry.start()])
        if rest := LIMITS.sub("", entry[3]).strip():
            raise PtxError(f"unknown directive {rest!r} of kernel {entry[1]}")
        end = _matching_brace(text, entry.end())
        module.kernels.append(_read_kernel(text, entry, end))
        at = end + 1
    module.variables += _read_variables(text[at:])
    return module


def _matching_brace(text: str, start: int) -> int:
    depth = 1
    for brace in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    raise PtxError("a kernel has no end")


def _read_variables(text: str) -> list[Variable]:
    statements = HEADER.sub("", text).split(";")
    return [_read_variable(statement.strip(), "the module") for statement in statements[:-1]] + [
        _read_variable(rest, "the module") for rest in [statements[-1].strip()] if rest
    ]


def _read_variable(text: str, place: str) -> Variable:
    match = VARIABLE.fullmatch(text)
    if match is None:
        raise PtxError(f"unknown directive {text.splitlines()[0]!r} of {place}")
    space, align, kind, name, count, values = match.groups()
    element = size_of(kind)
    size = None if count == "" else element * int(count or 1)
    if values is not None and element != 1:
        raise PtxError(f"initial values of {kind}, not of bytes, in {name} of {place}")
    numbers = tuple(int(value, 0) for value in values.split(",")) if values else ()
    return Variable(space, name, int(align or element), size, numbers)


def _read_kernel(text: str, entry: re.Match[str], end: int) -> Kernel:
    name = entry[1]
    parameters = [
        _read_variable(parameter.strip(), f"kernel {name}")
        for parameter in entry[2].split(",")
        if parameter.strip()
    ]
    return Kernel(name, parameters, list(_read_body(text, entry.end(), end, name)))


def _read_body(text: str, at: int, end: int, kernel: str) -> Iterator[Statement]:
    line, counted = 1, 0
    while (at := BLANK.match(text, at).end()) < end:
        line += text.count("\n", counted, at)
        counted = at
        if text[at] in "{}":
            yield Brace(text[at])
            at += 1
        elif label := LABEL.match(text, at):
            yield Label(label[1])
            at = label.end()
        else:
            stop = text.find(";", at, end)
            if stop < 0:
                raise PtxError(f"line {line}: a statement of kernel {kernel} has no end")
            if at < stop:
                yield from _read_statement(text[at:stop].strip(), line, kernel)
            at = stop + 1


def _read_statement(text: str, line: int, kernel: str) -> Iterator[Statement]:
    if registers := REGISTERS.fullmatch(text):
        yield Registers(registers[1], tuple(_register_names(registers[2])))
    elif re.match(r"\.(pragma|loc)\s", text):
        return
    elif text.startswith("."):
        yield _read_variable(text, f"kernel {kernel}, line {line}")
    else:
        guard, opcode, operands = INSTRUCTION.fullmatch(text).groups()
        yield Instruction(guard, opcode, tuple(OPERAND.findall(operands)), line)


def _register_names(text: str) -> Iterator[str]:
    """Names the registers of a declaration: `%r<3>` is %r0, %r1 and %r2."""
    for name in (part.strip() for part in text.split(",")):
        if many := re.fullmatch(r"([\w%$]+)<(\d+)>", name):
            yield from (f"{many[1]}{i}" for i in range(int(many[2])))
        else:
            yield name


def size_of(kind: str) -> int:
    """The bytes of a type, such as 4 for f32."""
    match = re.fullmatch(r"[a-z]+(\d+(?:x2)?)", kind)
    if match is None or match[1] not in BYTES:
        raise PtxError(f"unknown type {kind!r}")
    return BYTES[match[1]]
