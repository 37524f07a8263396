"""What a person can do about `profile` and `verify`."""

from __future__ import annotations


class ModelUseError(Exception):
    """The model, the run or the folder cannot be used: what was given, what is allowed, what to type. Nothing was written."""
