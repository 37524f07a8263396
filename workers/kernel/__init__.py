"""Kernel targets: their cases, their oracle, and what their source may not do."""
