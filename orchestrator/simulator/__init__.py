"""A night before it is paid for: the real tournament on virtual time, with arithmetic in place of git and GPUs."""
