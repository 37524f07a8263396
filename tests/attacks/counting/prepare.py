"""A subject of the `train` runner that starts in a tenth of a second: the sealed half (docs/train-protocol.md).

Text is a chain of tokens in which each has a few likely successors. `main(train, load)` as in nanotrain, with numpy: `load`
gets the submitted dict of arrays and returns a function from token rows [B, T] to logits [B, T, VOCAB].
"""

import hashlib
import io
import json
import os
import socket
import struct
import sys
from pathlib import Path

import numpy as np

VOCAB, SEQ_LEN, ROWS, TRAIN_TOKENS = 32, 64, 160, 20_000  # token 0 begins documents and has no bytes
TOKEN_BYTES = np.array([0] + [1 + token % 3 for token in range(1, VOCAB)], "<u2")


def chain(length, seed):
    """A stream of tokens; the successors of each are the same in every stream."""
    likely = np.random.default_rng(0).integers(1, VOCAB, (VOCAB, 4))
    draw = np.random.default_rng(seed)
    tokens = [0]
    for choice, stray in zip(draw.integers(0, 4, length), draw.integers(1, 10 * VOCAB, length), strict=True):
        tokens.append(int(stray) if stray < VOCAB else int(likely[tokens[-1], choice]))
    return np.array(tokens[:length], "<u2")


def rows(seed):
    return np.stack([chain(SEQ_LEN + 1, seed + number) for number in range(ROWS)])


def prepare(root):
    files = {"train.bin": chain(TRAIN_TOKENS, 1), "val.bin": rows(1000), "test.bin": rows(2000), "token_bytes.bin": TOKEN_BYTES}
    digest = hashlib.sha256(b"".join(content.tobytes() for content in files.values())).hexdigest()
    folder = Path(root) / f"counting-{digest[:12]}"
    if not folder.exists():
        made = Path(f"{folder}.{os.getpid()}")
        made.mkdir(parents=True)
        for name, content in files.items():
            (made / name).write_bytes(content.tobytes())
        meta = {"format": 1, "corpus": "counting", "sha256": digest, "vocab_size": VOCAB, "bos_id": 0, "seq_len": SEQ_LEN,
                "train_tokens": TRAIN_TOKENS, "val_rows": ROWS, "test_rows": ROWS}  # fmt: skip
        (made / "meta.json").write_text(json.dumps(meta))
        made.rename(folder)
    print(json.dumps({"data_dir": str(folder), "sha256": digest}))


class Wire:
    def __init__(self):
        self.end = socket.socket(fileno=int(os.environ["REGATTA_SOCKET_FD"]))
        self.descriptors = []

    def exactly(self, size):
        whole = bytearray()
        while len(whole) < size:
            piece, found, _, _ = socket.recv_fds(self.end, size - len(whole), 4)
            self.descriptors += found
            if not piece:
                sys.exit(0)
            whole += piece
        return bytes(whole)

    def receive(self):
        header = json.loads(self.exactly(struct.unpack(">I", self.exactly(4))[0]))
        return header, self.exactly(header.get("payload_bytes", 0))

    def send(self, header, payload=b""):
        text = json.dumps(header | ({"payload_bytes": len(payload)} if payload else {})).encode()
        self.end.sendall(struct.pack(">I", len(text)) + text + payload)


class Run:
    """What `train(run)` gets: `ready()` starts the worker's clock, `submit(state)` stops it."""

    def __init__(self, wire, hello):
        self.wire, self.budget_s, self.meta = wire, hello["budget_s"], hello["meta"]

    def ready(self):
        self.wire.send({"type": "ready"})
        self.seed = self.wire.receive()[0]["seed"]
        self.data = self.wire.descriptors.pop()
        self.tokens = np.fromfile(os.fdopen(os.dup(self.data), "rb"), "<u2")

    def submit(self, state, **summary):
        buffer = io.BytesIO()
        np.savez(buffer, **state)
        self.wire.send({"type": "submit", "summary": summary}, buffer.getvalue())
        self.wire.receive()  # until the worker ends us


def answer(model, tokens, row, position, token):
    """Log-probabilities of `token` and the log-sum-exp of all, float32 [n] each."""
    logits = np.asarray(model(tokens), np.float64)[row, position]
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return logits[np.arange(len(token)), token], total


def main(train, load):
    wire = Wire()
    hello, _ = wire.receive()
    if hello["phase"] == "train":
        train(Run(wire, hello))
        sys.exit(0)
    checkpoint = wire.descriptors.pop()
    with os.fdopen(os.dup(checkpoint), "rb") as file:
        model = load(dict(np.load(io.BytesIO(file.read()))))
    wire.send({"type": "loaded"})
    while True:
        header, payload = wire.receive()
        size, n = header["rows"] * header["cols"], header["count"]
        tokens, row, position, token = np.split(np.frombuffer(payload, "<i4"), np.cumsum([size, n, n]))
        values = answer(model, tokens.reshape(header["rows"], header["cols"]), row, position, token)
        wire.send({"type": "answer", "id": header["id"]}, np.concatenate(values).astype("<f4").tobytes())


if __name__ == "__main__":
    prepare(os.environ["REGATTA_DATA"])
