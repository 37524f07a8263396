"""What the worker knows of a kernel target: its cases, their inputs, what a right answer is, and what a source may not do.

A target's own files are data to these modules: nothing here imports a subject. See kernels/README.md for the four files.
"""
