"""Stands between a worker and one candidate, and outlives neither the candidate's last process nor the worker by a second.

A program of its own (`python -I -S workers/guardian CONTROL STATUS HANDED LIMITS -- ARGV...`, standard library only,
started with the candidate's environment, so that nothing of the worker's is to be found in it). It starts ARGV in a session
of its own and then waits for the first of

* the end of ARGV's process,
* an order on the descriptor CONTROL: `t` (TERM, a short grace, KILL) or `k` (KILL at once),
* the end of CONTROL: the worker is gone, KILL at once,
* more memory, processes or disk in use than LIMITS (limits.py; `-`: no limits) allows: KILL at once,

ends everything that is left, and writes what it saw to the descriptor STATUS: `{"pid": …}` at the start, at the end one
line with `exit_code` or `signal`, `wall_s`, `max_rss_kb`, `left_behind` and `exceeded`. It knows nothing of trials.
"""

import sys

from limits import watch_for  # type: ignore[import-not-found]  # the folder is run: its files are top-level modules
from tree import guard  # type: ignore[import-not-found]

if __name__ == "__main__":
    handed = [int(number) for number in sys.argv[3].split(",") if number]
    guard(int(sys.argv[1]), int(sys.argv[2]), handed, watch_for(sys.argv[4]), sys.argv[6:])
