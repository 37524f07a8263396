"""The editable half: counts which token follows which."""

import numpy as np
import prepare


def train(run):
    run.ready()
    counts = np.full((prepare.VOCAB, prepare.VOCAB), 4.0)
    np.add.at(counts, (run.tokens[:-1], run.tokens[1:]), 1)
    run.submit({"counts": counts}, num_steps=1)


def load(state):
    table = np.log(state["counts"] / state["counts"].sum(axis=1, keepdims=True))

    def logits(tokens):
        return table[tokens]

    return logits


if __name__ == "__main__":
    prepare.main(train, load)
