"""What runs in the sandbox beside a kernel's own files: it drives the kernel, or knows the right answers.

Each program here is started by the runner (workers/runners/kernel.py) with one socket and ends with it. `candidate` runs code
of the candidate's, so nothing that it says is believed without a check; `verifier` runs sealed files alone.
"""
