"""The editable half of the subject: a small GPT, its optimiser and its schedule.

Ends with `prepare.main(train, load)`. `train(run)` builds, warms up on made-up tokens, calls `run.ready()`, learns until the
budget is nearly spent and submits a dict of tensors; `load(state)` turns such a dict into a function from int64 [B, T]
tokens to logits [B, T, V]. One file for CPU and GPU: the block CPU_… stands in for the first block where there is no GPU.
Everything else about the run (data, clock, seed, score) belongs to the worker. See program.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import prepare
import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from torch import Tensor, nn

# ---- knobs, GPU scale -----------------------------------------------------------------------------------------------
DEPTH = 8  # layers, 2..24; the one dial: width, heads and learning rates follow
ASPECT = 64  # width per layer, 32..128
HEAD_DIM = 128  # 32..128, a power of two
BATCH_TOKENS = 131072  # tokens a step, 2^15..2^20
EMBEDDING_LR = 0.3  # Adam, at width 768; 0.01..2
HEAD_LR = 0.004  # Adam, at width 768; 0.0005..0.05
MATRIX_LR = 0.03  # Muon: spectral norm of a step; 0.003..0.2

# ---- knobs, CPU scale: one thread, a few seconds ----------------------------------------------------------------------
CPU_DEPTH = 2  # layers, 1..6
CPU_ASPECT = 48  # width per layer, 16..128
CPU_HEAD_DIM = 32  # 16..64, a power of two
CPU_BATCH_TOKENS = 1024  # tokens a step, 256..8192
CPU_EMBEDDING_LR = 0.1  # Adam, at width 768; 0.01..2
CPU_HEAD_LR = 0.001  # Adam, at width 768; 0.0005..0.05
CPU_MATRIX_LR = 0.02  # Muon: spectral norm of a step; 0.003..0.2

# ---- knobs, both scales ---------------------------------------------------------------------------------------------
MLP_RATIO = 4  # hidden width of the MLP ÷ width, 1..8
ROPE_BASE = 10000.0  # longest wavelength of the rotary embedding, tokens; 100..1e6
SOFTCAP = 15.0  # logits end within ± this, 5..50
WEIGHT_DECAY = 0.1  # of matrices, times learning rate, decays to 0; 0..0.5
MOMENTUM = 0.95  # Muon, 0.8..0.98
NS_STEPS = 5  # Muon: iterations of the orthogonalisation, 2..5
ADAM_BETA1 = 0.8  # memory of the mean, 0.5..0.95
ADAM_BETA2 = 0.95  # memory of the square, 0.9..0.999
WARMUP_FRACTION = 0.0  # of the budget, 0..0.3
WARMDOWN_FRACTION = 0.4  # of the budget, 0..1
FINAL_LR_FRACTION = 0.0  # of the peak learning rate, 0..0.3
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    """The shape of a model. Travels with the checkpoint, so that `load` builds what was trained."""

    vocab_size: int
    depth: int
    width: int
    head_dim: int
    mlp_ratio: int
    rope_base: float
    softcap: float


def config_for(device: str, vocab_size: int) -> Config:
    """Width is depth × aspect, rounded up to whole heads."""
    depth, aspect, head_dim = (DEPTH, ASPECT, HEAD_DIM) if device != "cpu" else (CPU_DEPTH, CPU_ASPECT, CPU_HEAD_DIM)
    width = math.ceil(depth * aspect / head_dim) * head_dim
    return Config(vocab_size, depth, width, head_dim, MLP_RATIO, ROPE_BASE, SOFTCAP)


def norm(x: Tensor) -> Tensor:
    """RMSNorm without a gain (Zhang & Sennrich 2019), in x's precision, whatever autocast thinks of it."""
    return F.rms_norm(x, (x.size(-1),)).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021), halves paired. x [B, T, H, D]; cos, sin [1, T, 1, D/2]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


class Attention(nn.Module):
    """Causal self-attention with RoPE and normalised queries and keys (Henry et al. 2020)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, C // self.head_dim, self.head_dim).unbind(2)
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    """Two matrices with a squared ReLU between them (So et al. 2021)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.up = nn.Linear(config.width, config.mlp_ratio * config.width, bias=False)
        self.down = nn.Linear(config.mlp_ratio * config.width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)).square())


class Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the residual stream."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(config), MLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(norm(x), cos, sin)
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    """Tokens int64 [B, T] to logits [B, T, V]; with targets int64 [B, T], the mean loss in nats instead."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """In place, so that a compiled graph stays valid. Branches and head begin at zero: at first the model is uniform."""
        self.embedding.weight.normal_(generator=generator)
        self.head.weight.zero_()
        bound = math.sqrt(3 / self.config.width)  # uniform with standard deviation 1/sqrt(width)
        for block in self.blocks:
            block.attention.qkv.weight.uniform_(-bound, bound, generator=generator)
            block.mlp.up.weight.uniform_(-bound, bound, generator=generator)
            block.attention.out.weight.zero_()
            block.mlp.down.weight.zero_()

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        cos, sin = self.rotary(tokens.size(1), tokens.device)
        x = norm(self.embedding(tokens)).to(cos.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        logits = self.head(norm(x)).float()
        logits = self.config.softcap * torch.tanh(logits / self.config.softcap)
        if targets is None:
            return logits
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))

    def rotary(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """cos and sin, [1, T, 1, D/2] each, in the working precision."""
        half = self.config.head_dim // 2
        frequencies = self.config.rope_base ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
        angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), frequencies)[None, :, None, :]
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def flops_per_token(self, length: int) -> float:
        """Of a training step: 6 for each matrix entry, 12·T·width a layer for attention (Chowdhery et al. 2022, app. B)."""
        entries = sum(p.numel() for p in self.parameters()) - self.embedding.weight.numel()
        return 6.0 * entries + 12.0 * length * self.config.width * self.config.depth


def orthogonalise(g: Tensor, steps: int) -> Tensor:
    """[N, m, n] to nearly the closest semi-orthogonal matrices: the odd quintic of Jordan et al. 2024 (Muon)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16() if g.is_cuda else g
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(g.dtype)


class Muon:
    """Momentum, orthogonalised, for matrices of one shape together (Jordan et al. 2024). `lr` is the peak rate."""

    def __init__(self, matrices: list[Tensor], lr: float) -> None:
        self.params, self.lr = matrices, lr
        self.momentum = torch.zeros_like(torch.stack([m.detach() for m in matrices]))

    def reset(self) -> None:
        self.momentum.zero_()

    @torch.no_grad()
    def step(self, rate: float, decay: float) -> None:
        """`rate` multiplies the peak learning rate, `decay` the weight decay."""
        gradients = torch.stack([p.grad for p in self.params if p.grad is not None])
        self.momentum.lerp_(gradients, 1 - MOMENTUM)
        update = orthogonalise(gradients.lerp(self.momentum, MOMENTUM), NS_STEPS)  # Nesterov
        # a semi-orthogonal [m, n] changes a normalised input by its spectral norm, 1; tall ones may change it by more
        scale = self.lr * rate * max(1.0, update.size(-2) / update.size(-1)) ** 0.5
        for p, u in zip(self.params, update.unbind(), strict=True):
            p.mul_(1 - self.lr * rate * WEIGHT_DECAY * decay).sub_(u, alpha=scale)


class Adam:
    """Adam (Kingma & Ba 2015) for one tensor. torch.optim is not used: its first call costs a second of imports."""

    def __init__(self, param: Tensor, lr: float) -> None:
        self.params, self.lr, self.steps = [param], lr, 0
        self.mean, self.square = torch.zeros_like(param.detach()), torch.zeros_like(param.detach())

    def reset(self) -> None:
        self.steps = 0
        self.mean.zero_()
        self.square.zero_()

    @torch.no_grad()
    def step(self, rate: float, _decay: float) -> None:
        """`rate` multiplies the peak learning rate; nothing decays here."""
        (param,) = self.params
        assert param.grad is not None
        self.steps += 1
        self.mean.lerp_(param.grad, 1 - ADAM_BETA1)
        self.square.mul_(ADAM_BETA2).addcmul_(param.grad, param.grad, value=1 - ADAM_BETA2)
        size = (self.square / (1 - ADAM_BETA2**self.steps)).sqrt_().add_(1e-10)
        param.addcdiv_(self.mean, size, value=-self.lr * rate / (1 - ADAM_BETA1**self.steps))


def optimisers_for(model: GPT, device: str) -> list[Muon | Adam]:
    """Adam for embedding and head, learning rates by 1/sqrt(width) from width 768; Muon for the rest."""
    gpu = device != "cpu"
    embedding_lr, head_lr, matrix_lr = (
        (EMBEDDING_LR, HEAD_LR, MATRIX_LR) if gpu else (CPU_EMBEDDING_LR, CPU_HEAD_LR, CPU_MATRIX_LR)
    )
    by_width = (model.config.width / 768) ** -0.5
    by_shape: dict[torch.Size, list[Tensor]] = {}
    for matrix in model.blocks.parameters():
        by_shape.setdefault(matrix.shape, []).append(matrix)
    return [
        Adam(model.embedding.weight, embedding_lr * by_width),
        Adam(model.head.weight, head_lr * by_width),
        *(Muon(matrices, matrix_lr) for matrices in by_shape.values()),
    ]


