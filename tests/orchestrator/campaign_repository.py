"""Campaign repositories to look at, made from a user's repository. Used by tests only."""

from __future__ import annotations

from pathlib import Path

from subject import git, init

from orchestrator.repository import CampaignRepository
from orchestrator.target import resolve_target

AT = 1_700_000_000.5


def made(tmp_path: Path, given: str = "user", name: str = "repo") -> tuple[CampaignRepository, str]:
    return CampaignRepository.create(tmp_path / name, resolve_target(given, tmp_path))


def with_files(tmp_path: Path, files: dict[str, str | bytes]) -> tuple[CampaignRepository, str]:
    init(tmp_path / "user", files)
    return made(tmp_path)


def blob(repository: CampaignRepository, at: str, path: str) -> bytes:
    return git(repository.path, "show", f"{at}:{path}").encode("utf-8", "surrogateescape")


PATCH = """\
diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
@@ -1,2 +1,2 @@
-LR = 0.1
+LR = 0.2
 print(LR)
diff --git a/program.md b/notes.md
similarity index 100%
rename from program.md
rename to notes.md
diff --git a/prepare.py b/prepare.py
deleted file mode 100644
--- a/prepare.py
+++ /dev/null
@@ -1 +0,0 @@
-sealed = True
diff --git a/new/x.py b/new/x.py
new file mode 100644
--- /dev/null
+++ b/new/x.py
@@ -0,0 +1 @@
+x = 1
"""
