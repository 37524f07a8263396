"""What a compiler made of a kernel, as plain facts read off its output. Pure: text in, facts out.

For NVIDIA the facts come from the cubin, its PTX, and what `cuobjdump` says of it; for AMD from the assembly. Shared memory is
the compiler's own number: the driver sets it aside at launch, so the cubin does not know it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from workers.kernel.arch import Arch


@dataclass(frozen=True, slots=True)
class Compiled:
    """One kernel, compiled for one specialisation of its arguments."""

    kernel: str
    warps: int  # of a program
    registers: int  # of a thread
    spill_bytes: int  # of a thread: registers that did not fit, kept in memory
    shared_bytes: int  # of a program
    instructions: int  # in the text, loops once
    tensor_core_instructions: int

    def too_large_for(self, arch: Arch) -> str | None:
        """Why no program of it can start on such a GPU; None where it can."""
        if self.shared_bytes > arch.shared_bytes_a_program:
            return (
                f"{self.kernel} needs {self.shared_bytes} bytes of shared memory; allowed on {arch.name} are "
                f"{arch.shared_bytes_a_program}: make the blocks smaller, or num_stages"
            )
        return None


@dataclass(frozen=True, slots=True)
class Resources:
    """What the assembler says of one function."""

    registers: int
    spill_bytes: int


class UnreadableError(Exception):
    """The compiler's output does not say what it should."""


_USAGE = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)")
_TENSOR_CORE = re.compile(r"^\s*(?:@%?!?\w+\s+)?(?:mma\.sync|wgmma\.mma_async|tcgen05\.mma)\S*", re.MULTILINE)
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")  # ELF64: name, type, flags, address, offset, size, …
_EXECUTABLE = 0x4
_INSTRUCTION_BYTES = 16  # of every NVIDIA GPU since Volta
_AMD_OF = {"vgpr": r"\.vgpr_count:\s+(\d+)", "agpr": r"\.agpr_count:\s+(\d+)", "spilt": r"\.vgpr_spill_count:\s+(\d+)"}


def nvidia_resources(said: str) -> Resources:
    """From what `cuobjdump --dump-resource-usage` printed of a cubin with one function. Raises `UnreadableError`."""
    found = _USAGE.search(said)
    if found is None:
        raise UnreadableError(f"cuobjdump names no registers: {said.strip()[:200]!r}")
    return Resources(int(found[1]), int(found[2]) + int(found[3]))


def nvidia_instructions(cubin: bytes) -> int:
    """Machine instructions in a cubin, up to seven of them padding. Raises `UnreadableError`."""
    try:
        (table,) = struct.unpack_from("<Q", cubin, 40)
        _, entries = struct.unpack_from("<HH", cubin, 58)
        headers = [_SECTION_HEADER.unpack_from(cubin, table + nth * _SECTION_HEADER.size) for nth in range(entries)]
    except struct.error as error:
        raise UnreadableError(f"the cubin is no ELF file: {error}") from None
    return sum(int(size) for _, _, flags, _, _, size, *_ in headers if flags & _EXECUTABLE) // _INSTRUCTION_BYTES


def tensor_core_instructions(ptx: str) -> int:
    """How often a PTX text has the tensor cores multiply."""
    return len(_TENSOR_CORE.findall(ptx))


def amd_resources(assembly: str) -> Resources:
    """From the assembly that Triton keeps as `amdgcn`. Raises `UnreadableError`."""
    found = {what: re.search(pattern, assembly) for what, pattern in _AMD_OF.items()}
    if found["vgpr"] is None:
        raise UnreadableError("the assembly names no vector registers")
    counts = {what: int(match[1]) if match else 0 for what, match in found.items()}
    return Resources(counts["vgpr"] + counts["agpr"], 4 * counts["spilt"])


def amd_instructions(assembly: str) -> tuple[int, int]:
    """As `nvidia_instructions`, of AMD's assembly: matrix cores."""
    body = assembly.partition(".amdgcn_target")[2].partition(".section\t.rodata")[0]
    names = [
        found[1]
        for line in body.splitlines()
        if (found := re.match(r"\t([sv]_\w+|ds_\w+|buffer_\w+|global_\w+|flat_\w+)", line))
    ]
    names = [name for name in names if name != "s_nop"]
    return len(names), sum(name.startswith(("v_mfma", "v_smfmac")) for name in names)


def most(facts: Sequence[Compiled]) -> Compiled:
    """The largest of each number over all of them, under the name of the one with the most instructions."""
    largest = max(facts, key=lambda each: each.instructions)
    return Compiled(
        largest.kernel,
        max(each.warps for each in facts),
        max(each.registers for each in facts),
        max(each.spill_bytes for each in facts),
        max(each.shared_bytes for each in facts),
        largest.instructions,
        max(each.tensor_core_instructions for each in facts),
    )
