"""Writes an instruction of PTX in C++.

Those that compute are rows of ptx_table.py. Those that move bits, touch memory, jump, or wait for
other threads follow here as functions. Whatever is in neither is an error: no instruction is ever
skipped or guessed.
"""

import re
from collections.abc import Callable

from ptx_operands import ADDRESS, CPP_TYPES, Names, Writer
from ptx_table import INT32, Operand, write_row
from ptx_text import Instruction, size_of


def write_instruction(instruction: Instruction, names: Names) -> str:
    """Writes an instruction in C++.

    Raises:
        PtxError: it is unknown, or one of its modifiers, types or operands is.
    """
    writer = Writer(instruction, names)
    code = write_row(writer)
    if code is None:
        write = FUNCTIONS.get(instruction.parts[0])
        if write is None:
            raise writer.error("unknown instruction")
        code = write(writer)
    if instruction.guard is None:
        return code
    negated, register = re.fullmatch(r"(!?)(.*)", instruction.guard).groups()
    return f"if ({negated}{writer.register(register)}) {{ {code} }}"


def waits_for_others(instruction: Instruction) -> bool:
    """Whether a thread stops at the instruction until others come."""
    return instruction.parts[0] in ("bar", "barrier", "shfl", "vote", "redux")


def _take(writer: Writer, *known: str) -> list[str]:
    """Returns the modifiers other than those, whatever their order."""
    return [part for part in writer.instruction.parts[1:] if part not in known]


# -- registers ------------------------------------------------------------------------------------


def _vector(text: str) -> list[str]:
    return [part.strip() for part in text.strip("{}").split(",")]


def _write_mov(writer: Writer) -> str:
    target, source = writer.operands(2)
    rest = _take(writer)
    if len(rest) != 1:
        raise writer.error("unknown modifier")
    (kind,) = rest
    whole = target if source.startswith("{") else source
    parts = _vector(source if source.startswith("{") else target)
    if len(parts) == 1:
        return writer.set(target, writer.value(source, kind), writer.cpp_type(kind))
    word = writer.cpp_type(kind)
    bits = 8 * size_of(kind) // len(parts)
    if whole is target:
        joined = " | ".join(
            f"{word}({writer.value(part, f'b{bits}')}) << {bits * i}"
            for i, part in enumerate(parts)
        )
        return writer.set(target, f"static_cast<{word}>({joined})", word)
    split = [
        writer.set(part, f"static_cast<uint{bits}_t>(whole >> {bits * i})", f"uint{bits}_t")
        for i, part in enumerate(parts)
    ]
    return f"{{ const auto whole = {writer.value(source, kind)}; {' '.join(split)} }}"


COMPARISONS = "eq ne lt le gt ge equ neu ltu leu gtu geu num nan".split()
# As in C++, but that ne of floats is false for NaN and that 16-bit floats have no operators.
OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
UNSIGNED_COMPARISONS = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
CONNECTIVES = {"and": "&&", "or": "||", "xor": "!="}


def _write_setp(writer: Writer) -> str:
    comparison, *connective, kind = _take(writer, "ftz")
    comparison = UNSIGNED_COMPARISONS.get(comparison, comparison)
    if comparison not in COMPARISONS or len(connective) > 1:
        raise writer.error("unknown comparison")
    flush = "ptx::ftz" if "ftz" in writer.instruction.parts else ""
    targets, *pair, third = (*writer.operands(4 if connective else 3), "")[:4]
    first, second = (f"{flush}({writer.value(operand, kind)})" for operand in pair)
    integers, floats = re.fullmatch(r"[usb]\d+", kind), kind in ("f32", "f64")
    if comparison in OPERATORS and (integers or (floats and comparison != "ne")):
        held = f"{first} {OPERATORS[comparison]} {second}"
    else:
        held = f"ptx::{comparison}<{writer.cpp_type(kind)}>({first}, {second})"
    if not connective and "|" not in targets:
        return writer.set(targets, held, "bool")
    results = ["held", "!held"]
    if connective:
        if connective[0] not in CONNECTIVES:
            raise writer.error("unknown connective")
        negated = "!" if third.startswith("!") else ""
        condition = negated + writer.value(third.removeprefix("!"), "pred")
        results = [f"({result}) {CONNECTIVES[connective[0]]} condition" for result in results]
        held += f", condition = {condition}"
    sets = [
        writer.set(target, result, "bool")
        for target, result in zip(targets.split("|"), results, strict=False)
    ]
    return f"{{ const bool held = {held}; {' '.join(sets)} }}"


