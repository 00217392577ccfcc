"""How the C library deals with freed memory, told once at start."""

import ctypes

KEPT_BYTES = 16 * 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed_memory() -> bool:
    """Have malloc keep up to 16 MiB of what was freed; whether the C library can be told so (glibc can).

    By default glibc returns large freed buffers to the system and asks for them again, page by page: for a photo
    streamed in pieces of 256 KiB that was a quarter of the CPU time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    told = [mallopt(option, KEPT_BYTES) for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD)]
    return all(told)
