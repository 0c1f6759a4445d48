"""Each instruction that the translator knows, against values computed in Python."""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from compiled import Library, compile_ptx
from ptx_instructions import FUNCTIONS
from ptx_table import ROWS

pytestmark = pytest.mark.slow

DTYPES = {
    **{f"u{n}": np.dtype(f"uint{n}") for n in (8, 16, 32, 64)},
    **{f"b{n}": np.dtype(f"uint{n}") for n in (16, 32, 64)},
    **{f"s{n}": np.dtype(f"int{n}") for n in (8, 16, 32, 64)},
    "f32": np.dtype("float32"),
    "f64": np.dtype("float64"),
    "f16": np.dtype("uint16"),
    "bf16": np.dtype("uint16"),
}
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.3, 2.5, -3.7, 1e-3, 1e-41, -1e-40, 1e38, -3e38, 65504.0, 7e-5]
SPECIALS = [math.inf, -math.inf, math.nan]


def register_type(kind: str) -> str:
    return kind if kind in ("f32", "f64") else f"b{max(16, int(re.sub(r'[a-z]+', '', kind)))}"


@dataclass
class Case:
    """`text` computes %d from %a, %b, ...: their types, that of %d, and what it must be."""

    text: str
    types: str
    result: str
    expected: Callable
    values: tuple = ()  # of each operand, instead of the usual ones

    def kernel(self, number: int) -> str:
        names = "abce"[: len(self.types.split())]
        parameters = ", ".join(f".param .u64 p{i}" for i in range(len(names) + 1))
        lines = [f".visible .entry case_{number}({parameters})\n{{"]
        lines.append(".reg .pred %p<4>; .reg .b32 %r<9>; .reg .b64 %at<9>; .reg .b32 %t;")
        lines.append("mov.u32 %t, %tid.x;")
        kinds = [*self.types.split(), self.result]
        for i, (name, kind) in enumerate(zip([*names, "d"], kinds, strict=True)):
            size = DTYPES[kind].itemsize
            lines.append(f".reg .{register_type(kind)} %{name};")
            lines.append(f"ld.param.u64 %at{i}, [p{i}];")
            lines.append(f"mad.wide.u32 %at{i}, %t, {size}, %at{i};")
            if name != "d":
                lines.append(f"ld.global.{load_type(kind)} %{name}, [%at{i}];")
        lines.append(self.text)
        lines.append(f"st.global.{load_type(self.result)} [%at{len(names)}], %d;\nret;\n}}\n")
        return "\n".join(lines)

    def inputs(self) -> list[np.ndarray]:
        pools = [
            self.values[i] if i < len(self.values) and self.values[i] else usual_values(kind)
            for i, kind in enumerate(self.types.split())
        ]
        combinations = list(itertools.product(*pools))
        if len(combinations) > 1024:
            chosen = np.random.default_rng(0).choice(len(combinations), 1024, replace=False)
            combinations = [combinations[i] for i in chosen]
        return [
            to_array(column, kind)
            for column, kind in zip(
                zip(*combinations, strict=True), self.types.split(), strict=True
            )
        ]


def load_type(kind: str) -> str:
    return {"f16": "b16", "bf16": "b16"}.get(kind, kind)


def usual_values(kind: str) -> list:
    if "f" in kind:
        return FLOATS + SPECIALS
    info = np.iinfo(DTYPES[kind])
    middle = [3, 100, 0x1234567 & info.max, 0x5A5A5A5A5A5A5A5A & info.max]
    signed = [-1, -2, -77, info.min + 1] if info.min else []
    return [0, 1, 2, 31, 32, *middle, info.max - 1, info.max, info.min, *signed]


TORCH = {"f16": torch.float16, "bf16": torch.bfloat16}


def to_array(values, kind: str) -> np.ndarray:
    if kind in TORCH:
        tensor = torch.tensor(values, dtype=torch.float64).to(TORCH[kind])
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return np.array(values, DTYPES[kind])


def from_array(values: np.ndarray, kind: str) -> np.ndarray:
    """The values as Python computes with them: integers without end, floats as float64."""
    if kind in TORCH:
        return torch.from_numpy(values.view(np.int16)).view(TORCH[kind]).double().numpy()
    return values.astype(np.float64) if "f" in kind else values.astype(object)


