"""The README tells the truth: its table is that of the results, and what it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_claims_is_what_the_results_say() -> None:
    done = subprocess.run([sys.executable, "benchmarks/table.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "type: python benchmarks/table.py"


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_verb_that_the_readme_types_exists() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "--help"], capture_output=True, text=True, check=True
    ).stdout
    typed = set(re.findall(r"regatta ([a-z]+)", (ROOT / "README.md").read_text())) - {"regatta", "make"}
    assert [verb for verb in sorted(typed) if f"    {verb}" not in help_text] == []
