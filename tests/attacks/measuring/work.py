"""The editable half."""


def work():
    return 2.5
