"""What every library is given, and what it gives back."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.errors import ConfigError, import_problem
from retrain_ops.models.tabular import Feature, Matrix

T = TypeVar("T")

SEED = "is [model] seed"
PLACE = "cannot be set: where it runs and what it writes is not the model's"

Scorer = Callable[[Matrix, int], NDArray[np.float64]]
"""P(label = 1) or the amount of each row of a matrix [n, F], float64 [n], on so many threads."""


@dataclass(frozen=True, slots=True)
class Rows:
    """`x` is a matrix [n, F] as `encode` makes it, `y` uint8 [n] in {0, 1}, or float64 [n] where
    the library is to predict `amounts`."""

    x: Matrix
    y: NDArray[Any]
    features: tuple[Feature, ...]
    amounts: bool = False


class Library(Protocol):
    """One way to train; `package` is what is imported, and only when it is needed."""

    package: str

    def refused(self, params: Mapping[str, object]) -> tuple[str, str] | None:
        """The first parameter that it does not take and why, or None."""

    def train(
        self, rows: Rows, params: Mapping[str, object], *, seed: int, n_threads: int
    ) -> bytes:
        """The model in the library's own format; equal arguments give equal bytes."""


def threads_of(n_threads: int) -> int:
    """Those asked for, or all that the process may use."""
    return n_threads or _core.default_threads()


def load_package(package: str, needs: str) -> Any:
    """The module of an optional package.

    Raises:
        ConfigError: it is not there, or cannot be imported; `needs` is what pip would install.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(import_problem(error, package, needs)) from error


def refused_name(
    params: Mapping[str, object], known: Sequence[str], fixed: Mapping[str, str]
) -> tuple[str, str] | None:
    """The first name that is fixed here or that the library does not know, and why."""
    for name in params:
        if name in fixed:
            return name, fixed[name]
        if name not in known:
            free = sorted(set(known) - set(fixed))
            return name, f"unknown parameter; known parameters: {', '.join(free)}"
    return None


def apart(call: Callable[[Event], T]) -> T:
    """Calls it on a thread of its own, which is joined.

    OpenMP's workers end with the thread that called them, so this process can still fork. A
    signal that interrupts the wait sets the event, and the call is expected to come to an end.
    """
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(call, stop)
        try:
            return task.result()
        except BaseException:
            stop.set()
            raise
