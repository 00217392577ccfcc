"""Freed memory is kept where the C library can do that."""

import ctypes
import subprocess
import sys

from flickrhub_common.allocation import keep_freed_memory

_FAULTS = """
import resource, sys
from flickrhub_common.allocation import keep_freed_memory
keep_freed_memory() if sys.argv[1] == "kept" else None

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def stream(piece=bytes(64 * 1024)):
    for _ in range(800):
        received = bytearray(piece)
        received += bytes(received)
        handed_on = bytes(received)

stream()
before = faults()
stream()
print(faults() - before)
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_buffers_are_not_fetched_from_the_system_again_and_again() -> None:
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        assert keep_freed_memory() is False
        return
    assert page_faults("kept") < 50 < page_faults("returned")
