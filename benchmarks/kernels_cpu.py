"""configs/kernels-cpu.yaml as a user runs it: how many starters become better by the stand-in, and in what time.

python benchmarks/kernels_cpu.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import write

ROOT = Path(__file__).resolve().parents[1]
REGATTA = str(Path(sys.executable).with_name("regatta"))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="regatta-kernels-") as folder:
        run = str(Path(folder) / "run")
        began = time.perf_counter()
        subprocess.run([REGATTA, "run", "configs/kernels-cpu.yaml", "--run-dir", run], cwd=ROOT, check=True)
        took_s = time.perf_counter() - began
        status = json.loads(subprocess.run([REGATTA, "status", run, "--json"], check=True, capture_output=True).stdout)
    ratios = {each["target"]: each["ratio"] for each in status["targets"]}
    found = {
        "minutes": took_s / 60,
        "starters": len(ratios),
        "improved": sum(ratio is not None and ratio < 1 for ratio in ratios.values()),
        "ratio": ratios,
        "provenance": status["objective"]["provenance"],
    }
    claim = (
        "configs/kernels-cpu.yaml improves at least two starters on a machine without a GPU in under five minutes, by a model"
    )
    write("kernels_cpu", claim, found, status)


if __name__ == "__main__":
    main()
