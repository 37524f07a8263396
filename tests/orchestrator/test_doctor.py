"""`doctor` tells what is there, what is lacking, and the command that mends it."""

from __future__ import annotations

from orchestrator.doctor import Level, examine


def test_every_finding_names_what_it_looked_at_and_nothing_here_fails() -> None:
    findings = list(examine())
    assert len({finding.what for finding in findings}) == len(findings)
    assert not [finding for finding in findings if finding.level is Level.FAILS]
    assert {"python", "git", "ray", "torch", "gpu", "sandbox", "nanotrain data"} <= {finding.what for finding in findings}