def wrap(value: int, kind: str) -> int:
    bits = 8 * DTYPES[kind].itemsize
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind[0] == "s" and value >> (bits - 1) else value


def bits(value: int, kind: str) -> int:
    return value & ((1 << 8 * DTYPES[kind].itemsize) - 1)


def truncated(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def same_types(opcode: str, count: int, kinds: str, expected: Callable, values=()) -> list[Case]:
    """Cases of an instruction whose operands and result are of one type each time."""
    operands = ", ".join("%" + name for name in "abce"[:count])
    return [
        Case(f"{opcode}.{kind} %d, {operands};", " ".join([kind] * count), kind,
             lambda *v, kind=kind: expected(*v, kind), values)
        for kind in kinds.split()
    ]  # fmt: skip


INT = "u16 s16 u32 s32 u64 s64"
BITS = "b16 b32 b64"
SHIFTS = [0, 1, 7, 15, 16, 31, 32, 33, 63, 64, 100, 2**32 - 1]
WIDE = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}


def width(kind: str) -> int:
    return 8 * DTYPES[kind].itemsize


def flush(value: float) -> float:
    return math.copysign(0.0, value) if abs(value) < 2.0**-126 else value


def saturated(value: float) -> float:
    return min(value, 1.0) if value > 0 else 0.0


def quotient(a: float, b: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.float64(a) / np.float64(b))


def least(a: float, b: float) -> float:
    if a == b == 0:
        return a if math.copysign(1, a) < 0 else b
    return b if math.isnan(a) else a if math.isnan(b) else min(a, b)


def greatest(a: float, b: float) -> float:
    return -least(-a, -b)


def nan_wins(function):
    return lambda a, b: math.nan if math.isnan(a) or math.isnan(b) else function(a, b)


def lop3(a: int, b: int, c: int, table: int) -> int:
    result = 0
    for i in range(32):
        row = (a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)
        result |= (table >> row & 1) << i
    return result


def prmt(a: int, b: int, selector: int) -> int:
    source = (b << 32 | a).to_bytes(8, "little")
    digits = [selector >> 4 * i & 15 for i in range(4)]
    chosen = [(255 * (source[d & 7] >> 7)) if d & 8 else source[d & 7] for d in digits]
    return int.from_bytes(bytes(chosen), "little")


def bfe(a: int, position: int, length: int, kind: str) -> int:
    position, length, n = position & 255, length & 255, width(kind)
    top = n - 1
    sign = 0
    if kind[0] == "s" and length:
        sign = bits(a, kind) >> min(position + length - 1, top) & 1
    result = 0
    for i in range(n):
        inside = i < length and position + i <= top
        result |= (bits(a, kind) >> (position + i) & 1 if inside else sign) << i
    return wrap(result, kind)


def bfi(a: int, b: int, position: int, length: int, kind: str) -> int:
    position, length = position & 255, length & 255
    for i in range(length):
        if position + i < width(kind):
            b = b & ~(1 << (position + i)) | (a >> i & 1) << (position + i)
    return b


def bytes_of(value: int, signed: bool) -> list[int]:
    return list(np.array([value], np.uint32).view(np.int8 if signed else np.uint8).astype(object))


def dp4a(first: str, second: str):
    def expected(a, b, c):
        pairs = zip(bytes_of(a, first == "s32"), bytes_of(b, second == "s32"), strict=True)
        total = c + sum(x * y for x, y in pairs)
        return wrap(total, "u32" if first == second == "u32" else "s32")

    return expected


def vabsdiff4(signed: bool, total: bool):
    def expected(a, b, c):
        pairs = zip(bytes_of(a, signed), bytes_of(b, signed), strict=True)
        parts = [abs(x - y) for x, y in pairs]
        if total:
            return wrap(c + sum(parts), "u32")
        return int.from_bytes(bytes(parts), "little")

    return expected


def whole(value: float, how: str) -> float:
    if math.isinf(value) or math.isnan(value):
        return value
    return {"n": np.rint, "z": np.trunc, "m": np.floor, "p": np.ceil}[how](value)


def to_integer(kind: str, how: str):
    info = np.iinfo(DTYPES[kind])

    def expected(a):
        value = whole(a, how)
        return 0 if math.isnan(value) else int(min(max(value, info.min), info.max))

    return expected


