"""Translates the kernels of a PTX module to C++ functions of one thread each.

python ptx_translate.py MODULE.ptx OUTPUT.cpp
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ptx_instructions import label_name, waits_for_others, write_instruction
from ptx_operands import Names
from ptx_text import Brace, Instruction, Kernel, Label, PtxError, Registers, Variable, read_module

REGISTER_TYPES = {
    "pred": "bool",
    **{f"{kind}{bits}": f"uint{bits}_t" for kind in "bus" for bits in (16, 32, 64)},
    "f16": "uint16_t",
    "bf16": "uint16_t",
    "f16x2": "uint32_t",
    "bf16x2": "uint32_t",
    "f32": "float",
    "f64": "double",
}
# Between variables, so that the runtime notices an access beyond the end of one.
GAP = 64


def translate(text: str) -> str:
    """Translates a module.

    Raises:
        PtxError: the module has something that the translator does not know.
    """
    module = read_module(text)
    lines = ['#include "warp.h"', "", "namespace {", ""]
    for variable in module.variables:
        if variable.space in ("const", "global"):
            lines.append(_constant(variable))
    for number, kernel in enumerate(module.kernels):
        lines += _write_kernel(kernel, number, module.variables)
    return "\n".join([*lines, "} // namespace", ""])


def _constant(variable: Variable) -> str:
    values = ", ".join(map(str, variable.values))
    name = _cpp_name(variable.name)
    return f"alignas({variable.align}) uint8_t {name}[{variable.bytes}] = {{{values}}};"


def _cpp_name(name: str) -> str:
    """A name that is no keyword of C++ and none of the runtime's, from a register or variable."""
    return re.sub(r"[%$]", "_", name) + "_"


def _lay_out(variables: list[Variable], align: int = 1) -> tuple[dict[str, int], list[str], int]:
    """Places variables with gaps; returns their offsets, their ranges in C++, and the end."""
    offsets, ranges, end = {}, [], 0
    for variable in variables:
        step = max(variable.align, align)
        end = -(-(end + GAP) // step) * step
        offsets[variable.name] = end
        if variable.bytes is not None:
            ranges.append(f"{{{end}, {variable.bytes}}}")
            end += variable.bytes
    return offsets, ranges, end


def _write_kernel(kernel: Kernel, number: int, outside: list[Variable]) -> Iterator[str]:
    names = Names(kernel.name)
    variables = [*outside, *(s for s in kernel.body if isinstance(s, Variable))]
    shared = [v for v in variables if v.space == "shared"]
    # Dynamic shared memory follows the arrays whose sizes are known.
    shared.sort(key=lambda variable: variable.bytes is None)
    parameters, parameter_ranges, _ = _lay_out(kernel.parameters, align=16)
    offsets, shared_ranges, _ = _lay_out(shared)
    locals_, _, local_bytes = _lay_out([v for v in variables if v.space == "local"])
    dynamic = [offsets[v.name] for v in shared if v.bytes is None]

    everything = [*kernel.parameters, *variables]
    names.spaces = {variable.name: variable.space for variable in everything}
    names.sizes = {variable.name: variable.bytes for variable in everything}
    names.addresses = {
        **{name: f"reinterpret_cast<uint64_t>(thread.parameters + {at})"
           for name, at in parameters.items()},
        **{name: f"{at}u" for name, at in offsets.items()},
        **{name: f"reinterpret_cast<uint64_t>(thread.local + {at})"
           for name, at in locals_.items()},
        **{v.name: f"reinterpret_cast<uint64_t>({_cpp_name(v.name)})"
           for v in variables if v.space in ("const", "global")},
    }  # fmt: skip

    yield f"// {kernel.name}"
    yield f"void kernel_{number}(ptx::Thread& thread) {{"
    yield from _write_body(kernel, names)
    yield "}"
    waits = any(isinstance(s, Instruction) and waits_for_others(s) for s in kernel.body)
    yield (
        f'const ptx::Register register_{number}({{"{kernel.name}", kernel_{number}, '
        f"{{{', '.join(parameter_ranges)}}}, {{{', '.join(shared_ranges)}}}, "
        f"{dynamic[0] if dynamic else -1}, {local_bytes}, {'true' if waits else 'false'}}});"
    )
    yield ""


def _write_body(kernel: Kernel, names: Names) -> Iterator[str]:
    scopes = []
    for statement in kernel.body:
        match statement:
            case Registers():
                if statement.type not in REGISTER_TYPES:
                    raise PtxError(f"unknown registers {statement} in kernel {kernel.name}")
                kind = REGISTER_TYPES[statement.type]
                names.registers |= {name: (_cpp_name(name), kind) for name in statement.names}
                own = ", ".join(_cpp_name(name) for name in statement.names)
                yield f"  {kind} {own};"
            case Label():
                yield f" {label_name(statement.name)}:;"
            case Brace(text="{"):
                scopes.append(dict(names.registers))
                yield "  {"
            case Brace():
                names.registers = scopes.pop()
                yield "  }"
            case Instruction():
                yield f"  {write_instruction(statement, names)}"


if __name__ == "__main__":
    source, target = sys.argv[1:]
    try:
        code = translate(Path(source).read_text())
    except PtxError as error:
        sys.exit(f"{source}: {error}")
    # Left as it is if it is the same, so that it need not be compiled again.
    if not Path(target).is_file() or Path(target).read_text() != code:
        Path(target).write_text(code)