ROUNDINGS = {"n": "kNearest", "z": "kZero", "m": "kDown", "p": "kUp"}


def _write_cvt(writer: Writer) -> str:
    *rounding, to, source = _take(writer, "ftz", "sat")
    if len(rounding) > 1 or (rounding and not re.fullmatch("r[nzmp]i?", rounding[0])):
        raise writer.error("unknown modifier")
    whole = bool(rounding) and rounding[0].endswith("i")
    direction = f"ptx::Rounding::{ROUNDINGS[rounding[0][1]] if rounding else 'kNearest'}"
    ftz, sat = ("ftz" in writer.instruction.parts, "sat" in writer.instruction.parts)
    if to in ("f16x2", "bf16x2") and source == "f32" and not whole and not sat and not ftz:
        target, high, low = writer.operands(3)
        half = CPP_TYPES[to.removesuffix("x2")]
        halves = [
            f"ptx::convert<{half}>({writer.value(part, 'f32')}, {direction}).bits"
            for part in (high, low)
        ]
        return writer.set(target, f"uint32_t({halves[0]}) << 16 | {halves[1]}")
    target, operand = writer.operands(2)
    to_type, source_type = writer.cpp_type(to), writer.cpp_type(source)
    to_float, from_float = (kind.lstrip("b")[0] == "f" for kind in (to, source))
    value = writer.value(operand, source)
    if "x2" in to + source or to[0] == source[0] == "p":
        raise writer.error("unknown conversion")
    if not to_float and not from_float:
        if rounding or ftz:
            raise writer.error("unknown modifier")
        name = "ptx::clamp_integer" if sat else "static_cast"
        return writer.set(target, f"{name}<{to_type}>({value})", to_type)
    # A conversion that can be inexact must say how it rounds.
    exact = from_float and to_float and size_of(to) >= size_of(source)
    if not (rounding or exact) or (from_float and not to_float and not whole):
        raise writer.error("no rounding")
    if ftz and source == "f32":
        value = f"ptx::ftz({value})"
    plain = to in ("f32", "f64") and source not in ("f16", "bf16")
    if plain and not whole and direction.endswith("kNearest"):
        result = f"static_cast<{to_type}>({value})"
    else:
        name = "convert_to_integer" if whole else "convert"
        result = f"ptx::{name}<{to_type}, {source_type}>({value}, {direction})"
    if ftz and to == "f32":
        result = f"ptx::ftz({result})"
    return writer.set(target, f"ptx::sat({result})" if sat and to_float else result, to_type)


# -- memory ---------------------------------------------------------------------------------------

SPACES = ("global", "shared", "param", "local", "const")
# These change nothing but the speed.
CACHES = re.compile(r"(ca|cg|cs|lu|cv|wb|wt|weak)|L1::\w+|L2::\w+")


def _pointer(
    writer: Writer, space: str | None, address: str, size: int, access: str = "kLoad"
) -> str:
    """The C++ of a host pointer to `size` bytes in a memory, checked."""
    value, named = writer.address(address)
    if space is None:
        space = "generic"
    elif named not in (None, space):
        raise writer.error(f"a variable of {named} memory")
    if named in ("param", "const"):
        _check_within(writer, address, size)
    if named == "param" or space == "const":
        return f"reinterpret_cast<const uint8_t*>({value})"
    name = {"param": "parameter"}.get(space, space)
    return f"ptx::{name}(thread, {value}, {size}, ptx::Access::{access}, {writer.line})"


def _check_within(writer: Writer, address: str, size: int) -> None:
    """Refuses what a parameter or a constant named in an address does not hold."""
    name, offset = ADDRESS.fullmatch(address).groups(default="0")
    start = int(offset)
    if start < 0 or start + size > writer.names.sizes[name]:
        raise writer.error(f"beyond the end of {name}")
    if start % size:
        raise writer.error("misaligned")


def _memory_modifiers(writer: Writer) -> tuple[str | None, int, bool, str]:
    """The memory, elements, whether it is .nc, and the type of a load or a store."""
    space, count, read_only = None, 1, False
    *modifiers, kind = writer.instruction.parts[1:]
    for modifier in modifiers:
        if modifier.split("::")[0] in SPACES and space is None:
            space = modifier.split("::")[0]
        elif modifier in ("v2", "v4"):
            count = int(modifier[1])
        elif modifier == "nc" and space == "global":
            read_only = True
        elif not CACHES.fullmatch(modifier):
            raise writer.error(f"unknown modifier .{modifier}")
    return space, count, read_only, kind