def identity(value):
    return value


def directed(kind: str, how: str):
    """Rounds to a type in a direction, by stepping from the nearest value."""

    def expected(a):
        with np.errstate(over="ignore"):
            nearest = from_array(to_array([a], kind), kind)[0]
        up = how == "p" or (how == "z" and a < 0)
        if math.isnan(a) or nearest == a or (nearest > a if up else nearest < a):
            return nearest
        raw = to_array([nearest], kind).view(DTYPES["b" + str(width(kind))])
        raw = raw + 1 if (nearest < 0) != up else raw - 1  # away from zero, or towards it
        return from_array(raw.view(DTYPES[kind]), kind)[0]

    return expected


HALF_FMA = ([1.0, -0.5, 3.0, 7.0], [0.25, -2.0, 1.5], [0.0, 1.0, -0.125])


def halves(opcode: str, count: int, kind: str, expected: Callable, values=()) -> Case:
    """Packs each operand with 1, computes in pairs, and returns the first half of the result."""
    names = "abce"[:count]
    one = {"f16": "0x3C00", "bf16": "0x3F80"}[kind]
    text = ".reg .b16 %one, %high; .reg .b32 %w<5>; " + f"mov.b16 %one, {one}; "
    for i, name in enumerate(names):
        text += f"mov.b32 %w{i}, {{%{name}, %one}}; "
    operands = ", ".join(f"%w{i}" for i in range(count))
    text += f"{opcode}.{kind}x2 %w4, {operands}; mov.b32 {{%d, %high}}, %w4;"
    return Case(text, " ".join([kind] * count), kind, expected, values)


