"""A target of the `command` runner: the sealed benchmark."""

from work import work

print(f"METRIC loss={work()}")
