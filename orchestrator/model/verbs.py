"""What `profile` and `verify` do: print, and return the exit code. Each imports what it needs when it is used."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def profile(given: argparse.Namespace) -> int:
    from orchestrator.model import profile as profiling
    from orchestrator.views.model import profile_text

    here = Path.cwd()
    place = profiling.place_of(given.name, profiling.model_file(given.model, here), here)
    found = profiling.profile(
        given.model, here, name=given.name, device=given.device, steps=given.steps, backward=given.backward
    )
    if given.json:
        print(json.dumps({**found.as_json(), "folder": place.given}, indent=1))
    else:
        print(profile_text(found, given.model, place.given))
    return 0


def verify(given: argparse.Namespace) -> int:
    from orchestrator.model.verify import verify as verified
    from orchestrator.views.model import verification_text
    from orchestrator.views.plain import escaped, plain

    found = verified(given.run, given.model, Path.cwd(), device=given.device)
    if given.json:
        print(escaped(json.dumps(found.as_json(), indent=1)))
    else:
        print(plain(verification_text(found, given.model, str(given.run))))
    return 0 if found.succeeded else 1