CASES: list[Case] = [
    *same_types("add", 2, INT, lambda a, b, t: wrap(a + b, t)),
    *same_types("sub", 2, INT, lambda a, b, t: wrap(a - b, t)),
    *same_types("mul.lo", 2, INT, lambda a, b, t: wrap(a * b, t)),
    *same_types("mul.hi", 2, INT, lambda a, b, t: wrap(a * b >> width(t), t)),
    *[Case(f"mul.wide.{t} %d, %a, %b;", f"{t} {t}", w, lambda a, b: a * b)
      for t, w in WIDE.items()],
    *same_types("mad.lo", 3, INT, lambda a, b, c, t: wrap(a * b + c, t)),
    *same_types("mad.hi", 3, INT, lambda a, b, c, t: wrap((a * b >> width(t)) + c, t)),
    *[Case(f"mad.wide.{t} %d, %a, %b, %c;", f"{t} {t} {w}", w,
           lambda a, b, c, w=w: wrap(a * b + c, w)) for t, w in WIDE.items()],
    *same_types("div", 2, INT, lambda a, b, t: wrap(truncated(a, b), t),
                ((), (1, 2, 3, 7, 100))),
    *same_types("rem", 2, INT, lambda a, b, t: wrap(a - truncated(a, b) * b, t),
                ((), (1, 2, 3, 7, 100))),
    *same_types("neg", 1, "s16 s32 s64", lambda a, t: wrap(-a, t)),
    *same_types("abs", 1, "s16 s32 s64", lambda a, t: wrap(abs(a), t)),
    *same_types("min", 2, INT, lambda a, b, t: min(a, b)),
    *same_types("max", 2, INT, lambda a, b, t: max(a, b)),
    *same_types("sad", 3, INT, lambda a, b, c, t: wrap(abs(a - b) + c, t)),
    *same_types("and", 2, BITS, lambda a, b, t: a & b),
    *same_types("or", 2, BITS, lambda a, b, t: a | b),
    *same_types("xor", 2, BITS, lambda a, b, t: a ^ b),
    *same_types("not", 1, BITS, lambda a, t: bits(~a, t)),
    *[Case(f"shl.{t} %d, %a, %b;", f"{t} u32", t,
           lambda a, b, t=t: bits(a << b, t) if b < 200 else 0, ((), SHIFTS))
      for t in BITS.split()],
    *[Case(f"shr.{t} %d, %a, %b;", f"{t} u32", t, lambda a, b: a >> min(b, 200), ((), SHIFTS))
      for t in f"{BITS} {INT}".split()],
    *[Case(f"shf.{way}.{mode}.b32 %d, %a, %b, %c;", "b32 b32 u32", "b32",
           lambda a, b, c, way=way, mode=mode: bits(
               (b << 32 | a) << (c % 32 if mode == "wrap" else min(c, 32)) >> 32
               if way == "l" else
               (b << 32 | a) >> (c % 32 if mode == "wrap" else min(c, 32)), "b32"),
           ((), (), SHIFTS)) for way in "lr" for mode in ("wrap", "clamp")],
    *[Case(f"lop3.b32 %d, %a, %b, %c, {table};", "b32 b32 b32", "b32",
           lambda a, b, c, table=table: lop3(a, b, c, table)) for table in (0x96, 0xE8, 0x2A)],
    Case("prmt.b32 %d, %a, %b, %c;", "b32 b32 b32", "b32", prmt,
         ((0x80FF7F01, 5), (0x1234ABCD,), (0x3210, 0x7654, 0x7440, 0xFEDC, 0x89AB, 0x4040))),
    *[Case(f"bfe.{t} %d, %a, %b, %c;", f"{t} u32 u32", t,
           lambda a, b, c, t=t: bfe(a, b, c, t), ((), SHIFTS, SHIFTS))
      for t in "u32 s32 u64 s64".split()],
    *[Case(f"bfi.{t} %d, %a, %b, %c, %e;", f"{t} {t} u32 u32", t,
           lambda a, b, c, e, t=t: bfi(a, b, c, e, t), ((), (), SHIFTS, SHIFTS))
      for t in ("b32", "b64")],
    *[Case(f"popc.{t} %d, %a;", t, "u32", lambda a: bin(a).count("1")) for t in ("b32", "b64")],
    *[Case(f"clz.{t} %d, %a;", t, "u32", lambda a, t=t: width(t) - a.bit_length())
      for t in ("b32", "b64")],
    *same_types("brev", 1, "b32 b64", lambda a, t: int(f"{a:0{width(t)}b}"[::-1], 2)),
    *[Case(f"dp4a.{s}.{t} %d, %a, %b, %c;", f"b32 b32 {'u32' if s == t == 'u32' else 's32'}",
           "u32" if s == t == "u32" else "s32", dp4a(s, t),
           ((0x80FF7F01, 0x01020304), (0xFF80017F, 7), ())) for s in ("u32", "s32")
      for t in ("u32", "s32")],
    *[Case(f"vabsdiff4.u32.{t}.{t}{add} %d, %a, %b, %c;", "b32 b32 u32", "u32",
           vabsdiff4(t == "s32", bool(add)), ((0x80FF7F01, 0x01020304), (0xFF80017F, 7), ()))
      for t in ("u32", "s32") for add in ("", ".add")],
    # predicates
    *[Case(f"setp.lt.u32 %p1, %a, %b; setp.gt.u32 %p2, %a, 3; {op}.pred %p3, %p1, %p2; "
           "selp.u32 %d, 1, 0, %p3;", "u32 u32", "u32",
           lambda a, b, f=f: int(f(a < b, a > 3)))
      for op, f in (("and", bool.__and__), ("or", bool.__or__), ("xor", bool.__xor__))],
    Case("setp.lt.s32 %p1, %a, %b; not.pred %p2, %p1; selp.s32 %d, %a, %b, %p2;", "s32 s32",
         "s32", max),
    *[Case(f"setp.ne.u32 %p1, %c, 0; selp.{t} %d, %a, %b, %p1;", f"{t} {t} u32", t,
           lambda a, b, c: a if c else b, ((), (), (0, 1)))
      for t in f"{BITS} {INT} f32 f64".split()],
    # floats
    *same_types("add", 2, "f32 f64 f16 bf16", lambda a, b, t: a + b),
    *same_types("sub", 2, "f32 f64 f16 bf16", lambda a, b, t: a - b),
    *same_types("mul", 2, "f32 f64 f16 bf16", lambda a, b, t: a * b),
    *same_types("add.rn", 2, "f32 f64 f16 bf16", lambda a, b, t: a + b),
    *same_types("sub.rn", 2, "f32 f64 f16 bf16", lambda a, b, t: a - b),
    *same_types("mul.rn", 2, "f32 f64 f16 bf16", lambda a, b, t: a * b),
    *same_types("add.ftz", 2, "f32", lambda a, b, t: flush(flush(a) + flush(b))),
    *same_types("mul.rn.ftz", 2, "f32", lambda a, b, t: flush(np.float32(flush(a) * flush(b)))),
    *same_types("add.sat", 2, "f32 f16",
                lambda a, b, t: saturated(a + b)),
    *same_types("fma.rn", 3, "f32 f16 bf16", lambda a, b, c, t: a * b + c,
                HALF_FMA),
    *same_types("fma.rn", 3, "f64", lambda a, b, c, t: a * b + c, ([1.5, 3.0], [2.0], [0.25])),
    Case("fma.rn.f32 %d, %a, %b, %c;", "f32 f32 f32", "f32",
         lambda a, b, c: a * b + c,  # in float64, exact: what a rounded product would lose
         ([1 + 2.0**-23], [1 - 2.0**-23], [-1.0])),
    *same_types("neg", 1, "f32 f64 f16 bf16", lambda a, t: -a),
    *same_types("abs", 1, "f32 f64 f16 bf16", lambda a, t: abs(a)),
    *same_types("min", 2, "f32 f64 f16 bf16", lambda a, b, t: least(a, b)),
    *same_types("max", 2, "f32 f64 f16 bf16", lambda a, b, t: greatest(a, b)),
    *same_types("min.NaN", 2, "f32 f16 bf16", lambda a, b, t: nan_wins(least)(a, b)),
    *same_types("max.NaN", 2, "f32 f16 bf16", lambda a, b, t: nan_wins(greatest)(a, b)),
    *same_types("copysign", 2, "f32 f64", lambda a, b, t: math.copysign(b, a), (FLOATS, FLOATS)),
    *same_types("div.rn", 2, "f32 f64", lambda a, b, t: quotient(a, b)),
    *same_types("rcp.rn", 1, "f32 f64", lambda a, t: quotient(1.0, a)),
    *same_types("sqrt.rn", 1, "f32 f64", lambda a, t: math.sqrt(a) if a >= 0 else math.nan,
                ([0.0, 1.0, 2.0, 0.3, 1e30, -1.0],)),
    # pairs of floats of 16 bits
    *[case for kind in ("f16", "bf16") for case in (
        halves("add", 2, kind, lambda a, b: a + b),
        halves("add.rn", 2, kind, lambda a, b: a + b),
        halves("sub", 2, kind, lambda a, b: a - b),
        halves("mul", 2, kind, lambda a, b: a * b),
        halves("min", 2, kind, least),
        halves("max", 2, kind, greatest),
        halves("min.NaN", 2, kind, nan_wins(least)),
        halves("max.NaN", 2, kind, nan_wins(greatest)),
        halves("neg", 1, kind, lambda a: -a),
        halves("abs", 1, kind, abs),
        halves("fma.rn", 3, kind, lambda a, b, c: a * b + c, HALF_FMA),
    )],
    # conversions
    *[Case(f"cvt.{d}.{s} %d, %a;", s, d, lambda a, d=d: wrap(a, d))
      for s, d in (("u16", "u32"), ("s16", "s64"), ("u64", "u32"), ("s32", "s8"), ("s8", "s32"),
                   ("u8", "u16"), ("s32", "s64"), ("u32", "u64"), ("s64", "u16"))],
    *[Case(f"cvt.sat.{d}.{s} %d, %a;", s, d,
           lambda a, d=d: min(max(a, np.iinfo(DTYPES[d]).min), np.iinfo(DTYPES[d]).max))
      for s, d in (("s32", "u8"), ("s64", "s32"), ("u32", "s16"))],
    *[Case(f"cvt.rn.{d}.{s} %d, %a;", s, d, float)
      for s, d in (("u16", "f32"), ("s32", "f32"), ("u32", "f32"), ("s64", "f32"), ("u64", "f64"),
                   ("s64", "f64"), ("u8", "f16"), ("s16", "bf16"))],
    *[Case(f"cvt.r{how}i.{d}.{s} %d, %a;", s, d, to_integer(d, how))
      for how in "nzmp" for s, d in (("f32", "s32"), ("f32", "u32"), ("f64", "s64"),
                                     ("f32", "u64"), ("f16", "s16"), ("f32", "u8"))],
    *[Case(f"cvt.r{how}i.{t}.{t} %d, %a;", t, t, lambda a, how=how: whole(a, how))
      for how in "nzmp" for t in ("f32", "f64")],
    *[Case(f"cvt.{d}.{s} %d, %a;", s, d, identity)
      for s, d in (("f32", "f64"), ("f16", "f32"), ("bf16", "f32"), ("f16", "f64"))],
    *[Case(f"cvt.rn.{d}.{s} %d, %a;", s, d, identity)
      for s, d in (("f64", "f32"), ("f32", "f16"), ("f32", "bf16"), ("f64", "f16"))],
    *[Case(f"cvt.r{how}.{d}.{s} %d, %a;", s, d, directed(d, how), ([0.3, -0.3, 2.7, -9.1, 1.0],))
      for how in "zmp" for s, d in (("f64", "f32"), ("f32", "f16"), ("f32", "bf16"))],
    Case("cvt.sat.f32.f32 %d, %a;", "f32", "f32", saturated),
    Case("cvt.ftz.f32.f32 %d, %a;", "f32", "f32", flush),
    *[Case(f".reg .b16 %h; cvt.rn.{t}x2.f32 %r1, %a, %b; mov.b32 {{{order}}}, %r1;",
           "f32 f32", t, pick)
      for t in ("f16", "bf16")
      for order, pick in (("%d, %h", lambda a, b: b), ("%h, %d", lambda a, b: a))],
    # addresses and hints
    Case("cvta.to.global.u64 %d, %a; cvta.global.u64 %d, %d;", "u64", "u64", identity),
    Case(".shared .align 4 .b8 room[64]; .reg .b64 %x, %y; mov.u64 %x, room; "
         "cvta.shared.u64 %y, %x; st.u32 [%y], %a; cvta.to.shared.u64 %y, %y; "
         "ld.shared.u32 %d, [%y];", "u32", "u32", identity, ((7,),)),
    Case(".reg .b64 %hint; createpolicy.fractional.L2::evict_first.b64 %hint, 0f3F800000; "
         "ld.global.L1::no_allocate.L2::cache_hint.u32 %d, [%at0], %hint;", "u32", "u32",
         identity),
    # halves of registers
    Case(".reg .b32 %x, %y; mov.b64 {%x, %y}, %a; mov.b64 %d, {%y, %x};", "b64", "b64",
         lambda a: a >> 32 | (a & 0xFFFFFFFF) << 32),
    Case("mov.b32 %r1, %a; mov.b32 %d, %r1;", "b32", "f32",
         lambda a: float(np.array([a], np.uint32).view(np.float32)[0]), ((0x3F800000,),)),
]  # fmt: skip

