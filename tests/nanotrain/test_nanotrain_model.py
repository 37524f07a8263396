"""train.py from within: what the worker's end cannot see. torch runs in one process of its own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from nanotrain_worker import SUBJECT, environment

CHECKS = {
    "loaded_equals_trained": """
import prepare
trainer = train.Trainer(Shape)
trainer.begin(seed=1)
x = torch.randint(2048, (4, 256))
for _ in range(3):
    trainer.step(x, x.roll(-1, 1), 0.1)
state = prepare.deserialise(prepare.serialise(train.state_of(trainer.model)), "cpu")
with torch.no_grad():
    assert torch.equal(train.load(state)(x), trainer.model(x))
""",
    "the_seed_decides_all_weights_whatever_came_before": """
a, b = train.Trainer(Shape), train.Trainer(Shape)
a.begin(seed=0)
x = torch.randint(2048, (4, 256))
a.step(x, x, 0.0)
for trainer in (a, b):
    trainer.begin(seed=5)
    trainer.step(x, x, 0.5)
assert all(torch.equal(p, q) for p, q in zip(a.model.parameters(), b.model.parameters()))
b.begin(seed=6)
assert not torch.equal(a.model.embedding.weight, b.model.embedding.weight)
""",
    "the_first_guess_is_uniform": """
trainer = train.Trainer(Shape)
trainer.begin(seed=1)
x = torch.randint(2048, (2, 256))
assert abs(trainer.model(x, x).item() - math.log(2048)) < 1e-4
""",
    "orthogonalised_matrices_have_singular_values_near_one": """
for shape in ((3, 64, 256), (2, 256, 64), (1, 96, 96)):
    s = torch.linalg.svdvals(train.orthogonalise(torch.randn(*shape), 5))
    assert 0.3 < s.quantile(0.05) and s.max() < 1.4, s
""",
    "the_schedule_stays_within_its_bounds": """
rates = [train.schedule(i / 1000) for i in range(1200)]
assert all(0 <= rate <= 1 for rate in rates) and max(rates) == 1 and rates[-1] == train.FINAL_LR_FRACTION
""",
    "a_state_that_is_no_tensor_is_refused": """
import prepare
try:
    prepare.serialise({"weights": torch.zeros(1), "note": "text"})
except TypeError as error:
    assert "note" in str(error)
else:
    raise AssertionError
""",
    "scoring_in_chunks_changes_nothing_and_a_wrong_shape_is_named": """
import numpy as np, prepare
trainer = train.Trainer(Shape)
trainer.begin(seed=1)
torch.nn.init.normal_(trainer.model.head.weight, std=0.1)
rng = np.random.default_rng(0)
tokens, n = rng.integers(0, 2048, (9, 256)).astype(np.int32), 500
ask = tuple(rng.integers(0, below, n).astype(np.int32) for below in (9, 256, 2048))
whole = prepare.score(trainer.model, tokens, *ask, "cpu", 2048)
prepare.LOGITS_BYTES["cpu"] = 2 * 256 * 2048 * 4
parts = prepare.score(trainer.model, tokens, *ask, "cpu", 2048)
assert np.abs(whole[0] - parts[0]).max() < 1e-5
expected = torch.log_softmax(trainer.model(torch.tensor(tokens).long()), -1)[ask].detach().numpy()
assert np.abs(whole[0] - expected).max() < 1e-5
try:
    prepare.score(lambda x: trainer.model(x)[..., :-1], tokens, *ask, "cpu", 2048)
except ValueError as error:
    assert "2047" in str(error)
else:
    raise AssertionError
""",
}


@pytest.fixture(scope="module")
def results() -> dict[str, str]:
    """What went wrong in each check; they share the price of importing torch."""
    code = "import math, traceback, torch, train\nclass Shape: device, vocab_size, seq_len = 'cpu', 2048, 256\n"
    code += f"for name, check in {CHECKS!r}.items():\n"
    code += "    try: exec(check, dict(globals())); print(name, 'ok')\n"
    code += "    except Exception: print(name, repr(traceback.format_exc()))\n"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=SUBJECT, env=environment(), capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in out.stdout.splitlines())


@pytest.mark.parametrize("name", CHECKS)
def test_train_py(name: str, results: dict[str, str]) -> None:
    assert results[name] == "ok"


def test_knobs_are_literals_assigned_once_and_explained() -> None:
    """What the `knobs` proposer relies on."""
    source = (SUBJECT / "train.py").read_text()
    knobs: dict[str, float] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            assert name.isupper()
            assert name not in knobs
            knobs[name] = ast.literal_eval(node.value)
            assert re.search(r"#.*\d.*\.\..*\d", source.splitlines()[node.lineno - 1]), f"{name} tells no range"
            assert source.count(f"{name} = ") == 1 + source.count(f"CPU_{name} = ")
    assert {"DEPTH", "CPU_DEPTH", "MATRIX_LR", "CPU_MATRIX_LR", "WARMDOWN_FRACTION"} <= set(knobs)
    assert all(isinstance(value, int | float) for value in knobs.values())
    assert source.rstrip().endswith("prepare.main(train, load)")
    assert len(source.splitlines()) <= 400