def _write_ld(writer: Writer) -> str:
    space, count, read_only, kind = _memory_modifiers(writer)
    hinted = "L2::cache_hint" in writer.instruction.parts
    targets, address = writer.operands(2 + hinted)[:2]
    loaded, size = writer.cpp_type(kind), size_of(kind)
    access = "kLoadReadOnly" if read_only else "kLoad"
    pointer = _pointer(writer, space, address, size * count, access)
    names = _vector(targets)
    if len(names) != count:
        raise writer.error(f"not {count} registers")
    sets = [
        writer.set(name, f"ptx::read<{loaded}>(from + {size * i})", loaded)
        for i, name in enumerate(names)
    ]
    return f"{{ const uint8_t* from = {pointer}; {' '.join(sets)} }}"


def _write_st(writer: Writer) -> str:
    space, count, read_only, kind = _memory_modifiers(writer)
    if space in ("param", "const") or read_only:
        raise writer.error("unknown modifier")
    hinted = "L2::cache_hint" in writer.instruction.parts
    address, sources = writer.operands(2 + hinted)[:2]
    stored, size = writer.cpp_type(kind), size_of(kind)
    values = [writer.value(part, kind) for part in _vector(sources)]
    if len(values) != count:
        raise writer.error(f"not {count} registers")
    pointer = _pointer(writer, space, address, size * count, "kStore")
    writes = [f"ptx::write<{stored}>(to + {size * i}, {value});" for i, value in enumerate(values)]
    return f"{{ uint8_t* to = {pointer}; {' '.join(writes)} }}"


ATOMICS = {
    "add": ("u32 s32 u64 f32 f64", "ptx::add<{T}>(old, {b})"),
    "min": ("u32 s32 u64 s64", "ptx::min<{T}>(old, {b})"),
    "max": ("u32 s32 u64 s64", "ptx::max<{T}>(old, {b})"),
    "and": ("b32 b64", "old & {b}"),
    "or": ("b32 b64", "old | {b}"),
    "xor": ("b32 b64", "old ^ {b}"),
    "exch": ("b32 b64", "{b}"),
    "cas": ("b32 b64", "old == {b} ? {c} : old"),
}


def _write_atom(writer: Writer) -> str:
    """Writes atom, which returns the old value, and red, which does not."""
    space, *rest = _take(writer, "relaxed", "cta", "gpu", "sys")
    if len(rest) != 2 or space not in ("global", "shared") or rest[0] not in ATOMICS:
        raise writer.error("unknown modifier")
    operation, kind = rest
    types, cpp = ATOMICS[operation]
    if kind not in types.split():
        raise writer.error("unknown type")
    returns = writer.instruction.parts[0] == "atom"
    target, address, *values = (() if returns else ("_",)) + writer.instruction.operands
    fields = {
        letter: Operand(writer, value, kind) for letter, value in zip("bc", values, strict=False)
    }
    atomic = writer.cpp_type(kind)
    if len(values) != (2 if operation == "cas" else 1):
        raise writer.error("unknown operands")
    pointer = _pointer(writer, space, address, size_of(kind), "kAtomic")
    return (
        f"{{ uint8_t* at = {pointer}; const auto old = ptx::read<{atomic}>(at); "
        f"ptx::write<{atomic}>(at, {cpp.format(T=atomic, **fields)}); "
        f"{writer.set(target, 'old')} }}"
    )


def _write_cp(writer: Writer) -> str:
    parts = writer.instruction.parts
    if parts == ("cp", "async", "commit_group"):
        return "ptx::commit_copies(thread);"
    if parts == ("cp", "async", "wait_all"):
        return "ptx::commit_copies(thread); ptx::wait_for_copies(thread, 0);"
    if parts == ("cp", "async", "wait_group"):
        (left,) = writer.operands(1)
        return f"ptx::wait_for_copies(thread, {writer.value(left, 'u32')});"
    rest = [part for part in _take(writer, "async", "ca", "cg") if not part.startswith("L2::")]
    if parts[1] != "async" or rest not in (["shared", "global"], ["shared::cta", "global"]):
        raise writer.error("unknown modifier")
    to, source, size, *given = writer.instruction.operands
    given = given[: len(given) - ("L2::cache_hint" in parts)]
    if size not in (("16",) if "cg" in parts else ("4", "8", "16")) or len(given) > 1:
        raise writer.error("unknown operands")
    source_size = writer.value(given[0], "u32") if given else size
    addresses = f"{writer.address(to)[0]}, {writer.address(source)[0]}"
    return f"ptx::copy_async(thread, {addresses}, {size}, {source_size}, {writer.line});"


