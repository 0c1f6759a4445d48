"""The instructions of PTX that compute a value from values, each a row of a table."""

import re
from dataclasses import dataclass

from ptx_operands import CPP_TYPES, Writer

INT = "u16 s16 u32 s32 u64 s64"
INT32 = "u32 s32"
BITS = "b16 b32 b64"
HALF = "f16 bf16"
HALVES = "f16x2 bf16x2"
FLOAT = "f32 f64"

# A row: the opcode, its types, and the C++ of its result. In an opcode, T stands for any of the
# types, [x] for what may be missing, (x|y) for a choice. In C++, a, b, c and e are the operands
# after the result, read as T or, for {b:u32}, as another type; H is half of a pair. Where a row
# allows them, `.ftz` flushes denormal operands and results to zero, `.sat` clamps to [0, 1].
TABLE = [
    # integers
    ("add.T", INT, "static_cast<{T}>(uint64_t({a}) + {b})"),
    ("sub.T", INT, "static_cast<{T}>(uint64_t({a}) - {b})"),
    ("mul.lo.T", INT, "static_cast<{T}>(uint64_t({a}) * {b})"),
    ("mul.hi.T", INT, "ptx::mul_hi<{T}>({a}, {b})"),
    ("mul.wide.T", "u16 s16 u32 s32", "ptx::mul_wide<{T}>({a}, {b})"),
    ("mad.lo.T", INT, "ptx::add<{T}>(ptx::mul<{T}>({a}, {b}), {c})"),
    ("mad.hi.T", INT, "ptx::add<{T}>(ptx::mul_hi<{T}>({a}, {b}), {c})"),
    ("mad.wide.u16", "u16", "ptx::mul_wide<{T}>({a}, {b}) + {c:u32}"),
    ("mad.wide.s16", "s16", "ptx::add<int32_t>(ptx::mul_wide<{T}>({a}, {b}), {c:s32})"),
    ("mad.wide.u32", "u32", "ptx::mul_wide<{T}>({a}, {b}) + {c:u64}"),
    ("mad.wide.s32", "s32", "ptx::add<int64_t>(ptx::mul_wide<{T}>({a}, {b}), {c:s64})"),
    ("div.T", INT, "ptx::div<{T}>({a}, {b})"),
    ("rem.T", INT, "ptx::rem<{T}>({a}, {b})"),
    ("neg.T", "s16 s32 s64", "ptx::neg<{T}>({a})"),
    ("abs.T", "s16 s32 s64", "ptx::abs<{T}>({a})"),
    ("min.T", INT, "ptx::min<{T}>({a}, {b})"),
    ("max.T", INT, "ptx::max<{T}>({a}, {b})"),
    ("sad.T", INT, "ptx::sad<{T}>({a}, {b}, {c})"),
    # bits
    ("and.T", f"pred {BITS}", "static_cast<{T}>({a} & {b})"),
    ("or.T", f"pred {BITS}", "static_cast<{T}>({a} | {b})"),
    ("xor.T", f"pred {BITS}", "static_cast<{T}>({a} ^ {b})"),
    ("not.pred", "pred", "!{a}"),
    ("not.T", BITS, "static_cast<{T}>(~{a})"),
    ("shl.T", BITS, "ptx::shl<{T}>({a}, {b:u32})"),
    ("shr.T", f"{BITS} {INT}", "ptx::shr<{T}>({a}, {b:u32})"),
    ("shf.l.wrap.T", "b32", "ptx::shf_l({a}, {b}, {c} & 31)"),
    ("shf.r.wrap.T", "b32", "ptx::shf_r({a}, {b}, {c} & 31)"),
    ("shf.l.clamp.T", "b32", "ptx::shf_l({a}, {b}, ptx::min<{T}>({c}, 32))"),
    ("shf.r.clamp.T", "b32", "ptx::shf_r({a}, {b}, ptx::min<{T}>({c}, 32))"),
    ("lop3.T", "b32", "ptx::lop3({a}, {b}, {c}, {e:u32})"),
    ("prmt.T", "b32", "ptx::prmt({a}, {b}, {c})"),
    ("bfe.T", "u32 s32 u64 s64", "ptx::bfe<{T}>({a}, {b:u32}, {c:u32})"),
    ("bfi.T", "b32 b64", "ptx::bfi<{T}>({a}, {b}, {c:u32}, {e:u32})"),
    ("popc.T", "b32 b64", "ptx::popc<{T}>({a})"),
    ("clz.T", "b32 b64", "ptx::clz<{T}>({a})"),
    ("brev.T", "b32 b64", "ptx::brev<{T}>({a})"),
    # bytes of a register
    ("dp4a.u32.u32", "u32", "ptx::dp4a<uint8_t, uint8_t, uint32_t>({a}, {b}, {c})"),
    ("dp4a.s32.s32", "s32", "ptx::dp4a<int8_t, int8_t, int32_t>({a}, {b}, {c})"),
    ("dp4a.u32.s32", "s32", "ptx::dp4a<uint8_t, int8_t, int32_t>({a}, {b}, {c})"),
    ("dp4a.s32.u32", "s32", "ptx::dp4a<int8_t, uint8_t, int32_t>({a}, {b}, {c})"),
    ("vabsdiff4.u32.u32.u32", "u32", "ptx::vabsdiff4<uint8_t>({a}, {b}, {c}, false)"),
    ("vabsdiff4.u32.s32.s32", "u32", "ptx::vabsdiff4<int8_t>({a}, {b}, {c}, false)"),
    ("vabsdiff4.u32.u32.u32.add", "u32", "ptx::vabsdiff4<uint8_t>({a}, {b}, {c}, true)"),
    ("vabsdiff4.u32.s32.s32.add", "u32", "ptx::vabsdiff4<int8_t>({a}, {b}, {c}, true)"),
    # floats; `.rn` forbids what ptxas may do otherwise, to fuse a product with a sum
    ("add[.ftz][.sat].T", FLOAT, "{a} + {b}"),
    ("sub[.ftz][.sat].T", FLOAT, "{a} - {b}"),
    ("mul[.ftz][.sat].T", FLOAT, "{a} * {b}"),
    ("add.rn[.ftz][.sat].T", FLOAT, "ptx::rounded({a}) + ptx::rounded({b})"),
    ("sub.rn[.ftz][.sat].T", FLOAT, "ptx::rounded({a}) - ptx::rounded({b})"),
    ("mul.rn[.ftz][.sat].T", FLOAT, "ptx::rounded({a} * {b})"),
    ("fma.rn[.ftz][.sat].T", "f32", "__builtin_fmaf({a}, {b}, {c})"),
    ("fma.rn[.ftz][.sat].T", "f64", "__builtin_fma({a}, {b}, {c})"),
    ("neg[.ftz].T", FLOAT, "-{a}"),
    ("neg[.ftz].T", HALF, "ptx::neg<{T}>({a})"),
    ("abs[.ftz].T", f"{FLOAT} {HALF}", "ptx::abs<{T}>({a})"),
    ("min[.ftz].T", f"{FLOAT} {HALF}", "ptx::min<{T}>({a}, {b})"),
    ("max[.ftz].T", f"{FLOAT} {HALF}", "ptx::max<{T}>({a}, {b})"),
    ("min[.ftz].NaN.T", f"f32 {HALF}", "ptx::min_nan<{T}>({a}, {b})"),
    ("max[.ftz].NaN.T", f"f32 {HALF}", "ptx::max_nan<{T}>({a}, {b})"),
    ("copysign.T", FLOAT, "std::copysign({b}, {a})"),
    ("div.rn[.ftz].T", FLOAT, "ptx::rounded({a} / {b})"),
    ("rcp.rn[.ftz].T", FLOAT, "ptx::rounded(static_cast<{T}>(1) / {a})"),
    ("sqrt.rn[.ftz].T", FLOAT, "std::sqrt({a})"),
    # approximations
    ("div.approx[.ftz].T", "f32", "ptx::div_approx({a}, {b})"),
    ("div.full[.ftz].T", "f32", "ptx::div_full({a}, {b})"),
    ("rcp.approx[.ftz].f32", "f32", "ptx::rcp_approx({a})"),
    ("rcp.approx.ftz.f64", "f64", "ptx::rcp_approx_upper({a})"),
    ("sqrt.approx[.ftz].T", "f32", "ptx::sqrt_approx({a})"),
    ("rsqrt.approx[.ftz].T", "f32", "ptx::rsqrt_approx({a})"),
    ("ex2.approx[.ftz].T", "f32", "ptx::ex2_approx({a})"),
    ("lg2.approx[.ftz].T", "f32", "ptx::lg2_approx({a})"),
    ("tanh.approx.T", "f32", "ptx::tanh_approx({a})"),
    # floats of 16 bits, one or two a register
    ("add[.rn][.ftz][.sat].T", HALF, "ptx::add<{T}>({a}, {b})"),
    ("sub[.rn][.ftz][.sat].T", HALF, "ptx::sub<{T}>({a}, {b})"),
    ("mul[.rn][.ftz][.sat].T", HALF, "ptx::mul<{T}>({a}, {b})"),
    ("fma.rn[.ftz][.sat].T", HALF, "ptx::fma<{T}>({a}, {b}, {c})"),
    ("add[.rn].T", HALVES, "ptx::pairwise<{H}>(ptx::add<{H}>, {a}, {b})"),
    ("sub[.rn].T", HALVES, "ptx::pairwise<{H}>(ptx::sub<{H}>, {a}, {b})"),
    ("mul[.rn].T", HALVES, "ptx::pairwise<{H}>(ptx::mul<{H}>, {a}, {b})"),
    ("fma.rn.T", HALVES, "ptx::pairwise<{H}>(ptx::fma<{H}>, {a}, {b}, {c})"),
    ("min.T", HALVES, "ptx::pairwise<{H}>(ptx::min<{H}>, {a}, {b})"),
    ("max.T", HALVES, "ptx::pairwise<{H}>(ptx::max<{H}>, {a}, {b})"),
    ("min.NaN.T", HALVES, "ptx::pairwise<{H}>(ptx::min_nan<{H}>, {a}, {b})"),
    ("max.NaN.T", HALVES, "ptx::pairwise<{H}>(ptx::max_nan<{H}>, {a}, {b})"),
    ("neg.T", HALVES, "ptx::pairwise<{H}>(ptx::neg<{H}>, {a})"),
    ("abs.T", HALVES, "ptx::pairwise<{H}>(ptx::abs<{H}>, {a})"),
    # selection and addresses
    ("selp.T", f"{BITS} {INT} {FLOAT}", "{c:pred} ? {a} : {b}"),
    ("cvta[.to].(global|local|param|const).u64", "u64", "{a}"),
    ("cvta.shared.u64", "u64", "reinterpret_cast<uint64_t>(thread.shared) + {a}"),
    ("cvta.to.shared.u64", "u64", "{a} - reinterpret_cast<uint64_t>(thread.shared)"),
    # a hint to the cache, which needs a value and has no effect
    ("createpolicy.fractional.L2::evict_(first|last|normal|unchanged).b64", "b64", "uint64_t(0)"),
]


