"""The embedded corpus, the tokeniser, packing, and the folder on disk."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from nanotrain_data import Data, prepare
from nanotrain_worker import SUBJECT, environment, read_rows
from tokenizers import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(data: Data) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(data.folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # as in preparation; the file does not keep it
    return tokenizer


def test_meta_describes_the_files(data: Data) -> None:
    meta = data.meta
    assert (meta["format"], meta["corpus"], meta["vocab_size"], meta["seq_len"]) == (1, "embedded", 2048, 256)
    assert (data.folder / "train.bin").stat().st_size == 2 * meta["train_tokens"]
    for split in ("val", "test"):
        assert (data.folder / f"{split}.bin").stat().st_size == 2 * meta[f"{split}_rows"] * (meta["seq_len"] + 1)
        assert 20_000 < meta[f"{split}_rows"] * meta["seq_len"] < 40_000
    assert {path.name for path in data.folder.iterdir()} == {
        "meta.json", "train.bin", "val.bin", "test.bin", "token_bytes.bin", "tokenizer.json"
    }  # fmt: skip


@dataclass(frozen=True)
class Anew:
    root: Path
    answers: tuple[dict[str, str], ...]
    took_s: float


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Anew:
    """Two preparations at once into one root, from nothing."""
    root = tmp_path_factory.mktemp("anew")
    command = [sys.executable, str(SUBJECT / "prepare.py"), "--data-root", str(root)]
    began = time.monotonic()
    both = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in "ab"]
    answers = tuple(json.loads(process.communicate()[0].splitlines()[-1]) for process in both)
    took_s = time.monotonic() - began
    assert [process.returncode for process in both] == [0, 0]
    return Anew(root, answers, took_s)


def test_two_preparations_agree_and_leave_nothing_behind(data: Data, anew: Anew) -> None:
    """Both answer, one folder, the same bytes as a third one's."""
    assert anew.answers[0] == anew.answers[1]
    assert anew.answers[0]["sha256"] == data.meta["sha256"]
    assert [path.name for path in anew.root.iterdir()] == [data.folder.name]


def test_a_second_call_is_quick_and_imports_no_torch(data: Data, anew: Anew) -> None:
    began = time.monotonic()
    again = prepare(anew.root)
    assert time.monotonic() - began < anew.took_s
    assert json.loads(again.stdout) == anew.answers[0]
    code = "import sys; sys.argv = ['prepare.py', '--data-root', %r]; import prepare; prepare._command_line(); "
    code = code % str(data.root) + "print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, cwd=SUBJECT, env=environment(), capture_output=True, text=True)
    assert out.stdout.splitlines()[-1] == "False"


def test_token_bytes_are_the_true_lengths(data: Data, tokenizer: Tokenizer) -> None:
    sizes = np.fromfile(data.folder / "token_bytes.bin", "<u2")
    assert len(sizes) == data.meta["vocab_size"]
    for text in ("def f(x):\n    return x\n", "naïve – 日本語 🚣 \r\n\t end", "<|bos|>", "\x00\x7f"):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert sizes[ids].sum() == len(text.encode())
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        assert data.meta["bos_id"] not in ids  # the name of a special token is text like any other
    single = [index for token, index in tokenizer.get_vocab().items() if len(token) == 1]
    assert len(single) == 256
    assert set(sizes[single]) == {1}  # also those that are no UTF-8 alone
    assert list(np.flatnonzero(sizes == 0)) == [0, 1, 2, 3]


@pytest.mark.parametrize("split", ["val", "test"])
def test_rows_are_packed_without_padding(data: Data, tokenizer: Tokenizer, split: str) -> None:
    rows = read_rows(data.folder, split, data.meta["seq_len"])
    assert (rows[:, 0] == data.meta["bos_id"]).all()
    assert rows.max() < data.meta["vocab_size"]
    assert not np.isin(rows, [1, 2, 3]).any()
    text = tokenizer.decode_batch(rows.tolist(), skip_special_tokens=True)
    sizes = np.fromfile(data.folder / "token_bytes.bin", "<u2")
    # a cropped row may end inside a character; in these sources that is rare
    assert sum(len(row.encode()) for row in text) == pytest.approx(sizes[rows].sum(), rel=1e-3)


