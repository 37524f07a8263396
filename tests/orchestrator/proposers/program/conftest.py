"""Where these tests find the repositories that they begin with."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in (Path(__file__).parents[2], Path(__file__).parents[3] / "workers"):  # campaign_repository, workers_support
    sys.path.append(str(folder))