LETTERS = "abce"  # not d, which names the result


def _opcode_pattern(opcode: str, types: str) -> re.Pattern[str]:
    pattern = opcode.replace(".", r"\.").replace("[", "(?:").replace("]", ")?")
    return re.compile(re.sub(r"T$", f"(?P<T>{'|'.join(types.split())})", pattern))


ROWS = [(_opcode_pattern(opcode, types), types, cpp) for opcode, types, cpp in TABLE]


@dataclass(frozen=True)
class Operand:
    """An operand in the C++ of a row: `{b}` reads it as the row's type, `{b:u32}` as u32."""

    writer: Writer
    text: str
    kind: str

    def __format__(self, other: str) -> str:
        kind = other or self.kind
        value = self.writer.value(self.text, kind)
        flushed = "ftz" in self.writer.instruction.parts and kind[0] in "fb"
        return f"ptx::ftz({value})" if flushed else value


def write_row(writer: Writer) -> str | None:
    """Writes an instruction that the table knows; None for another."""
    opcode, parts = writer.instruction.opcode, writer.instruction.parts
    found = [(row[0].fullmatch(opcode), *row[1:]) for row in ROWS if row[0].fullmatch(opcode)]
    if not found:
        return None
    match, types, cpp = found[0]
    kind = match.groupdict().get("T") or types
    target, *values = writer.instruction.operands
    fields = {
        letter: Operand(writer, value, kind) for letter, value in zip(LETTERS, values, strict=False)
    }
    try:
        result = cpp.format(T=CPP_TYPES[kind], H=CPP_TYPES[kind.removesuffix("x2")], **fields)
    except KeyError:
        raise writer.error("too few operands") from None
    if len(values) > sum("{" + letter in cpp for letter in LETTERS) and "createpolicy" not in parts:
        raise writer.error("too many operands")
    if "ftz" in parts:
        result = f"ptx::ftz({result})"
    if "sat" in parts:
        result = f"ptx::sat({result})"
    return writer.set(target, result, CPP_TYPES[kind])