def test_pack_takes_the_longest_that_fits_and_crops_the_shortest() -> None:
    from dataset import pack

    documents = [np.array([0, *[size] * (size - 1)], dtype="<u2") for size in (4, 9, 3, 6)]
    packed = pack(iter(documents), row_tokens=10, rows=5)
    assert packed.tolist() == [[0, 9, 9, 9, 9, 9, 9, 9, 9, 0], [0, 6, 6, 6, 6, 6, 0, 4, 4, 4]]  # the third cropped to its BOS


def test_batches_begin_with_documents_do_not_overlap_and_follow_the_seed(data: Data) -> None:
    from batches import open_tokens, row_starts, rows

    with (data.folder / "train.bin").open("rb") as file:
        tokens = open_tokens(file.fileno())
    batch = next(rows(tokens, 0, 64, 256, seed=3))
    assert batch.shape == (64, 257)
    assert batch.dtype == np.int64
    assert (batch[:, 0] == 0).all()
    assert (batch == next(rows(tokens, 0, 64, 256, seed=3))).all()
    assert (batch != next(rows(tokens, 0, 64, 256, seed=4))).any()
    starts = sorted(islice(row_starts(tokens, 0, 257, np.random.default_rng(0)), 3000))
    assert min(np.diff(starts)) >= 257


def test_batches_refuse_a_file_that_is_too_short() -> None:
    from batches import rows

    with pytest.raises(ValueError, match="no document of 5 training tokens"):
        next(rows(np.zeros(5, "<u2"), 0, 1, 256, seed=0))


def test_no_held_out_text_is_trained_on() -> None:
    from corpus import Embedded, _long_lines

    corpus = Embedded()
    splits = {split: list(corpus.documents(split)) for split in ("train", "val", "test")}
    names = [set(map(_digest, documents)) for documents in splits.values()]
    assert [len(n) for n in names] == [len(documents) for documents in splits.values()]  # no exact repetitions
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    for split, others in (("train", ("val", "test")), ("test", ("val",))):
        foreign = {line for other in others for text in splits[other] for line in _long_lines(text)}
        for document in splits[split]:
            lines = _long_lines(document)
            assert sum(line in foreign for line in lines) <= 0.3 * max(len(lines), 1)
    assert 4_000_000 < sum(map(len, splits["train"])) <= 8_000_000


def _digest(document: str) -> str:
    return hashlib.sha256(document.strip().encode()).hexdigest()


def test_copies_are_dropped() -> None:
    from corpus import without_copies

    held_out = ["def quite_a_long_function_name(argument):\n    return argument ** 2 + another_argument\n"]
    near = held_out[0].replace("\n    ", "\n        ")  # only the spaces differ
    fresh = "class SomethingElseEntirely(Base):\n    attribute = 'another long line of text'\n"
    assert without_copies([near, fresh, fresh + "\n"], held_out) == [fresh]


def test_pieces_join_to_the_source() -> None:
    from corpus import split_into_pieces

    source = (SUBJECT / "corpus.py").read_text()
    pieces = list(split_into_pieces(source))
    assert len(pieces) > 3
    assert max(map(len, pieces)) <= 1201
    assert "".join("".join(pieces).split()) == "".join(source.split())


def test_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (["--corpus", "nonsense"], ["--train-shards", "2"], ["--data-root", str(tmp_path / "file")]):
        result = prepare(tmp_path, *arguments, check=False)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert len(result.stderr.splitlines()) == 1
        assert "--corpus" in result.stderr or "--data-root" in result.stderr
