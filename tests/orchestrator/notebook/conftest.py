"""What the notebook's tests share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tournament"))  # virtual.py: the tournament itself, on virtual time
