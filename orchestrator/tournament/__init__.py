"""The tournament: a pure state machine. Ledger and time in, the next decision out; no I/O, no clock, no randomness."""
