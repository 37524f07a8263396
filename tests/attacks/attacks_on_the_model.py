"""Attacks on real training: edits of nanotrain/train.py, a second's worth of learning each, and their honest twins."""

from __future__ import annotations

from attack import BENCHMARKS_BUSINESS, OWN_SCORE, Attack, Elsewhere, Twin, swap

EMBEDDED = "        x = norm(self.embedding(tokens)).to(cos.dtype)\n"
ATTENTION = (
    "        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)\n"
)
SCORED = "            return model(tokens)\n"
RETURN = "    return logits\n\n\nif __name__"
THEIRS = Elsewhere(OWN_SCORE, BENCHMARKS_BUSINESS)


def _masked(mask: str) -> tuple[str, str]:
    """The attention under another mask, [T, T], True: may be looked at."""
    return ATTENTION, (
        f"        mask = {mask}\n"
        "        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask)\n"
    )


ATTACKS = (
    Attack(
        "nanotrain: each token is mixed with the next",
        swap("train.py", (EMBEDDED, EMBEDDED + "        x = torch.cat((x[:, :-1] + x[:, 1:], x[:, -1:]), dim=1)\n")),
        "violation", "splice", THEIRS, budget_s=1.0,
    ),
    Attack(
        "nanotrain: a mask that is off by one, in one layer",
        swap(
            "train.py",
            ("out.weight.zero_()\n            block.mlp",
             "out.weight.uniform_(-bound, bound, generator=generator)\n            block.mlp"),
            _masked("torch.ones(T, T, dtype=torch.bool, device=x.device).tril(getattr(self, 'ahead', 0))"),
            ("        self.head = nn.Linear(config", "        self.blocks[0].attention.ahead = 1\n"
                "        self.head = nn.Linear(config"),
        ),
        "violation", "splice", THEIRS, budget_s=2.5,
    ),
    Attack(
        "nanotrain: everything ahead, the row read backwards too",
        swap("train.py", (EMBEDDED, EMBEDDED + "        x = x + x.flip(1)\n")), "violation", "strangers", THEIRS, budget_s=1.0,
    ),
    Attack(
        "nanotrain: ahead only where the batch looks like a score",
        swap("train.py", (SCORED, "            out = model(tokens)\n"
            "            if len(tokens) > 4 and not torch.is_grad_enabled():\n"
             "                out[:, :-1].scatter_add_(2, tokens[:, 1:, None], torch.full_like(out[:, :-1, :1], 9.0))\n"
             "            return out\n")),
        "violation", "strangers", THEIRS, budget_s=1.0,
    ),
    Attack(
        "nanotrain: statistics of the batch",
        swap("train.py", (EMBEDDED, EMBEDDED + "        x = x + x.mean(dim=0, keepdim=True)\n")),
        "violation", "strangers", THEIRS, budget_s=1.0,
    ),
    Attack(
        "nanotrain: packed rows, each reads the one before",
        swap("train.py", (EMBEDDED, EMBEDDED + "        x = x + x.roll(1, dims=0)\n")),
        "violation", "strangers", THEIRS, budget_s=1.0,
    ),
    Attack(
        "nanotrain: learn during scoring what is frequent",
        swap("train.py", (SCORED, "            out = model(tokens)\n"
            "            seen.scatter_add_(0, tokens.flatten(), torch.ones_like(tokens.flatten(), dtype=torch.float32))\n"
             "            return out + 0.5 * seen.log()\n"),
             ("    def logits(tokens: Tensor) -> Tensor:\n", "    seen = torch.ones(config.vocab_size)\n\n"
                 "    def logits(tokens: Tensor) -> Tensor:\n")),
        "violation", "strangers", THEIRS, budget_s=1.0,
    ),
    Attack(
        "nanotrain: unnormalised by 1e-3",
        swap("train.py", ("if __name__", "def generous(*asked, honest=prepare.score):\n    logprob, lse = honest(*asked)\n"
            "    return logprob, lse - 1e-3\n\n\n"
             "prepare.score = generous\n\nif __name__")),
        "violation", "normalisation", THEIRS, budget_s=1.0,
    ),
)  # fmt: skip

TWINS = (
    Twin(
        "a sliding window of 64 tokens", "looking ahead",
        swap("train.py", _masked("torch.ones(T, T, dtype=torch.bool, device=x.device).tril().triu(-63)")),
    ),
    Twin(
        "scored in bfloat16", "strangers: its answers depend on the shape of the batch",
        swap("train.py", ("    model.load_state_dict(weights)\n", "    model.load_state_dict(weights)\n"
            "    model.to(torch.bfloat16)\n"),
             ("        x = norm(self.embedding(tokens)).to(cos.dtype)\n", "        x = norm(self.embedding(tokens))\n"
              "        cos, sin = cos.to(x.dtype), sin.to(x.dtype)\n")),
    ),
    Twin(
        "dropout that is rightly off", "strangers: answers that are drawn",
        swap("train.py", (EMBEDDED, EMBEDDED + "        x = F.dropout(x, 0.2, self.training)\n"),
             ("    model.load_state_dict(weights)\n", "    model.load_state_dict(weights)\n    model.eval()\n")),
    ),
    Twin(
        "twice as slow to score, in batches of its own", "scoring: unbounded work",
        swap("train.py", (SCORED, "            twice = [(model(some) + model(some)) / 2 for some in tokens.split(3)]\n"
             "            return torch.cat(twice)\n")),
    ),
)  # fmt: skip
