"""A processor state that a foreign library may leave behind."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def set_flush_to_zero() -> Callable[[], None]:
    """What a library built with -Ofast does to the thread that loads it."""
    libm = ctypes.CDLL("libm.so.6")
    saved = ctypes.create_string_buffer(32)
    libm.fegetenv(saved)
    changed = ctypes.create_string_buffer(saved.raw, 32)
    mxcsr = int.from_bytes(saved.raw[28:32], "little") | 0x8040  # FTZ and DAZ
    changed[28:32] = mxcsr.to_bytes(4, "little")
    libm.fesetenv(changed)
    return lambda: libm.fesetenv(saved)