COMPARISONS = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}


def compared(name: str, kind: str) -> Callable:
    def expected(a, b):
        if "f" not in kind:
            return int(COMPARISONS[UNSIGNED.get(name, name)](a, b))
        nan = math.isnan(a) or math.isnan(b)
        if name in ("num", "nan"):
            return int(nan == (name == "nan"))
        if name.endswith("u"):
            return int(nan or COMPARISONS[name[:-1]](a, b))
        return int(not nan and COMPARISONS[name](a, b))

    return expected


for name, kind in [
    *itertools.product(COMPARISONS, ["s16", "u32", "s32", "u64", "s64", "f32", "f64", "f16"]),
    *itertools.product(UNSIGNED, ["u16", "u32", "u64"]),
    *itertools.product([f"{name}u" for name in COMPARISONS] + ["num", "nan"], ["f32", "f64"]),
]:
    text = f"setp.{name}.{kind} %p1, %a, %b; selp.u32 %d, 1, 0, %p1;"
    CASES.append(Case(text, f"{kind} {kind}", "u32", compared(name, kind)))
for name, function in {"and": min, "or": max, "xor": int.__xor__}.items():
    text = f"setp.ne.u32 %p3, %b, 0; setp.lt.{name}.u32 %p1|%p2, %a, 3, %p3; "
    for register, negated in (("p1", False), ("p2", True)):
        CASES.append(
            Case(
                f"{text} selp.u32 %d, 1, 0, %{register};",
                "u32 u32",
                "u32",
                lambda a, b, f=function, n=negated: f(int((a < 3) != n), int(b != 0)),
            )
        )

