"""One tree of errors. A gate that refuses is a result, never an exception."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from retrain_ops._core import CancelledError, CorruptError, NetworkError, RemoteError

__all__ = [
    "BusyError",
    "CancelledError",
    "ConfigError",
    "ConflictError",
    "CorruptError",
    "DamagedError",
    "DataError",
    "NetworkError",
    "NotYet",
    "OutOfOrderError",
    "RemoteError",
    "RetrainError",
    "SourceError",
    "UnreachableError",
    "ValidationError",
    "is_expected",
    "text_of",
]


class RetrainError(Exception):
    """Whatever this package raises on purpose; the text says how to fix it."""


class ConfigError(RetrainError, ValueError):
    """The spec or an argument cannot be worked with."""


class DataError(RetrainError):
    """Rows are missing, doubled or not of the form the spec promises."""


class SourceError(DataError):
    """A file of the source is not what the spec promises, or is not there."""


class UnreachableError(RetrainError):
    """The database, catalog or store that holds the rows did not answer; it may do so later."""


class DamagedError(DataError):
    """A file of the workspace is not what was written there."""


class ValidationError(DataError):
    """The window failed its expectations; nothing was trained from it."""


class ConflictError(RetrainError):
    """Somebody else holds or has changed what this step wanted to change."""


class BusyError(ConflictError):
    """Another run of the model is at work and held its lock for longer than one waits."""


class OutOfOrderError(RetrainError):
    """The day before failed, and the caller wants days in their order; nothing was done."""


class NotYet(RetrainError):
    """The step has to wait for time to pass; run it again at `until`."""

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until

    def __reduce__(self) -> tuple[object, ...]:
        """Keyword-only arguments do not survive pickling by themselves."""
        return (_not_yet, (str(self), self.until))


def is_expected(problem: BaseException) -> bool:
    """Whether it was raised on purpose, by this package or by the world that it met.

    Anything else is a mistake in code, ours or a trainer's, and is shown with its traceback.
    """
    ours = RetrainError | RemoteError | CancelledError | CorruptError
    world = OSError | MemoryError
    return isinstance(problem, ours | world) or not isinstance(problem, Exception | SystemExit)


def text_of(problem: BaseException) -> str:
    """What an error says; one that nobody foresaw begins with its type: `'colour'` says little."""
    if isinstance(problem, MemoryError) and not str(problem):
        return "out of memory: give the process more, then run the same command again"
    text = str(problem)
    if is_expected(problem) and text:
        return text
    return f"{type(problem).__name__}: {text}".rstrip(": ")


@contextmanager
def interruptions_shown() -> Iterator[None]:
    """Within it an error that a library made of an interruption is raised as that interruption.

    A signal may come while an extension module is imported; some answer with an ImportError. What
    schedulers raise for one is no KeyboardInterrupt, and no `Exception` either.
    """
    try:
        yield
    except Exception as problem:
        met: BaseException | None = problem
        while isinstance(met, Exception | SystemExit | GeneratorExit):
            met = met.__cause__ or met.__context__
        if met is None:
            raise
        raise met from None


def import_problem(error: ImportError, product: str, packages: str) -> str:
    """Why an optional package is not there: absent, or there and broken (too little memory)."""
    if isinstance(error, ModuleNotFoundError):
        return f"{product} is not installed: pip install {packages}"
    return (
        f"{product} is installed and cannot be imported ({error}): give the process more memory, "
        f"or install it anew: pip install --force-reinstall {packages}"
    )


@contextmanager
def importing(what: str) -> Iterator[None]:
    """Within it code of somebody else's is imported.

    Raises:
        ConfigError: it cannot be; the text begins with `what` and ends with the code's own error
            and its place.
    """
    try:
        yield
    except (CancelledError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        plain = isinstance(error, ModuleNotFoundError | AttributeError)
        said = str(error) if plain else f"{type(error).__name__}: {error}".rstrip(": ")
        *_, place = traceback.extract_tb(error.__traceback__)
        where = f" ({place.filename}, line {place.lineno})"
        where = "" if plain or isinstance(error, SyntaxError) else where
        raise ConfigError(f"{what} cannot be loaded: {said}{where}") from error


def _not_yet(message: str, until: datetime) -> NotYet:
    return NotYet(message, until=until)
