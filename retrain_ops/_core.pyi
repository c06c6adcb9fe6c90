"""The C core: rows in, exact numbers out; and the wire."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypedDict, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# -- errors ----------------------------------------------------------------

class CorruptError(ValueError):
    """Bytes from outside break their format."""

class CancelledError(RuntimeError):
    """A long call was asked to stop."""

    status: int
    error_code: str | None
    ambiguous: bool

class NetworkError(ConnectionError):
    """No usable answer came over the wire."""

    status: int
    error_code: str | None
    ambiguous: bool

class RemoteError(RuntimeError):
    """The server answered with an error of its own.

    `status` is the HTTP status, `error_code` MLflow's word for it (None when the
    answer named none), `ambiguous` says that what was to be created may exist.
    """

    status: int
    error_code: str | None
    ambiguous: bool

# -- base ------------------------------------------------------------------

def default_threads() -> int: ...
def isa(level: str | None = None, /) -> str: ...

# -- net -------------------------------------------------------------------

class MlflowConnection:
    """One MLflow server; see retrain_ops.MlflowClient for the typed face."""

    def __init__(
        self,
        base_url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        ca_path: str | None = None,
        allow_plaintext: bool = False,
        connect_timeout: float = 10.0,
    ) -> None: ...
    def call(
        self, endpoint: str, arguments: dict[str, Any], *, deadline: float
    ) -> dict[str, Any]: ...
    def upload(self, path: str, data: bytes, *, deadline: float) -> str: ...
    def upload_file(
        self, path: str, file: str | bytes | PathLike[str], *, deadline: float
    ) -> str: ...
    def download_file(
        self, path: str, file: str | bytes | PathLike[str], *, deadline: float
    ) -> str: ...
    def download(self, path: str, *, deadline: float) -> bytes: ...
    def get(self, path: str, *, deadline: float) -> bytes: ...

# -- serving ---------------------------------------------------------------

def scoring_request(
    data: bytes, path: bytes, names: tuple[bytes, bytes, bytes], /
) -> tuple[bytes, bytes, bytes, bytes] | None: ...
def siphash(key: bytes, data: bytes, /) -> int: ...
def siphashes(key: bytes, data: bytes, bounds: ArrayLike, /) -> NDArray[np.uint64]: ...

class Arms:
    def __init__(
        self,
        champion: Model,
        previous: Model | None,
        shadow: Model | None,
        unit: bytes,
        key: bytes,
        limit: int,
        versions: tuple[int, int, int],
    ) -> None: ...
    def answer(
        self,
        body: bytes,
        csv: bool,
        most_rows: int,
        unit: bytes = b"",
        id: bytes = b"",
        log: RequestLog | None = None,
        /,
    ) -> tuple[bytes, int, int]: ...

class RequestLog:
    def __init__(
        self,
        folder: str,
        counts: NDArray[np.int64],
        bounds_ns: tuple[int, ...],
        *,
        segment_bytes: int,
        segment_ns: int,
        reserve_bytes: int,
        unsynced_bytes: int,
        queue_bytes: int,
    ) -> None: ...
    def close(self) -> None: ...

def read_log(
    segment: bytes | memoryview, columns: list[tuple[bytes, bool]], /
) -> tuple[
    tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    tuple[NDArray[np.int64], NDArray[np.float64]],
    list[tuple[bytes, NDArray[np.int64]]],
    int,
    int,
]: ...

# -- counts: drift, joint cells, ranks, shadow; counter RNG ------------------

class ShadowCounts(TypedDict):
    rows: int
    compared: int
    champion_positive: int
    challenger_positive: int
    flips_up: int
    flips_down: int
    champion_bad: int
    challenger_bad: int
    challenger_low: int
    challenger_high: int
    challenger_distinct: int
    score_counts: NDArray[np.int64]

def quantile_edges(x: ArrayLike, n_bins: int) -> NDArray[np.float64]: ...
def drift_counts(
    x: ArrayLike, day: ArrayLike, edges: ArrayLike, n_days: int, *, n_threads: int = 0
) -> NDArray[np.int64]: ...
def category_counts(
    code: ArrayLike, day: ArrayLike, n_levels: int, n_days: int, *, n_threads: int = 0
) -> NDArray[np.int64]: ...
def joint_cells(
    day: ArrayLike,
    level: ArrayLike,
    y: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    n_days: int,
    n_levels: int,
    *,
    n_threads: int = 0,
) -> NDArray[np.int64]: ...
def joint_cube(
    day: ArrayLike,
    levels: Sequence[ArrayLike],
    y: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    n_days: int,
    n_levels: Sequence[int],
    *,
    n_threads: int = 0,
) -> NDArray[np.int64]: ...
def paired_sums(
    kind: str,
    day: ArrayLike,
    level: ArrayLike,
    y: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    n_days: int,
    n_levels: int,
    *,
    n_threads: int = 0,
) -> NDArray[np.int64]: ...
def amount_sums(
    kind: str,
    day: ArrayLike,
    level: ArrayLike,
    y: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    at: ArrayLike,
    n_days: int,
    n_levels: int,
    *,
    n_threads: int = 0,
) -> NDArray[np.int64]: ...
def class_counts(
    day: ArrayLike,
    level: ArrayLike,
    y: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    n_days: int,
    n_levels: int,
    n_classes: int,
    *,
    n_threads: int = 0,
) -> NDArray[np.int64]: ...
def score_sums(y: ArrayLike, score: ArrayLike, *, n_threads: int = 0) -> NDArray[np.int64]: ...
def line_sums(
    y: ArrayLike, score: ArrayLike, intercept: float, slope: float, *, n_threads: int = 0
) -> NDArray[np.int64]: ...
def rank_runs(y: ArrayLike, score: ArrayLike, *, n_threads: int = 0) -> NDArray[np.int64]: ...
def accumulator_pack(kind: int, basis: ArrayLike, counts: ArrayLike, /) -> bytes: ...
def accumulator_unpack(data: bytes, /) -> tuple[int, NDArray[np.float64], NDArray[np.int64]]: ...
def accumulator_merge(a: bytes, b: bytes, /) -> bytes: ...
def roc_auc(y: ArrayLike, score: ArrayLike, *, n_threads: int = 0) -> tuple[int, int, int]: ...
def average_precision(
    y: ArrayLike, score: ArrayLike, *, n_threads: int = 0
) -> tuple[float, int, int]: ...
def sample_distance(
    a: ArrayLike, b: ArrayLike, *, n_threads: int = 0
) -> tuple[int, int, float]: ...
def delong_sums(
    y: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, n_threads: int = 0
) -> tuple[int, int, tuple[int, int, int, int, int], tuple[int, int, int, int, int]]: ...
def shadow_counts(
    champion_score: ArrayLike,
    challenger_score: ArrayLike,
    champion_threshold: float,
    challenger_threshold: float,
    *,
    n_threads: int = 0,
) -> ShadowCounts: ...
def philox(seed: int, stream: int, n: int) -> NDArray[np.uint32]: ...

# -- gbdt ------------------------------------------------------------------
@final
class Model:
    @classmethod
    def from_bytes(cls, buffer: bytes | bytearray | memoryview, /) -> Model: ...
    def to_bytes(self) -> bytes: ...
    def predict(self, x: ArrayLike, *, n_threads: int = 0) -> NDArray[np.float64]: ...
    def with_threshold(self, threshold: float, /) -> Model: ...
    @property
    def sha256(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def kind(self) -> str: ...
    @property
    def objective(self) -> str: ...
    @property
    def slopes(self) -> NDArray[np.float64]: ...
    @property
    def fills(self) -> list[float]: ...
    @property
    def base_scores(self) -> list[float]: ...
    @property
    def precision(self) -> tuple[float, NDArray[np.float64]] | None: ...
    @property
    def rows_learnt(self) -> int: ...
    @property
    def n_trees(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def features(self) -> list[tuple[str, str, list[str]]]: ...
    @property
    def params(self) -> dict[str, int | float]: ...
    @property
    def seed(self) -> int: ...

def gbdt_train(
    x: ArrayLike,
    y: ArrayLike,
    *,
    features: Sequence[tuple[str, str, Sequence[str]]],
    params: dict[str, Any],
    seed: int,
    n_threads: int = 0,
    weight: ArrayLike | None = None,
    progress: Callable[[int, int, int, float | None], object] | None = None,
    objective: str = "binary",
    monotone: ArrayLike | None = None,
    evaluation: tuple[ArrayLike, ...] | None = None,
    init: Model | None = None,
) -> Model: ...
def gbdt_refit(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    *,
    gamma: float = 1.0,
    weight: ArrayLike | None = None,
    n_threads: int = 0,
) -> Model: ...
def gbdt_drop_rounds(model: Model, rounds: int, /) -> Model: ...
def linear_fit(
    x: ArrayLike,
    y: ArrayLike,
    features: Sequence[tuple[str, str, Sequence[str]]],
    params: dict[str, Any],
    objective: str,
    *,
    weight: ArrayLike | None = None,
    n_threads: int = 0,
    classes: int = 0,
    prior: tuple[Any, ...] | None = None,
    remember: str = "nothing",
) -> tuple[Model, int, bool, float, float]: ...
def linear_blank(
    features: Sequence[tuple[str, str, Sequence[str]]],
    params: dict[str, Any],
    objective: str,
    classes: int = 0,
    /,
) -> Model: ...
def linear_learn(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    rate: float = 0.5,
) -> Model: ...
def linear_params(params: dict[str, Any], /) -> dict[str, int | float]: ...
def gbdt_params(params: dict[str, Any], /) -> dict[str, int | float]: ...
def f1_threshold(score: ArrayLike, y: ArrayLike, /) -> tuple[float, float]: ...