# Approximations: the function, and by how many units in the last place of float32 it may be off.
APPROXIMATIONS = {
    "ex2.approx.f32": (lambda a: 2.0**a, 2),
    "rcp.approx.f32": (lambda a: 1 / a, 1),
    "rcp.approx.ftz.f32": (lambda a: 1 / a, 1),
    "sqrt.approx.f32": (math.sqrt, 1),
    "rsqrt.approx.f32": (lambda a: 1 / math.sqrt(a), 2),
    "lg2.approx.f32": (math.log2, 4),
    "tanh.approx.f32": (math.tanh, 2**13),
    "div.approx.f32": (lambda a, b: a / b, 2),
    "div.full.f32": (lambda a, b: a / b, 2),
    "rcp.approx.ftz.f64": (lambda a: 1 / a, 16),
}


def approximation_case(opcode: str) -> Case:
    kind = opcode[-3:]
    values = list(np.linspace(2.0, 30, 500))
    count = 2 if opcode.startswith("div") else 1
    operands = ", ".join("%" + name for name in "ab"[:count])
    kinds = " ".join([kind] * count)
    return Case(f"{opcode} %d, {operands};", kinds, kind, APPROXIMATIONS[opcode][0],
                (values, [3.0, 0.7]))  # fmt: skip


APPROXIMATE_CASES = [approximation_case(opcode) for opcode in APPROXIMATIONS]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    kernels = [case.kernel(i) for i, case in enumerate([*CASES, *APPROXIMATE_CASES])]
    return compile_ptx("".join(kernels), tmp_path_factory.mktemp("instructions"))


