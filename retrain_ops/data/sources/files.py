"""Days as files: one folder a day, hive folders around or within it, or a pattern of paths.

The day of a file stands in its path: `<partition>=2013-03-01`, or `year=2013/month=3/day=1`, or,
where a pattern finds files without such folders, the only date in it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property, partial
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from retrain_ops.data.sources.kind import Part, check_names
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.workspace import open_filesystem

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_DATE = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?!\d)")
_MAGIC = re.compile(r"[*?\[]")
_SPLIT = ("year", "month", "day")
_NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class DayFile:
    """A file of one day; `name` is its path below the source, `keys` what its hive folders say."""

    path: str
    name: str
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is being read: its columns, and the rows of those that are asked for.

    `schema` is None for an empty file of a format whose rows name the columns.
    """

    schema: pa.Schema | None
    table: Callable[[list[str]], pa.Table]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How the files of a kind are called and opened.

    `open` gets the stream, the path, the columns whose characters count, and the options.
    """

    name: str
    endings: tuple[str, ...]
    open: Callable[[pa.NativeFile, str, Sequence[str], Mapping[str, str]], OpenFile]


class DayFiles:
    """Which files hold which day. Names that begin with a dot or underscore are hidden."""

    def __init__(self, path: str, partition: str, endings: tuple[str, ...]) -> None:
        self.filesystem, self.root = open_filesystem(path)
        self.partition = partition
        self.endings = endings
        self.is_pattern = _MAGIC.search(self.root) is not None and not self._is_folder()

    def days(self) -> list[date]:
        """The days that have a folder or a file, oldest first."""
        return sorted({*self._folders, *self._deeper})

    def of_day(self, day: date) -> list[DayFile]:
        """The files of a day in every layout that has any, in the order of their paths."""
        folder = f"{self.root}/{self.partition}={day.isoformat()}"
        found = [] if self.is_pattern else list(self._below(folder))
        return sorted([*found, *self._deeper.get(day, [])], key=lambda file: file.path)

    @cached_property
    def _listing(self) -> list[pafs.FileInfo]:
        return [] if self.is_pattern else self._infos(self.root, deep=False)

    @property
    def _folders(self) -> list[date]:
        """The days with a folder `<root>/<partition>=YYYY-MM-DD`."""
        days = (self._day_named(info) for info in self._listing)
        return [day for day in days if day is not None]

    def _day_named(self, info: pafs.FileInfo) -> date | None:
        """None too where a day is spelt otherwise, as in day=20130301: it is looked for below."""
        day = _iso_day(hive_key(info.base_name)[1])
        return day if info.base_name == f"{self.partition}={day}" else None

    @cached_property
    def _deeper(self) -> dict[date, list[DayFile]]:
        """Files that lie in other folders than `<root>/<partition>=<day>`, by day."""
        found: dict[date, list[DayFile]] = {}
        for file in self._matching() if self.is_pattern else self._nested():
            day = self._day_of(file)
            if day is not None:
                found.setdefault(day, []).append(file)
            elif self.is_pattern:  # who names files means all of them
                raise SourceError(
                    f"{file.path} does not say its day: it must lie in {self.partition}=YYYY-MM-DD "
                    "or year=YYYY/month=MM/day=DD, or have one date in its name"
                )
        return found

    def _nested(self) -> Iterator[DayFile]:
        for info in self._listing:
            key, _ = hive_key(info.base_name)
            if key and self._day_named(info) is None and _is_folder(info):
                yield from self._below(info.path)

    def _matching(self) -> Iterator[DayFile]:
        base, pattern = self._base, _pattern(self.root)
        for info in self._infos(base, deep=True):
            name = info.path.removeprefix(f"{base}/")
            if _is_hidden(name):
                continue
            if _is_broken(info) and _is_folder(info):
                yield from self._below(info.path)  # which says so
            elif (info.is_file or _is_broken(info)) and pattern.fullmatch(info.path):
                yield DayFile(info.path, name, dict(_hive_keys(info.path)))

    @property
    def _base(self) -> str:
        """The folder above the first wildcard."""
        return self.root[: _MAGIC.search(self.root).start()].rpartition("/")[0]  # type: ignore[union-attr]

    def _below(self, folder: str) -> Iterator[DayFile]:
        """Files in a folder, and in hive folders below it."""
        for info in self._infos(folder, deep=False):
            name = info.path.removeprefix(f"{self.root}/")
            if _is_folder(info):
                if hive_key(info.base_name)[0]:
                    yield from self._below(info.path)
            elif info.path.endswith(self.endings) and not _is_hidden(name):
                if info.type == pafs.FileType.Unknown:  # opening a pipe waits for its writer
                    raise SourceError(f"{info.path} is not a file: replace it by one, or remove it")
                yield DayFile(info.path, name, dict(_hive_keys(name)))

    def _is_folder(self) -> bool:
        """A folder may have brackets in its name."""
        found: bool = self.filesystem.get_file_info(self.root).type == pafs.FileType.Directory
        return found

    def _infos(self, folder: str, *, deep: bool) -> list[pafs.FileInfo]:
        selector = pafs.FileSelector(folder, allow_not_found=True, recursive=deep)
        try:
            found = list(self.filesystem.get_file_info(selector))
        except OSError as problem:
            if problem.errno not in _NO_FOLDER:
                raise
            text = f"{folder} cannot be listed as a folder: {problem}: load it again as a folder"
            raise SourceError(text) from problem
        if not isinstance(self.filesystem, pafs.LocalFileSystem):
            return found
        folders = [info.path for info in found if deep and info.type == pafs.FileType.Directory]
        return [*found, *_broken_links([folder, *folders])]

    def _day_of(self, file: DayFile) -> date | None:
        day = _iso_day(file.keys.get(self.partition, "")) or _split_day(file.keys)
        dates = {_iso_day(text) for text in _DATE.findall(file.name)} - {None}
        if day is None and self.is_pattern and len(dates) == 1:
            (day,) = dates
        return day


def _broken_links(folders: Sequence[str]) -> Iterator[pafs.FileInfo]:
    """Links to nothing, which Arrow's listing leaves out: whoever reads one learns its name.

    Raises:
        SourceError: a folder is such a link itself.
    """
    for folder in folders:
        if os.path.islink(folder) and not os.path.exists(folder):
            raise SourceError(
                f"{folder} is a link to {os.readlink(folder)}, which is not there: "
                "load it again, or remove the link"
            )
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            broken = [e.name for e in entries if e.is_symlink() and not os.path.exists(e.path)]
            yield from (pafs.FileInfo(f"{folder}/{n}", pafs.FileType.NotFound) for n in broken)


def _is_broken(info: pafs.FileInfo) -> bool:
    return bool(info.type == pafs.FileType.NotFound)


def _is_folder(info: pafs.FileInfo) -> bool:
    """A link to nothing was one where its name is that of a hive folder."""
    broken = _is_broken(info) and hive_key(info.base_name)[0] != ""
    return bool(info.type == pafs.FileType.Directory or broken)


def _iso_day(text: str) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(text)
    return None


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The distinct values of a column that may hold dates, nothing of any other."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_date = pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return pc.unique(column).to_pylist() if is_date or is_text else []


def _own_day(value: Any) -> date | None:
    """The day that a date, midnight or text YYYY-MM-DD is; None for anything else."""
    if isinstance(value, datetime):
        return value.date() if value.time() == time() else None
    return value if isinstance(value, date) else _iso_day(str(value))


def _split_day(keys: Mapping[str, str]) -> date | None:
    with suppress(KeyError, ValueError):
        return date(*(int(keys[key]) for key in _SPLIT))
    return None


def hive_key(folder: str) -> tuple[str, str]:
    """Key and value of a folder `key=value`; two empty texts for any other."""
    key, equals, value = folder.partition("=")
    return (key, unquote(value)) if equals else ("", "")


def _hive_keys(path: str) -> Iterator[tuple[str, str]]:
    return (pair for part in path.split("/")[:-1] if (pair := hive_key(part))[0])


def _is_hidden(name: str) -> bool:
    """Spark's rule: a hive folder is never hidden, whatever its key begins with."""
    return any(part[:1] in (".", "_") and "=" not in part for part in name.split("/"))


