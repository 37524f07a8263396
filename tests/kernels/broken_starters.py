"""Starters with one mistake each, of the kind that models make: what the small cases must be able to tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    target: str
    what: str
    search: str  # found once in kernel.py
    replace: str


MISTAKES = (
    Mistake("matmul", "forgets what is left of K", "mask=ks[None, :] < K - k, other=0.0", "mask=ks[None, :] < K, other=0.0"),
    Mistake("matmul", "leaves out the last block of K", "range(0, K, BLOCK_K)", "range(0, K - K % BLOCK_K, BLOCK_K)"),
    Mistake("matmul", "rounds its operands to 16 bits", "tl.dot(a, b, acc", "tl.dot(a.to(tl.float16), b.to(tl.float16), acc"),
    Mistake("matmul", "leaves tiles unwritten", "return first_m + pid % in_group % height", "return first_m"),
    Mistake("softmax", "counts what lies past the end", "e = tl.exp(x", "x = tl.where(cols < C, x, 0.0)\n    e = tl.exp(x"),
    Mistake("softmax", "lets large logits overflow", "tl.exp(x - tl.max(x, axis=0))", "tl.exp(x)"),
    Mistake("softmax", "does not rescale the sum of a long row", "total * tl.exp(largest - shift)", "total"),
    Mistake("layernorm", "counts the mean past the end", "tl.where(inside, x - mean, 0.0)", "x - mean"),
    Mistake("layernorm", "divides by the block", "tl.sum(x, axis=0) / C", "tl.sum(x, axis=0) / BLOCK"),
    Mistake("layernorm", "forgets eps", "/ C + eps)", "/ C)"),
    Mistake("rmsnorm", "divides by the block", "/ C + eps", "/ BLOCK + eps"),
    Mistake("rmsnorm", "squares in 16 bits", "tl.sum(x * x, axis=0)", "tl.sum((x * x).to(tl.float16).to(tl.float32), axis=0)"),
    Mistake("flash_attention", "hides the query's own key", "keys[None, :] <= rows[:, None]", "keys[None, :] < rows[:, None]"),
    Mistake("flash_attention", "sees one key ahead", "keys[None, :] <= rows[:, None]", "keys[None, :] <= rows[:, None] + 1"),
    Mistake("flash_attention", "does not rescale", "acc * shrink[:, None]", "acc"),
    Mistake("flash_attention", "gives each head the wrong keys", "head % H // (H // H_KV)", "head % H_KV"),
    Mistake("fused_mlp", "leaves out the gate's own factor", "gate * tl.sigmoid(gate) * up", "tl.sigmoid(gate) * up"),
    Mistake("fused_mlp", "swaps gate and up", "gate * tl.sigmoid(gate) * up", "up * tl.sigmoid(up) * gate"),
    Mistake("cross_entropy", "lets large logits overflow", "tl.maximum(largest, tl.max(x, axis=0))", "0.0"),
    Mistake("cross_entropy", "does not rescale the sum", "total * tl.exp(largest - shift)", "total"),
    Mistake("cross_entropy", "takes the next class", "tl.load(targets_ptr + row))", "(tl.load(targets_ptr + row) + 1) % V)"),
    Mistake("rotary_embedding", "turns the other way", "(a * cos - b * sin)", "(a * cos + b * sin)"),
    Mistake("rotary_embedding", "pairs neighbours", "second = first + HALF_DIM", "second = first + 1"),
    Mistake("reduce", "leaves out the last block", "range(0, C, BLOCK)", "range(0, C - BLOCK // 2, BLOCK)"),
    Mistake("rmsnorm_backward", "leaves out the projection", "(g - xhat * (tl.sum(g * xhat, axis=0) / C))", "g"),
    Mistake("rmsnorm_backward", "keeps the last row of a weight alone", "dweight += dy * xhat", "dweight = dy * xhat"),
    Mistake("layernorm_backward", "keeps the last row of a bias alone", "dbias += dy", "dbias = dy"),
    Mistake("layernorm_backward", "leaves out the mean", "g - tl.sum(g, axis=0) / C - ", "g - "),
    Mistake("softmax_backward", "forgets all but the last block", "sums += dy * y", "sums = dy * y"),
    Mistake("softmax_backward", "leaves out the sum", "(dy - tl.sum(dy * y, axis=0))", "dy"),
    Mistake("cross_entropy_backward", "forgets the target", "tl.where(cols == target, p - 1.0, p)", "p"),
    Mistake("cross_entropy_backward", "forgets dloss", "p - 1.0, p) * dloss", "p - 1.0, p)"),
    Mistake("fused_mlp_backward", "takes the gate for linear", "(s + silu * (1.0 - s))", "s"),
    Mistake("fused_mlp_backward", "forgets half of dx", "if TWO:", "if TWO and False:"),
)  # fmt: skip
