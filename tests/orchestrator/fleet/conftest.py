"""Tests of fleets take the head's tests' targets."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))  # subject.py
