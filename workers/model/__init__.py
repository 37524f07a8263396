"""A model of the user's: what its time goes to, and how it fares with kernels of ours in it.

`operations` is the table between the two worlds, pure. The programs (`profiling`, `replacing`, `judging`) are started by
orchestrator/model/, each in a process of its own; `replacing` and `judging` in the sandbox, where of this package only this
folder and workers/kernel are seen.
"""
