"""`regatta prepare`: the data, once, and what must be hidden of them, ahead of the first trial."""

from __future__ import annotations

import json
from pathlib import Path

from place import Place


def test_prepare_makes_the_data_and_finds_what_must_be_hidden(place: Place, data_root: Path) -> None:
    done = place.regatta("prepare", "nanotrain", "--data-root", str(data_root))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (Path(answer["data_dir"]) / "meta.json").exists()
    assert "copies of the held-out text" in done.stderr
    assert (data_root / "held-out.json").exists()


def test_a_folder_without_prepare_is_told_that_nothing_has_to_be_done(place: Place) -> None:
    place.summing_target(sd=0.0)
    done = place.regatta("prepare", "target")
    assert done.returncode == 2
    assert "nothing has to be prepared" in done.stderr
