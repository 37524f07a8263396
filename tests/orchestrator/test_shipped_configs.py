"""Every campaign that ships with Regatta is one that its version understands, with a target that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import load_config
from orchestrator.fleet.config import load_fleet, names_several_targets
from orchestrator.simulator.landscape import load_landscape
from orchestrator.target import resolve_target, shipped_subjects

CONFIGS = Path(__file__).parents[2] / "configs"
CAMPAIGNS = [path for path in sorted(CONFIGS.glob("*.yaml")) if path.name != "landscape.yaml"]


@pytest.mark.parametrize("path", CAMPAIGNS, ids=[path.name for path in CAMPAIGNS])
def test_a_shipped_campaign_is_understood_and_its_targets_are_there(path: Path, tmp_path: Path) -> None:
    if names_several_targets(str(path)):
        targets = [member.config.target.repo for member in load_fleet(str(path), ()).members]
    else:
        targets = [load_config(path).target.repo]
    for target in targets:
        assert target in shipped_subjects()
        resolve_target(target, tmp_path, must_be_clean=False)


def test_the_shipped_landscape_is_understood() -> None:
    assert load_landscape(CONFIGS / "landscape.yaml").effects
