"""What the operands of an instruction become in C++."""

import re
from dataclasses import dataclass, field

from ptx_text import Instruction, PtxError

CPP_TYPES = {
    "pred": "bool",
    **{f"{kind}{bits}": f"uint{bits}_t" for kind in "bu" for bits in (8, 16, 32, 64)},
    **{f"s{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)},
    "f16": "ptx::f16",
    "bf16": "ptx::bf16",
    "f32": "float",
    "f64": "double",
    # Two halves in a register, which the functions take as its bits.
    "f16x2": "uint32_t",
    "bf16x2": "uint32_t",
}

ADDRESS = re.compile(r"\[\s*([\w%$]+)\s*(?:\+\s*(-?\d+))?\s*\]")


@dataclass
class Names:
    """What the operands of a kernel's instructions may name."""

    kernel: str
    # register -> its C++ name and type
    registers: dict[str, tuple[str, str]] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)  # variable -> its address in C++
    spaces: dict[str, str] = field(default_factory=dict)  # variable -> its memory
    sizes: dict[str, int | None] = field(default_factory=dict)  # variable -> its bytes

    def error(self, instruction: Instruction, what: str) -> PtxError:
        return PtxError(
            f"{what}: {instruction.text!r}, line {instruction.line}, in kernel {self.kernel}"
        )


@dataclass(frozen=True)
class Writer:
    """Writes one instruction in C++."""

    instruction: Instruction
    names: Names

    def error(self, what: str) -> PtxError:
        return self.names.error(self.instruction, what)

    @property
    def line(self) -> int:
        return self.instruction.line

    def cpp_type(self, kind: str) -> str:
        if kind not in CPP_TYPES:
            raise self.error(f"unknown type {kind!r}")
        return CPP_TYPES[kind]

    def register(self, text: str) -> str:
        if text not in self.names.registers:
            raise self.error(f"unknown register {text!r}")
        return self.names.registers[text][0]

    def value(self, text: str, kind: str) -> str:
        """The C++ of an operand that is read as a type."""
        to = self.cpp_type(kind)
        if text in self.names.registers:
            name, own = self.names.registers[text]
            if own == to:
                return name
            return f"{to}({name})" if _integers(own, to) else f"ptx::as<{to}>({name})"
        if text in SPECIAL:
            return f"ptx::as<{to}>({SPECIAL[text]})"
        if text in self.names.addresses:
            return f"static_cast<{to}>({self.names.addresses[text]})"
        if number := re.fullmatch(r"0[fF]([0-9a-fA-F]{8})", text):
            return f"__builtin_bit_cast({to}, 0x{number[1]}u)"
        if number := re.fullmatch(r"0[dD]([0-9a-fA-F]{16})", text):
            return f"__builtin_bit_cast({to}, 0x{number[1]}ull)"
        if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)U?", text):
            number = int(text.rstrip("U"), 0) % (1 << 64)
            if kind == "pred":
                return "true" if number else "false"
            if kind in ("f16", "bf16"):
                return f"{to}{{uint16_t({number})}}"
            if kind[0] != "f":
                return f"static_cast<{to}>({number}ull)"
        raise self.error(f"unknown operand {text!r}")

    def set(self, target: str, value: str, kind: str | None = None) -> str:
        """Writes an expression to a register; `kind` is its C++ type, if known."""
        if target == "_":
            return ""
        name = self.register(target)
        own = self.names.registers[target][1]
        # Plain where C++ does the same, as the compiler takes long for templates.
        plain = kind is not None and (own == kind or _integers(own, kind))
        return f"{name} = {value};" if plain else f"ptx::set({name}, {value});"

    def operands(self, count: int) -> tuple[str, ...]:
        if len(self.instruction.operands) != count:
            raise self.error(f"{len(self.instruction.operands)} operands instead of {count}")
        return self.instruction.operands

    def address(self, text: str) -> tuple[str, str | None]:
        """The C++ of an address `[name+offset]`, and the memory of a variable that it names."""
        match = ADDRESS.fullmatch(text)
        if match is None:
            raise self.error(f"unknown form of address {text!r}")
        name, offset = match.groups(default="0")
        return f"({self.value(name, 'u64')} + {offset}ll)", self.names.spaces.get(name)


def _integers(*types: str) -> bool:
    """Whether C++ converts between types as PTX does between integers."""
    return all(kind.endswith("_t") for kind in types)


SPECIAL = {
    **{f"%{name}.{axis}": f"thread.{name}.{axis}" for name in ("tid", "ctaid", "ntid", "nctaid")
       for axis in "xyz"},
    "%laneid": "thread.lane()",
    "%lanemask_eq": "(1u << thread.lane())",
    "%lanemask_lt": "((1u << thread.lane()) - 1)",
    "%lanemask_le": "((2u << thread.lane()) - 1)",
    "%lanemask_gt": "~((2u << thread.lane()) - 1)",
    "%lanemask_ge": "~((1u << thread.lane()) - 1)",
    "WARP_SZ": "ptx::kWarp",
}  # fmt: skip