# -- control, and other threads -------------------------------------------------------------------


def _write_bra(writer: Writer) -> str:
    (label,) = writer.operands(1)
    if _take(writer, "uni"):
        raise writer.error("unknown modifier")
    return f"goto {label_name(label)};"


def label_name(label: str) -> str:
    """The C++ name of a label such as $L__BB0_1."""
    return label.replace("$", "at_")


def _write_ret(writer: Writer) -> str:
    if _take(writer, "uni"):
        raise writer.error("unknown modifier")
    return "return;"


def _write_trap(writer: Writer) -> str:
    return f'ptx::fail(thread, {writer.line}, "the kernel executed trap");'


def _write_bar(writer: Writer) -> str:
    if writer.instruction.opcode == "bar.warp.sync":
        (mask,) = writer.operands(1)
        return f"ptx::wait_for_warp(thread, {writer.value(mask, 'u32')}, {writer.line});"
    if writer.instruction.opcode not in ("bar.sync", "barrier.sync", "barrier.sync.aligned"):
        raise writer.error("unknown modifier")
    if writer.operands(1) != ("0",):
        raise writer.error("a barrier other than that of all threads")
    return f"ptx::wait_for_block(thread, {writer.line});"


def _write_shfl(writer: Writer) -> str:
    match = re.fullmatch(r"shfl\.sync\.(up|down|bfly|idx)\.b32", writer.instruction.opcode)
    if match is None:
        raise writer.error("unknown modifier")
    targets, value, *rest = writer.operands(5)
    target, valid = [*targets.split("|"), "_"][:2]
    arguments = ", ".join(
        [writer.value(value, "b32"), *(writer.value(text, "u32") for text in rest)]
    )
    return (
        f"{{ bool valid; const uint32_t value = ptx::shuffle<ptx::Shuffle::{match[1]}>("
        f"thread, {arguments}, valid, {writer.line}); "
        f"{writer.set(target, 'value', 'uint32_t')} {writer.set(valid, 'valid', 'bool')} }}"
    )


def _write_vote(writer: Writer) -> str:
    match = re.fullmatch(
        r"vote\.sync\.(?:(all|any|uni)\.pred|(ballot)\.b32)", writer.instruction.opcode
    )
    if match is None:
        raise writer.error("unknown modifier")
    target, value, mask = writer.operands(3)
    negated = "!" if value.startswith("!") else ""
    condition = negated + writer.value(value.removeprefix("!"), "pred")
    name = match[1] or match[2]
    return writer.set(
        target,
        f"ptx::vote_{name}(thread, {condition}, {writer.value(mask, 'u32')}, {writer.line})",
    )


REDUCTIONS = {"add": INT32, "min": INT32, "max": INT32, "and": "b32", "or": "b32", "xor": "b32"}


def _write_redux(writer: Writer) -> str:
    sync, operation, kind = (*writer.instruction.parts[1:], "", "", "")[:3]
    if sync != "sync" or kind not in REDUCTIONS.get(operation, "").split() or not kind:
        raise writer.error("unknown modifier")
    target, value, mask = writer.operands(3)
    operators = {"and": "x & y", "or": "x | y", "xor": "x ^ y"}
    word = writer.cpp_type(kind)
    expression = operators.get(operation, f"ptx::{operation}<{word}>(x, y)")
    return writer.set(
        target,
        f"ptx::reduce<{word}>(thread, {writer.value(value, kind)}, {writer.value(mask, 'u32')}, "
        f"{writer.line}, []({word} x, {word} y) {{ return {expression}; }})",
    )


def _write_activemask(writer: Writer) -> str:
    # Any set that holds the thread itself is right; this is the one that nobody can rely on.
    if writer.instruction.opcode != "activemask.b32":
        raise writer.error("unknown modifier")
    (target,) = writer.operands(1)
    return writer.set(target, "uint32_t(1) << thread.lane()")


FUNCTIONS: dict[str, Callable[[Writer], str]] = {
    "mov": _write_mov,
    "setp": _write_setp,
    "cvt": _write_cvt,
    "ld": _write_ld,
    "st": _write_st,
    "atom": _write_atom,
    "red": _write_atom,
    "cp": _write_cp,
    "bra": _write_bra,
    "ret": _write_ret,
    "exit": _write_ret,
    "trap": _write_trap,
    "bar": _write_bar,
    "barrier": _write_bar,
    "shfl": _write_shfl,
    "vote": _write_vote,
    "redux": _write_redux,
    "activemask": _write_activemask,
}
