"""The arguments of one call, with content that no candidate can know beforehand.

Content follows from (seed, case, position of the input, call) and from the device's kind alone: torch's generators on CPU
and GPU draw different numbers from one seed. What does not vary follows from (seed, case, position).

Adversarial content is what averages of random numbers never show. An input is looked at as rows along its last dimension:
a quarter of them `large` times as big, one all zeros, one a copy of another, one with an infinity in it; a tensor with
fewer rows than that gets as many of the four as it has rows, drawn by the seed. Of an index: both ends of its range, and
a row that repeats one number. Weights (`varies` False) keep their plain content.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from workers.kernel.cases import Case, Fill, Infinity, ScalarInput, TensorInput

if TYPE_CHECKING:
    import torch

_TORCH_NAMES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int32": "int32", "int64": "int64"}


def build(
    case: Case, seed: int, device: str | torch.device, *, call: int = 0, adversarial: bool = False
) -> tuple[torch.Tensor | float | int, ...]:
    """The arguments of the `call`-th call, on `device`, contiguous, in the order of `case.inputs`."""
    return tuple(
        one.value if isinstance(one, ScalarInput) else _tensor(one, f"{seed}/{case.name}/{nth}", call, device, adversarial)
        for nth, one in enumerate(case.inputs)
    )


def torch_dtype(name: str) -> torch.dtype:
    """torch's own dtype for one of ours, such as "bf16"."""
    import torch

    found = getattr(torch, _TORCH_NAMES[name])
    assert isinstance(found, torch.dtype)
    return found


def _tensor(one: TensorInput, stream: str, call: int, device: str | torch.device, adversarial: bool) -> torch.Tensor:
    drawn = generator(f"{stream}/{call}" if one.varies else stream, device)
    content = _content(one, drawn)
    if adversarial and one.varies:
        rows = content.view(-1, one.shape[-1])
        if one.fill is Fill.INDEX:
            _corner_indices(rows, one, drawn)
        else:
            _corner_rows(rows, one, drawn)
    return content.to(torch_dtype(one.dtype))


def generator(stream: str, device: str | torch.device) -> torch.Generator:
    """What draws for one purpose: the same numbers for the same words, on one kind of device."""
    import torch

    digest = hashlib.blake2b(stream.encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)


def _content(one: TensorInput, generator: torch.Generator) -> torch.Tensor:
    """In float32 or int64: drawn the same whatever the input's own type is."""
    import torch

    device = generator.device
    match one.fill:
        case Fill.NORMAL:
            return torch.randn(one.shape, generator=generator, device=device).mul_(one.scale)
        case Fill.UNIFORM:
            return torch.rand(one.shape, generator=generator, device=device).mul_(2).sub_(1).mul_(one.scale)
        case Fill.SOFTMAX:
            return torch.randn(one.shape, generator=generator, device=device).mul_(one.scale).softmax(dim=-1)
        case Fill.INDEX:
            assert one.below is not None
            return torch.randint(one.below, one.shape, generator=generator, device=device)


def _corner_rows(rows: torch.Tensor, one: TensorInput, generator: torch.Generator) -> None:
    import torch

    count, width = rows.shape
    order = torch.randperm(count, generator=generator, device=rows.device).tolist()
    corners = ["large", "zeros", "copy", "inf"]
    if count < len(corners):
        turns = torch.randperm(len(corners), generator=generator, device=rows.device).tolist()
        corners = [corners[turn] for turn in turns]
    for corner, row in zip(corners, order, strict=False):
        match corner:
            case "large":
                rows[order[4 : 4 + count // 4]] *= one.large
                rows[row] *= one.large
            case "zeros":
                rows[row] = 0
            case "copy":
                rows[row] = rows[order[-1]]
            case "inf" if one.inf is not Infinity.NONE:
                place = int(torch.randint(width, (), generator=generator, device=rows.device))
                rows[row, place] = float("inf" if one.inf is Infinity.POSITIVE else "-inf")


def _corner_indices(rows: torch.Tensor, one: TensorInput, generator: torch.Generator) -> None:
    import torch

    assert one.below is not None
    flat = rows.view(-1)
    order = torch.randperm(flat.numel(), generator=generator, device=rows.device)
    quarter = max(1, flat.numel() // 4)
    flat[order[:quarter]] = 0
    flat[order[quarter : 2 * quarter]] = one.below - 1
    rows[-1] = rows[-1, 0]
