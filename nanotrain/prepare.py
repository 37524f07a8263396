"""The sealed half of the subject: data, the worker's socket, scoring, and `python train.py` by hand.

`python prepare.py [--corpus NAME] [--data-root DIR]` makes the data once and prints `{"data_dir", "sha256"}` (no torch).
`main(train, load)` is what train.py ends with; what `train` may ask of its `Run` and what `load` owes is written there.
With REGATTA_PHASE set, a worker at the other end of REGATTA_SOCKET_FD holds the clock, the data, the seed and the score
(docs/train-protocol.md); without it this process does everything itself and its number proves nothing. By hand the
environment may hold REGATTA_BUDGET_S (300), REGATTA_SEED (0), REGATTA_CORPUS (embedded), REGATTA_DATA.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus import Corpus, Embedded, PrepareError
from dataset import build
from wire import PeerGoneError, Wire

if TYPE_CHECKING:
    import numpy as np
    import torch

    State = dict[str, torch.Tensor]
    Logits = Callable[[torch.Tensor], torch.Tensor]
    Train = Callable[["Run"], None]
    Load = Callable[[State], Logits]

DEFAULT_BUDGET_S = 300.0
LOGITS_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}  # of one scored chunk, in float32
PROGRESS_EVERY_S = 1.0
SUMMARY = ("val_bpb", "training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent", "total_tokens_M", "num_steps",
           "num_params_M", "depth")  # fmt: skip

# Dense bf16 peak by the device's exact name, FLOP/s (vendors' data sheets). Another name: mfu is not known.
PEAK_FLOPS = {
    "NVIDIA A100-SXM4-40GB": 312e12, "NVIDIA A100-SXM4-80GB": 312e12, "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12, "NVIDIA H100 PCIe": 756e12, "NVIDIA H200": 989e12, "NVIDIA B200": 2250e12,
    "NVIDIA L4": 121e12, "NVIDIA L40S": 362e12, "NVIDIA GeForce RTX 4090": 165e12, "NVIDIA GeForce RTX 3090": 71e12,
}  # fmt: skip


class Run(ABC):
    """What `train(run)` gets. Order of calls: build and warm up, `ready()`, `batches()`, `progress()`…, `submit()` once."""

    def __init__(self, meta: Mapping[str, Any], device: str, budget_s: float) -> None:
        self.meta = meta
        self.device = device  # "cpu" or "cuda"
        self.budget_s = budget_s  # from the return of ready() until the checkpoint has arrived
        self.vocab_size = int(meta["vocab_size"])
        self.seq_len = int(meta["seq_len"])  # what is scored: rows of so many tokens
        self.bos_id = int(meta["bos_id"])
        self.seed: int | None = None  # not known before ready()
        self._tokens_fd = -1
        self._started = math.nan
        self._last_progress = -math.inf

    def ready(self) -> int:
        """Set-up is over: the clock starts. Returns the seed, from which everything random of the run must follow."""
        if self.seed is not None:
            raise RuntimeError("run.ready() was called twice; it starts the clock, once")
        self.seed, self._tokens_fd = self._start()
        self._started = time.monotonic()
        return self.seed

    def elapsed(self) -> float:
        """Seconds since ready(); NaN before. Our own reading: the worker's clock decides."""
        return time.monotonic() - self._started

    def batches(self, batch_rows: int, seq_len: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs and targets, int64 [batch_rows, seq_len] each, on the device, for ever; rows begin with a document."""
        if self.seed is None:
            raise RuntimeError("run.batches() before run.ready(): there is no training data during set-up")
        import batches
        import torch

        tokens = batches.open_tokens(self._tokens_fd)
        for rows in batches.rows(tokens, self.bos_id, batch_rows, seq_len, self.seed):
            block = torch.from_numpy(rows)
            if self.device != "cpu":
                block = block.pin_memory().to(self.device, non_blocking=True)
            yield block[:, :-1].contiguous(), block[:, 1:].contiguous()

    def rehearse(self, state: State) -> float:
        """Seconds that it takes to turn such a state into bytes, for `train` to keep in reserve. Meant for set-up."""
        serialise(state)  # the first time pays for imports
        began = time.monotonic()
        serialise(state)
        return time.monotonic() - began

    def progress(self, *, step: int, train_loss: float, fraction: float) -> None:
        """For live views; thinned to one a second. `train_loss` in nats per token."""
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_S:
            self._last_progress = now
            self._progress({"step": step, "train_loss": train_loss, "fraction": fraction})

    def submit(self, state: State, summary: Mapping[str, float]) -> None:
        """Hands in the checkpoint. `summary` is believed by nobody and shown to everybody: num_steps, total_tokens_M,
        num_params_M, depth, flops_per_token (forward and backward). The worker ends this process when it has arrived."""
        training_s = self.elapsed()
        self._submit(serialise(state), {**summary, **self._known(summary, training_s)})

    def _known(self, summary: Mapping[str, float], training_s: float) -> dict[str, float]:
        """What this side can add to a summary; what it does not know is left out."""
        known = {"training_seconds": training_s}
        if self.device != "cpu":
            import torch

            known["peak_vram_mb"] = torch.cuda.max_memory_allocated() / 2**20
            peak = PEAK_FLOPS.get(torch.cuda.get_device_name())
            flops = summary.get("flops_per_token", math.nan) * summary.get("total_tokens_M", math.nan) * 1e6
            if peak is not None and math.isfinite(flops):
                known["mfu_percent"] = 100 * flops / (training_s * peak)
        return known

    @abstractmethod
    def _start(self) -> tuple[int, int]:
        """The seed, and an open descriptor of train.bin."""

    @abstractmethod
    def _progress(self, fields: dict[str, float]) -> None: ...

    @abstractmethod
    def _submit(self, checkpoint: bytes, summary: Mapping[str, float]) -> None: ...


class WorkerRun(Run):
    """A run whose clock, data and seed a worker holds."""

    def __init__(self, wire: Wire, hello: Mapping[str, Any]) -> None:
        super().__init__(hello["meta"], hello["device"], float(hello["budget_s"]))
        self._wire = wire

    def _start(self) -> tuple[int, int]:
        self._wire.send("ready")
        start = self._wire.receive()
        if start.type != "start" or len(start.fds) != 1:
            raise ValueError(f"expected `start` with one descriptor, got {start.type!r} with {len(start.fds)}")
        return int(start.fields["seed"]), start.fds[0]

    def _progress(self, fields: dict[str, float]) -> None:
        # JSON has no NaN; a loss that is not finite is not known
        self._wire.send("progress", {key: value if math.isfinite(value) else None for key, value in fields.items()})

    def _submit(self, checkpoint: bytes, summary: Mapping[str, float]) -> None:
        finite = {key: float(value) for key, value in summary.items() if math.isfinite(value)}
        self._wire.send("submit", {"summary": finite}, checkpoint)


class HandRun(Run):
    """A run by hand: own clock, own data, and the checkpoint stays here."""

    def __init__(self, folder: Path, meta: Mapping[str, Any], device: str, budget_s: float) -> None:
        super().__init__(meta, device, budget_s)
        self._folder = folder
        self.checkpoint: bytes | None = None
        self.summary: dict[str, float] = {}

    def _start(self) -> tuple[int, int]:
        return int(os.environ.get("REGATTA_SEED", "0")), os.open(self._folder / "train.bin", os.O_RDONLY)

    def _progress(self, fields: dict[str, float]) -> None:
        print(f"step {fields['step']:6.0f}  train_loss {fields['train_loss']:.4f}  {fields['fraction']:4.0%}", flush=True)

    def _submit(self, checkpoint: bytes, summary: Mapping[str, float]) -> None:
        self.checkpoint, self.summary = checkpoint, dict(summary)


def main(train: Train, load: Load) -> None:
    """Runs `train(run)`, or `load(state)` and scoring, as the environment says; by hand both, one after the other.

    `load(state)` gets the submitted dict of tensors, on the device, and returns a function from int64 [B, T] tokens to
    logits [B, T, vocab_size], whose row b, position t depends on tokens [b, :t+1] alone."""
    if "REGATTA_SOCKET_FD" not in os.environ:
        return _by_hand(train, load)
    with socket.socket(fileno=int(os.environ["REGATTA_SOCKET_FD"])) as sock:
        sock.set_inheritable(False)
        try:
            _for_worker(os.environ.get("REGATTA_PHASE", ""), Wire(sock), train, load)
        except PeerGoneError:
            sys.exit(1)  # nobody is left who wants to know more


def _for_worker(phase: str, wire: Wire, train: Train, load: Load) -> None:
    hello = wire.receive()
    if (hello.type, hello.fields.get("protocol"), hello.fields.get("phase")) != ("hello", 1, phase):
        raise ValueError(f"expected a `hello` of protocol 1 for phase {phase!r}, got {hello.fields}")
    if phase == "train":
        train(WorkerRun(wire, hello.fields))
    else:
        with os.fdopen(hello.fds[0], "rb") as file:
            logits = load(deserialise(file.read(), hello.fields["device"]))
        _answer_questions(wire, logits, hello.fields)


def _answer_questions(wire: Wire, logits: Logits, hello: Mapping[str, Any]) -> None:
    """Until the worker closes the socket between two questions."""
    import numpy as np

    wire.send("loaded")
    while True:
        try:
            ask = wire.receive()
        except PeerGoneError as gone:
            if gone.clean:
                return
            raise
        shape, count = (ask.fields["rows"], ask.fields["cols"]), ask.fields["count"]
        numbers = np.frombuffer(ask.payload, dtype="<i4")
        tokens, row, position, token = np.split(numbers, np.cumsum([shape[0] * shape[1], count, count]))
        logprob, lse = score(logits, tokens.reshape(shape), row, position, token, hello["device"], hello["meta"]["vocab_size"])
        wire.send("answer", {"id": ask.fields["id"]}, np.concatenate([logprob, lse]).astype("<f4").tobytes())


def score(
    logits: Logits, tokens: np.ndarray[Any, Any], row: np.ndarray[Any, Any], position: np.ndarray[Any, Any],
    token: np.ndarray[Any, Any], device: str, vocab_size: int,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:  # fmt: skip
    """Log-probabilities (nats) and log-sum-exp of them, float32 [n] each, of `token[i]` after `position[i]` in row `row[i]`
    of `tokens` [R, T]. Rows go through the model in chunks, and a place is normalised once, though all of its tokens may be
    asked for: memory stays bounded. Raises ValueError where the logits have another shape than [rows, T, vocab_size]."""
    import numpy as np
    import torch

    chunk = max(1, LOGITS_BYTES[device] // (4 * vocab_size * tokens.shape[1]))
    logprob, lse = np.empty(len(row), np.float32), np.empty(len(row), np.float32)
    place = row.astype(np.int64) * tokens.shape[1] + position
    order = np.argsort(row, kind="stable")
    borders = np.searchsorted(row[order], np.arange(0, len(tokens) + chunk, chunk))
    with torch.inference_mode():
        for index, first in enumerate(range(0, len(tokens), chunk)):
            which = order[borders[index] : borders[index + 1]]
            rows = torch.from_numpy(tokens[first : first + chunk].astype(np.int64)).to(device)
            out = logits(rows)
            if tuple(out.shape) != (*rows.shape, vocab_size):
                raise ValueError(f"logits have the shape {tuple(out.shape)}; expected is {(*rows.shape, vocab_size)}")
            places, same = np.unique(place[which] - first * tokens.shape[1], return_inverse=True)
            at, of, ids = (torch.from_numpy(index.astype(np.int64)).to(device) for index in (places, same, token[which]))
            distribution = torch.log_softmax(out.flatten(0, 1)[at].float(), dim=-1)
            logprob[which] = distribution[of, ids].cpu().numpy()
            lse[which] = torch.logsumexp(distribution, dim=-1)[of].cpu().numpy()
    return logprob, lse


def serialise(state: State) -> bytes:
    """A dict of tensors as bytes. Raises TypeError for anything else: nothing else could be loaded again."""
    import torch

    wrong = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise TypeError(f"the state must hold tensors only; these are none: {', '.join(wrong)}")
    buffer = io.BytesIO()
    torch.save({name: value.detach() for name, value in state.items()}, buffer)
    return buffer.getvalue()


def deserialise(checkpoint: bytes, device: str) -> State:
    """The dict of tensors, on the device. Nothing in the bytes is executed."""
    import torch

    state: State = torch.load(io.BytesIO(checkpoint), map_location=device, weights_only=True)
    return state


def _by_hand(train: Train, load: Load) -> None:
    import numpy as np
    import torch

    began = time.monotonic()
    try:
        folder, meta = build(named(os.environ.get("REGATTA_CORPUS", "embedded")), data_root())
    except PrepareError as error:
        sys.exit(f"error: {error}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = HandRun(folder, meta, device, float(os.environ.get("REGATTA_BUDGET_S", DEFAULT_BUDGET_S)))
    train(run)
    if run.checkpoint is None:
        sys.exit("error: train(run) returned without run.submit(state, summary)")
    rows = np.fromfile(folder / "val.bin", "<u2").reshape(-1, run.seq_len + 1).astype(np.int32)
    sizes = np.fromfile(folder / "token_bytes.bin", "<u2").astype(np.int64)
    row, position = (index.ravel() for index in np.indices((len(rows), run.seq_len)))
    token = rows[:, 1:].ravel()
    logprob, lse = score(load(deserialise(run.checkpoint, device)), rows[:, :-1], row, position, token, device, run.vocab_size)
    nats = (lse.astype(np.float64) - logprob)[sizes[token] > 0].sum()
    values = {**run.summary, "val_bpb": nats / (math.log(2) * sizes[token].sum()), "total_seconds": time.monotonic() - began}
    print("---")
    for name in SUMMARY:
        print(f"{name + ':':<18}{_shown(name, values.get(name))}")


def _shown(name: str, value: float | None) -> str:
    """As autoresearch prints it; n/a where it is not known."""
    digits = {"val_bpb": 6, "mfu_percent": 2, "num_steps": 0, "depth": 0}.get(name, 1)
    return "n/a" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def data_root() -> Path:
    """$REGATTA_DATA, else ~/.cache/regatta."""
    return Path(os.environ.get("REGATTA_DATA") or Path.home() / ".cache" / "regatta")


def named(corpus: str, root: Path | None = None, **sizes: Any) -> Corpus:
    """A corpus by its name. `sizes` are climbmix's own. Raises PrepareError."""
    if corpus == "embedded":
        return Embedded()
    if corpus == "climbmix":
        from climbmix import ClimbMix

        return ClimbMix((root or data_root()) / "climbmix-shards", **sizes)
    raise PrepareError(f"there is no corpus {corpus!r}: choose --corpus embedded or --corpus climbmix")


def _command_line() -> None:
    parser = argparse.ArgumentParser(prog="prepare.py", description="Make the data that train.py learns from, once.")
    parser.add_argument("--corpus", default="embedded", metavar="NAME", help="embedded (default; offline) or climbmix")
    parser.add_argument("--data-root", type=Path, default=data_root(), metavar="DIR", help="default: %(default)s")
    sizes = parser.add_argument_group("only for climbmix")
    for name in ("train_shards", "vocab_size", "seq_len", "val_tokens", "test_tokens", "attempts"):
        sizes.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    given = vars(parser.parse_args())
    corpus, root = given.pop("corpus"), given.pop("data_root").absolute()
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        if chosen and corpus != "climbmix":
            raise PrepareError(f"--{next(iter(chosen)).replace('_', '-')} is for --corpus climbmix")
        folder, meta = build(named(corpus, root, **chosen), root)
    except PrepareError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(json.dumps({"data_dir": str(folder), "sha256": meta["sha256"]}))


if __name__ == "__main__":
    _command_line()
