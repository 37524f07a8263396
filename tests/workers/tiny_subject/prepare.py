"""A subject in miniature: the sealed half. Speaks docs/train-protocol.md with nothing but the standard library.

`main(train, load)` as in nanotrain; the model is whatever function from (row of tokens, position) to a list of logits.
"""

import array
import hashlib
import json
import math
import os
import socket
import struct
import sys
from pathlib import Path

VOCAB, SEQ_LEN, ROWS = 17, 8, 5  # token 0 begins documents and has no bytes
TOKEN_BYTES = [0] + [1 + token % 3 for token in range(1, VOCAB)]


def row(number, length=SEQ_LEN + 1):
    return [0] + [1 + (3 * number + 5 * i) % (VOCAB - 1) for i in range(length - 1)]


def prepare(root, corpus):
    files = {
        "train.bin": array.array("H", [token for number in range(100) for token in row(number)]).tobytes(),
        "test.bin": array.array("H", [token for number in range(ROWS) for token in row(2000 + number)]).tobytes(),
        "val.bin": array.array("H", [token for number in range(ROWS) for token in row(1000 + number)]).tobytes(),
        "token_bytes.bin": array.array("H", TOKEN_BYTES).tobytes(),
    }
    digest = hashlib.sha256(corpus.encode() + b"".join(files.values())).hexdigest()
    meta = {"format": 1, "corpus": corpus, "sha256": digest, "vocab_size": VOCAB, "bos_id": 0, "seq_len": SEQ_LEN,
            "train_tokens": 900, "val_rows": ROWS, "test_rows": ROWS}  # fmt: skip
    folder = Path(root) / f"tiny-{digest[:12]}"
    if not folder.exists():
        made = Path(f"{folder}.{os.getpid()}")
        made.mkdir(parents=True)
        for name, content in files.items():
            (made / name).write_bytes(content)
        (made / "meta.json").write_text(json.dumps(meta))
        made.rename(folder)
        with (Path(root) / "prepared").open("a") as tally:
            tally.write("x")
    print("prepared")
    print(json.dumps({"data_dir": str(folder), "sha256": digest}))


class Wire:
    def __init__(self):
        self.end = socket.socket(fileno=int(os.environ["REGATTA_SOCKET_FD"]))
        self.descriptors = []

    def exactly(self, size):
        whole = b""
        while len(whole) < size:
            piece, found, _, _ = socket.recv_fds(self.end, size - len(whole), 4)
            self.descriptors += found
            if not piece:
                sys.exit(0)
            whole += piece
        return whole

    def receive(self):
        header = json.loads(self.exactly(struct.unpack(">I", self.exactly(4))[0]))
        return header, self.exactly(header.get("payload_bytes", 0))

    def send(self, header, payload=b""):
        if payload:
            header["payload_bytes"] = len(payload)
        text = json.dumps(header).encode()
        self.end.sendall(struct.pack(">I", len(text)) + text + payload)


class Run:
    def __init__(self, wire, hello):
        self.wire, self.budget_s, self.meta = wire, hello["budget_s"], hello["meta"]

    def ready(self):
        self.wire.send({"type": "ready"})
        self.seed = self.wire.receive()[0]["seed"]
        with os.fdopen(self.wire.descriptors.pop(), "rb") as file:
            self.tokens = array.array("H", file.read())

    def progress(self, **numbers):
        self.wire.send({"type": "progress", **numbers})

    def submit(self, state, **summary):
        self.wire.send({"type": "submit", "summary": summary}, json.dumps(state).encode())
        self.wire.receive()  # until the worker ends us


def answer(model, header, payload):
    values = array.array("i", payload)
    size, n = header["rows"] * header["cols"], header["count"]
    rows = [values[r * header["cols"] : (r + 1) * header["cols"]] for r in range(header["rows"])]
    where, position, token = (values[size + i * n : size + (i + 1) * n] for i in range(3))
    logits = [model(rows[where[i]][: position[i] + 1]) for i in range(n)]
    picked = array.array("f", [logits[i][token[i]] for i in range(n)])
    lse = array.array("f", [math.log(sum(map(math.exp, each))) for each in logits])
    return (picked + lse).tobytes()


def main(train, load):
    wire = Wire()
    hello, _ = wire.receive()
    if hello["phase"] == "train":
        train(Run(wire, hello))
        sys.exit(0)
    with os.fdopen(wire.descriptors.pop(), "rb") as file:
        model = load(json.loads(file.read()))
    wire.send({"type": "loaded"})
    while True:
        header, payload = wire.receive()
        wire.send({"type": "answer", "id": header["id"]}, answer(model, header, payload))


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    prepare(options.get("--data-root") or os.environ["REGATTA_DATA"], options.get("--corpus", "tiny"))