def _pattern(path: str) -> re.Pattern[str]:
    """DuckDB's wildcards: `**` crosses folders, `*` and `?` do not, `[a-z]` is a set."""
    text = ""
    for token in re.findall(r"\*\*/?|\*|\?|\[[^\]]*\]|[^*?\[]+|\[", path):
        known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        is_set = len(token) > 2 and token[0] == "["
        text += known.get(token) or (token.replace("[!", "[^") if is_set else re.escape(token))
    return re.compile(text)


class FileSource:
    """A source of daily files of one format."""

    def __init__(self, spec: RetrainSpec, file_format: FileFormat) -> None:
        self._spec = spec
        self._format = file_format
        self._files = DayFiles(spec.source.path, spec.source.partition, file_format.endings)

    @property
    def expected(self) -> str:
        """Where the files of a day should lie."""
        files, place = self._files, self._files.root
        if not files.is_pattern:
            place += f"/{files.partition}=<day>/*{self._format.endings[0]}"
        return (
            f"expected {place}; "
            "load the days (an empty file says that nothing happened) and run again"
        )

    def days(self) -> list[date]:
        """The days that have a folder or a file."""
        return self._files.days()

    def schemas(self, day: date) -> Iterator[tuple[str, pa.Schema]]:
        """The columns of each file of a day."""
        for file in self._files.of_day(day):
            schema: pa.Schema | None = self._open(file, lambda opened: opened.schema)
            if schema is not None:
                for name in self._folder_columns(file, schema):
                    schema = schema.append(pa.field(name, pa.string()))
                yield file.path, schema

    def read(self, days: Sequence[date], columns: Sequence[str], *, pinned: bool) -> Iterator[Part]:
        """One part per file."""
        for day in days:
            for file in self._files.of_day(day):
                data = self._bytes(file) if pinned else None
                table = self._open(file, partial(self._table, file, day, columns), data)
                digest = "" if data is None else hashlib.sha256(data).hexdigest()
                yield Part(day, file.path, table, file.name, digest)

    def pin(self) -> Mapping[str, Any]:
        """Files are named and hashed one by one."""
        return {}

    def _bytes(self, file: DayFile) -> pa.Buffer:
        """What is hashed is what is read, though somebody may replace the file in between."""
        with self._reporting(file), self._files.filesystem.open_input_file(file.path) as stream:
            return stream.read_buffer()

    def _open(
        self, file: DayFile, act: Callable[[OpenFile], Any], data: pa.Buffer | None = None
    ) -> Any:
        """What `act` makes of the file, or of its bytes where they have been read already."""
        with self._reporting(file), ExitStack() as stack:
            if data is None:
                stream = stack.enter_context(self._files.filesystem.open_input_file(file.path))
            else:
                stream = pa.BufferReader(data)
            options = self._spec.source.options
            return act(self._format.open(stream, file.path, _as_written(self._spec), options))

    @contextmanager
    def _reporting(self, file: DayFile) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as problem:
            raise SourceError(
                f"{file.path} cannot be read as {self._format.name}: {problem}; write it again"
            ) from problem

    def _table(
        self, file: DayFile, day: date, columns: Sequence[str], opened: OpenFile
    ) -> pa.Table:
        if opened.schema is None:
            return opened.table(list(columns))
        self._check_own_day(file, day, opened)
        keys = self._folder_columns(file, opened.schema)
        check_names(file.path, [*opened.schema.names, *keys], columns)
        table = opened.table([name for name in columns if name not in keys])
        self._check_own_columns(file, table)
        for name in (name for name in columns if name in keys):
            value = self._key_value(name, file.keys[name], file.path)
            table = table.append_column(name, pa.repeat(value, table.num_rows))
        return table.select(list(columns))

    def _check_own_day(self, file: DayFile, day: date, opened: OpenFile) -> None:
        """A column of the partition's name need not be there; one that holds dates must agree."""
        name = self._files.partition
        if opened.schema is None or opened.schema.names.count(name) != 1:
            return
        said = {_own_day(value) for value in _values(opened.table([name])[name])}
        others = sorted(of for of in said if of not in (None, day))
        if others:
            raise SourceError(
                f"{file.path}: its column {name} says {others[0]}, its path {day}: move the rows "
                "to their day, or correct the column or leave it out"
            )

    def _check_own_columns(self, file: DayFile, table: pa.Table) -> None:
        """A column that has a hive folder too must say what the folder says."""
        keys = [k for k in file.keys if k in table.column_names and k != self._files.partition]
        for name in keys:
            text = file.keys[name]
            others = [v for v in pc.unique(table[name]).to_pylist() if not _says(v, text)]
            if others:
                raise SourceError(
                    f"{file.path}: its column {name} says {others[0]!r}, its folder {text}: move "
                    "the rows to their folder, or correct the column or leave it out"
                )

    def _folder_columns(self, file: DayFile, schema: pa.Schema) -> list[str]:
        """The hive folders that stand for columns: the file's own column goes before."""
        return [k for k in file.keys if k not in schema.names and k != self._files.partition]

    def _key_value(self, name: str, text: str, path: str) -> pa.Scalar:
        """A folder's name is text; in a column of numbers it must be one."""
        value = pa.scalar(None if text == HIVE_NULL else text, pa.string())
        is_word = name == self._spec.source.label and self._spec.model.problem == "multiclass"
        if is_word or name not in (*self._spec.features.numeric, self._spec.source.label):
            return value
        try:
            return pc.cast(value, pa.float64())
        except pa.ArrowException as problem:
            raise SourceError(f"{path}: {name}={text} is no number") from problem


def _says(value: Any, text: str) -> bool:
    """Whether a folder's text stands for the value; of types that have several texts it may."""
    if value is None or value != value:
        return text == HIVE_NULL
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        with suppress(ValueError):
            return float(text) == value
        return False
    return not isinstance(value, str | date) or isinstance(value, datetime) or str(value) == text


def _as_written(spec: RetrainSpec) -> list[str]:
    """The columns whose characters count; one that is also a number is a number."""
    source = spec.source
    texts = [source.request_id, source.event_time, *spec.features.categorical, *spec.slice_columns]
    texts += [source.label] if spec.model.problem == "multiclass" else []
    return [name for name in dict.fromkeys(texts) if name not in spec.features.numeric]
