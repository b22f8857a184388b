"""The one error handler of every command line program here: what the user can mend becomes one line.

A mistake: ``error: ...``, exit code 2, no traceback (unless the user set HYDRA_FULL_ERROR=1). Ctrl-C: exit code 130
(another signal: 128 + its number). Whoever reads what is printed has left (``| head``): 141, without a word.
Anything else is a fault of the program and keeps its traceback, exit code 1.
"""

from __future__ import annotations

# Nothing slow at the top: until `one_line_errors` is entered, Ctrl-C is answered with a traceback.
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from assemble.complaints import explanation, wants_traceback
from assemble.interrupts import INTERRUPTS
from assemble.printable import printable
from assemble.ranks import first_rank_ends, secondary_rank

CLOSED = 141
"""Exit code after SIGPIPE, as shells have it."""


@contextmanager
def one_line_errors(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn exceptions into a line on stderr and an exit code. Exits pass through, so it may be nested.

    Of a distributed job the first rank speaks, unless only another one has failed.

    Args:
        interrupted: the line after Ctrl-C, which says so where the same command goes on.
    """
    try:
        yield
        sys.stdout.flush()  # at Python's own end a closed pipe would be told of
    except (KeyboardInterrupt, Exception) as exception:
        if _began_with_an_interrupt(exception):
            if not (secondary_rank() or INTERRUPTS.told):  # a second signal finds a program that is leaving
                INTERRUPTS.told = INTERRUPTS.received is not None
                print(interrupted, file=sys.stderr)
            raise SystemExit(128 + (INTERRUPTS.received or signal.SIGINT)) from None
        if isinstance(exception, BrokenPipeError) and _reader_left():
            raise SystemExit(CLOSED) from None
        message = explanation(exception)
        if secondary_rank() and first_rank_ends():
            raise SystemExit(1 if message is None else 2) from None
        if message is None or wants_traceback():
            import traceback

            traceback.print_exc()
        if message is None:
            raise SystemExit(1) from None
        print(f"error: {printable(message)}", file=sys.stderr)
        raise SystemExit(2) from None


def _began_with_an_interrupt(exception: BaseException | None) -> bool:
    """Return True where it was raised while Ctrl-C was on its way.

    OmegaConf, interrupted in a copy, fails and hides why.
    """
    while exception is not None and not isinstance(exception, KeyboardInterrupt):
        exception = exception.__context__
    return exception is not None


def _reader_left() -> bool:
    """Return True where nobody reads what is printed any more; what is left of it then goes nowhere."""
    import select

    try:
        stdout = select.poll()
        stdout.register(sys.stdout, 0)  # errors are told of unasked
        left = bool(stdout.poll(0))
    except (OSError, ValueError, AttributeError):  # of a notebook, no file; Windows polls none
        return False
    if left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
    return left
