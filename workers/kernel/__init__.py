"""What the worker knows of a kernel target: its cases, their inputs, and what a right answer is.

A target's own files are data to these modules: nothing here imports a subject. See kernels/README.md for the four files.
"""