def compute(library: Library, case: Case, number: int) -> tuple[list[np.ndarray], np.ndarray]:
    inputs = case.inputs()
    out = np.zeros(len(inputs[0]), DTYPES[case.result])
    wrong = library.launch(f"case_{number}", *inputs, out, block=len(out))
    assert wrong == ""
    return inputs, out


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.text for case in CASES])
def test_results_are_those_of_python(library: Library, number: int) -> None:
    case = CASES[number]
    inputs, out = compute(library, case, number)
    columns = [from_array(a, k) for a, k in zip(inputs, case.types.split(), strict=True)]
    with np.errstate(all="ignore"):
        expected = to_array(
            [case.expected(*row) for row in zip(*columns, strict=True)], case.result
        )
    if "f" in case.result:
        got, want = from_array(out, case.result), from_array(expected, case.result)
        same = (got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(
            want
        )
    else:
        same = out == expected
    rows = [
        (*(column[i] for column in columns), out[i], expected[i]) for i in np.flatnonzero(~same)
    ]
    assert not rows, rows[:5]


@pytest.mark.parametrize("opcode", APPROXIMATIONS)
def test_approximations_are_off_by_what_is_allowed(library: Library, opcode: str) -> None:
    number = len(CASES) + list(APPROXIMATIONS).index(opcode)
    case = approximation_case(opcode)
    inputs, out = compute(library, case, number)
    assert np.array_equal(out, compute(library, case, number)[1])
    exact = [APPROXIMATIONS[opcode][0](*map(float, row)) for row in zip(*inputs, strict=True)]
    unit = 2.0**-19 if opcode.endswith("f64") else 2.0**-23
    error = np.abs(out.astype(np.float64) - exact) / np.abs(exact) / unit
    assert 0.3 < error.max() < APPROXIMATIONS[opcode][1] + 0.51


def test_every_instruction_of_the_table_is_tested() -> None:
    text = " ".join(case.text for case in [*CASES, *APPROXIMATE_CASES])
    opcodes = set(re.findall(r"[a-z]\w*(?:\.[\w:]+)+", text))
    rows = [pattern.pattern for pattern, *_ in ROWS]
    assert not [row for row in rows if not any(re.fullmatch(row, o) for o in opcodes)]
    others = ("test_threads.py", "test_mistakes.py")
    elsewhere = "".join(Path(__file__).with_name(name).read_text() for name in others)
    assert not [name for name in FUNCTIONS if not re.search(rf"\b{name}\b", text + elsewhere)]
