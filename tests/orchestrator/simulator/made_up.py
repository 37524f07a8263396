"""Small nights for the simulator's tests."""

from __future__ import annotations

from orchestrator import events as ev
from orchestrator.config import Config, parse_config
from orchestrator.simulator.forecast import night
from orchestrator.simulator.landscape import Landscape
from orchestrator.simulator.night import Night

NULL = [{"share": 1.0, "kind": "constant", "scale": 0.0, "sign": "worse"}]


CONFIG_TEXT = """
name: small
target: {repo: nowhere, editable: [x.py], command: "true"}
objective: {metric: m, direction: minimize}
proposers: [{kind: knobs}]
limits: {trials: 150}
"""


def config(limits: str = "{trials: 150}", direction: str = "minimize") -> Config:
    text = CONFIG_TEXT.replace("{trials: 150}", limits).replace("minimize", direction)
    return parse_config(text, "small.yaml")


def landscape(gpus: int | dict[str, object] = 4, **sections: object) -> Landscape:
    told = {"count": gpus} if isinstance(gpus, int) else gpus
    return Landscape.model_validate({"gpus": told, **sections})


def played(
    wanted: Landscape | None = None, told: Config | None = None, *, policy: str = "auto", repeat: int = 0
) -> tuple[Night, list[str]]:
    """A night, and its events with their times."""
    events: list[str] = []

    def record(event: ev.Event, at: float) -> None:
        events.append(f"{at!r} {event!r}")

    whole = night(told or config(), wanted or landscape(), policy=policy, seed=0, repeat=repeat, record=record)
    return whole, events
