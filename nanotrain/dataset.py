"""From documents to the folder that trials read: BPE, packing, flat binary files, meta.json (docs/train-protocol.md).

`build` makes the folder elsewhere and moves it into place by one rename: a folder that exists is complete, and two
processes that prepare at once cannot harm each other. No torch here. Sealed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from corpus import Corpus, PrepareError, Split

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 1
BOS_ID = 0
SPECIAL = ("<|bos|>", "<|reserved_1|>", "<|reserved_2|>", "<|reserved_3|>")
BPE_TRAINING_CHARS = 500_000_000
ENCODE_BATCH = 512  # documents that the tokeniser gets at once
PACK_BUFFER = 1000  # documents that compete for a row's free space
FEWEST_ROWS = 16  # of val or test; below that a score means nothing

# Words with their leading space, numbers of at most two digits, runs of signs, runs of white space whose last blank goes
# with the word that follows. The idea is GPT-2's and GPT-4's: no token crosses the border of a word.
SPLIT_PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"


def build(corpus: Corpus, root: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of this corpus under `root`, and its meta.json; made if missing. Raises PrepareError."""
    folder = root / corpus.key()
    if folder.is_dir():
        return folder, read_meta(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{corpus.key()}-", dir=root))
    except OSError as error:
        raise PrepareError(f"cannot write data to {root} ({error.strerror}): choose a place with --data-root DIR") from None
    try:
        try:
            _fill(corpus, work)
            work.chmod(0o755)  # mkdtemp's 0700 would keep out a sandbox that runs as another user
        except OSError as error:
            raise PrepareError(
                f"cannot prepare {corpus.name} in {root} ({error}): choose a place with --data-root DIR"
            ) from None
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():  # else somebody else was faster, with the same content
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder, read_meta(folder)


def read_meta(folder: Path) -> dict[str, Any]:
    """meta.json of a prepared folder. Raises PrepareError when it is not one of this format."""
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
    except (OSError, ValueError):
        meta = {}
    if meta.get("format") != FORMAT:
        raise PrepareError(f"{folder} is no data folder of format {FORMAT}: remove it and prepare again")
    return meta


def say(text: str) -> None:
    """Progress, for people; standard output is for the answer."""
    print(text, file=sys.stderr, flush=True)


def _fill(corpus: Corpus, folder: Path) -> None:
    say(f"{corpus.name}: training a BPE of {corpus.vocab_size} entries")
    tokenizer = train_bpe(corpus.documents("train"), corpus.vocab_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    token_bytes(tokenizer).tofile(folder / "token_bytes.bin")
    rows = {}
    wanted: tuple[tuple[Split, int], ...] = (("val", corpus.val_tokens), ("test", corpus.test_tokens))
    for split, tokens in wanted:
        say(f"{corpus.name}: packing {split}")
        packed = pack(encode(tokenizer, corpus.documents(split)), corpus.seq_len + 1, tokens // corpus.seq_len)
        if len(packed) < FEWEST_ROWS:
            raise PrepareError(f"corpus {corpus.name} fills only {len(packed)} rows of {split}; {FEWEST_ROWS} are needed")
        packed.tofile(folder / f"{split}.bin")
        rows[split] = len(packed)
    say(f"{corpus.name}: writing train.bin")
    train_tokens = 0
    with (folder / "train.bin").open("wb") as file:
        for tokens_of_one in encode(tokenizer, corpus.documents("train")):
            file.write(tokens_of_one.tobytes())
            train_tokens += len(tokens_of_one)
    meta = {
        "format": FORMAT, "corpus": corpus.name, "sha256": digest(folder), "vocab_size": tokenizer.get_vocab_size(),
        "bos_id": BOS_ID, "seq_len": corpus.seq_len, "train_tokens": train_tokens, "val_rows": rows["val"],
        "test_rows": rows["test"], **corpus.about(),
    }  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def digest(folder: Path) -> str:
    """sha256 over the names, sizes and bytes of every file but meta.json."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != "meta.json":
            total.update(f"{path.name} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                _update(total, file)
    return total.hexdigest()


def _update(total: Any, file: IO[bytes]) -> None:
    while block := file.read(1 << 20):
        total.update(block)


def train_bpe(documents: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE: every byte is a token, so every text has an encoding. The same documents give the same result."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.encode_special_tokens = True  # "<|bos|>" in a text is text
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(_at_most(documents, BPE_TRAINING_CHARS), trainer)
    return tokenizer


def _at_most(documents: Iterable[str], chars: int) -> Iterator[str]:
    for document in documents:
        yield document
        chars -= len(document)
        if chars <= 0:
            return


def token_bytes(tokenizer: Tokenizer) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """uint16 [vocab_size]: how many bytes of UTF-8 each token stands for; 0 for special ones.

    A byte-level vocabulary spells a byte as one printable character, so a token's length *is* its number of bytes, also
    for the tokens that are no UTF-8 by themselves (decoding those gives U+FFFD, three bytes, and a wrong score)."""
    lengths = np.zeros(tokenizer.get_vocab_size(), dtype="<u2")
    for token, index in tokenizer.get_vocab().items():
        lengths[index] = 0 if token in SPECIAL else len(token)
    return lengths


def encode(tokenizer: Tokenizer, documents: Iterable[str]) -> Iterator[np.ndarray[Any, np.dtype[np.uint16]]]:
    """Each document as uint16 [tokens], BOS first."""
    source = iter(documents)
    while batch := list(islice(source, ENCODE_BATCH)):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            yield np.asarray([BOS_ID, *encoding.ids], dtype="<u2")


def pack(documents: Iterable[np.ndarray[Any, Any]], row_tokens: int, rows: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """uint16 [at most `rows`, row_tokens] without padding: each row begins with a document, then takes the longest waiting
    one that fits, and crops the shortest one when none does. What is cropped off is dropped. Ends early with the documents."""
    source = iter(documents)
    waiting: list[np.ndarray[Any, Any]] = list(islice(source, PACK_BUFFER))
    waiting.sort(key=len)
    packed = np.empty((rows, row_tokens), dtype="<u2")
    for index in range(rows):
        filled = 0
        while filled < row_tokens:
            if not waiting:
                return packed[:index].copy()
            free = row_tokens - filled
            fitting = bisect_right(waiting, free, key=len)
            document = waiting.pop(fitting - 1 if fitting else 0)[:free]
            packed[index, filled : filled + len(document)] = document
            filled += len(document)
            for newcomer in islice(source, 1):
                insort(waiting, newcomer, key=len)
    return packed
