"""What each target computes, written a second time: by other formulas, torch's own functions, or autograd. In fp64.

Also what each costs: operations by torch's own counter of matrix products where the target has any, by hand elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def matmul(a: Tensor, b: Tensor) -> Tensor:
    return torch.einsum("mk,kn->mn", a, b)


def softmax(x: Tensor) -> Tensor:
    e = x.exp()
    return e / e.sum(-1, keepdim=True)


def layernorm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    variance, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def rmsnorm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def flash_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def fused_mlp(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor) -> Tensor:
    gate = torch.einsum("nd,fd->nf", x, w_gate)
    return torch.einsum("nf,nf,df->nd", gate / (1 + (-gate).exp()), torch.einsum("nd,fd->nf", x, w_up), w_down)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.logsumexp(-1) - logits.gather(1, targets[:, None])[:, 0]


def rotary_embedding(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """A pair (a, b) is a complex number, and cos + i·sin turns it."""
    turned = torch.complex(*x.chunk(2, -1)) * torch.complex(cos, sin)
    return torch.cat((turned.real, turned.imag), -1)


def reduce(x: Tensor) -> Tensor:
    return x @ x.new_ones(x.size(-1))


def gradients(of: Tensor, by: Sequence[Tensor], along: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(of, by, along)


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


def rmsnorm_backward(dy: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, ...]:
    x, weight = leaves(x, weight)
    return gradients(F.rms_norm(x, weight.shape, weight, eps), (x, weight), dy)


def layernorm_backward(dy: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, ...]:
    x, weight, bias = leaves(x, weight, torch.zeros_like(weight))
    return gradients(F.layer_norm(x, weight.shape, weight, bias, eps), (x, weight, bias), dy)


def softmax_backward(dy: Tensor, y: Tensor) -> Tensor:
    (x,) = leaves(y.log())
    return gradients(F.softmax(x, dim=-1), (x,), dy)[0]


def cross_entropy_backward(dloss: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    (x,) = leaves(logits)
    return gradients(F.cross_entropy(x, targets, reduction="none"), (x,), dloss)[0]


def fused_mlp_backward(
    dy: Tensor, x: Tensor, gate: Tensor, up: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor
) -> tuple[Tensor, ...]:  # fmt: skip
    x, w_gate, w_up, w_down = leaves(x, w_gate, w_up, w_down)
    y = F.linear(F.silu(F.linear(x, w_gate)) * F.linear(x, w_up), w_down)
    return gradients(y, (x, w_gate, w_up, w_down), dy)


def template(x: Tensor, bias: Tensor) -> Tensor:
    z = x + bias
    return z * torch.special.ndtr(z)


ANSWERS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        matmul, softmax, layernorm, rmsnorm, flash_attention, fused_mlp, cross_entropy, rotary_embedding, reduce,
        rmsnorm_backward, layernorm_backward, softmax_backward, cross_entropy_backward, fused_mlp_backward,
        template,
    )
}  # fmt: skip


def consistent(target: str, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The same arguments, where a gradient's inputs must be what a forward pass has left."""
    if target == "softmax_backward":
        dy, y = inputs
        return dy, y / y.sum(-1, keepdim=True)
    if target == "fused_mlp_backward":
        dy, x, _, _, w_gate, w_up, w_down = inputs
        return dy, x, x @ w_gate.T, x @ w_up.T, w_gate, w_up, w_down
    return tuple(inputs)


# Operations per entry of the input named here by its position: what a person counts on fingers.
PER_ENTRY = {
    "softmax": (0, 5), "layernorm": (0, 7), "rmsnorm": (0, 4), "cross_entropy": (0, 4), "rotary_embedding": (0, 3),
    "reduce": (0, 1), "rmsnorm_backward": (0, 11), "layernorm_backward": (0, 16), "softmax_backward": (0, 4),
    "cross_entropy_backward": (1, 6), "template": (0, 5),
}  # fmt: skip


def flops(target: str, reference_fn: Callable[..., Any], inputs: Sequence[Any]) -> int:
    """Of one call, from inputs without content."""
    if target in PER_ENTRY:
        position, operations = PER_ENTRY[target]
        return inputs[position].numel() * operations
    with FlopCounterMode(display=False) as counter:
        reference_fn(*inputs)
    products = counter.get_total_flops()
    if target == "flash_attention":  # the reference computes hidden pairs too: of T keys a query sees (T + 1)/2, on average
        T = inputs[0].size(2)
        return products * (T + 1) // (2 * T)
    return products