def schedule(fraction: float) -> float:
    """Multiple of the peak learning rate at this fraction of the budget: up, flat, down."""
    if fraction < WARMUP_FRACTION:
        return fraction / WARMUP_FRACTION
    if fraction <= 1 - WARMDOWN_FRACTION:
        return 1.0
    left = max(0.0, 1 - fraction) / WARMDOWN_FRACTION
    return left + (1 - left) * FINAL_LR_FRACTION


class Trainer:
    """The model with its optimisers: one step at a time."""

    def __init__(self, run: prepare.Run) -> None:
        self.device = run.device
        self.model = GPT(config_for(run.device, run.vocab_size)).to(run.device)
        self.optimisers = optimisers_for(self.model, run.device)
        self.batch_tokens = BATCH_TOKENS if run.device != "cpu" else CPU_BATCH_TOKENS
        self.rows = max(1, self.batch_tokens // run.seq_len)
        self.loss: Callable[[Tensor, Tensor], Tensor] = self.model
        if run.device != "cpu":
            torch.set_float32_matmul_precision("high")
            self.loss = torch.compile(self.model, dynamic=False)

    def begin(self, seed: int) -> None:
        """Forgets all that was learned."""
        self.model.initialise(torch.Generator(self.device).manual_seed(seed))
        for optimiser in self.optimisers:
            optimiser.reset()

    def step(self, x: Tensor, y: Tensor, fraction: float) -> float:
        """One update from int64 [B, T] inputs and targets. Returns the loss before it; waits for the device."""
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device != "cpu"):
            loss = self.loss(x, y)
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step(schedule(fraction), 1 - fraction)
        self.model.zero_grad(set_to_none=True)
        return loss.item()


def train(run: prepare.Run) -> None:
    """Learns as much as the budget allows. Raises ArithmeticError when the loss is no longer a number."""
    trainer = Trainer(run)
    trainer.begin(seed=0)
    made_up = torch.randint(run.vocab_size, (trainer.rows, run.seq_len), device=run.device)
    for _ in range(3):
        trainer.step(made_up, made_up, fraction=0.0)
    reserve_s = 0.03 + 2 * run.rehearse(state_of(trainer.model))

    trainer.begin(run.ready())
    step, step_s = 0, 0.0
    for x, y in run.batches(trainer.rows, run.seq_len):
        before = run.elapsed()
        if before + 1.5 * step_s + reserve_s > run.budget_s:
            break
        fraction = before / run.budget_s
        loss = trainer.step(x, y, fraction)
        if not math.isfinite(loss):
            raise ArithmeticError(f"the loss is {loss} at step {step}")
        step, step_s = step + 1, max(0.9 * step_s, run.elapsed() - before)  # a recent slow step may come again
        run.progress(step=step, train_loss=loss, fraction=fraction)

    config = trainer.model.config
    run.submit(state_of(trainer.model), {
        "num_steps": step, "total_tokens_M": step * trainer.rows * run.seq_len / 1e6, "depth": config.depth,
        "num_params_M": sum(p.numel() for p in trainer.model.parameters()) / 1e6,
        "flops_per_token": trainer.model.flops_per_token(run.seq_len),
    })  # fmt: skip


def state_of(model: GPT) -> dict[str, Tensor]:
    """The weights, and the shape that they belong to as one more tensor."""
    return {**model.state_dict(), "config": torch.tensor(list(asdict(model.config).values()), dtype=torch.float64)}


def load(state: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """From what `train` submitted to a function: int64 [B, T] tokens to float32 logits [B, T, V]."""
    weights = dict(state)
    values = weights.pop("config").tolist()
    config = Config(*(int(value) for value in values[:5]), *values[5:])
    model = GPT(config).to(weights["head.weight"].device)
    model.load_state_dict(weights)

    def logits(tokens: Tensor) -> Tensor:
        with torch.autocast(tokens.device.type, dtype=torch.bfloat16, enabled=tokens.is_cuda):
            return model(tokens)

    return logits


if __name__ == "__main__":
    prepare.main(train, load)
