"""A kind of source that another package brings, by entry point."""

import sys
import textwrap

import pytest

from devtools.source_kinds import with_source
from devtools.synthetic import FIRST, SPEC, toy_run, write_days
from retrain_ops.data.pins import Pins
from retrain_ops.errors import ConfigError
from tests.unit.data.test_files import read
from tests.unit.data.test_source import BEFORE

MODULE = """
    import pyarrow.parquet as pq

    from retrain_ops.sources import Part

    def open_source(spec, version):
        return Doubled(spec.source.options["folder"], version)

    class Doubled:
        expected = "add the day to the archive"

        def __init__(self, folder, version):
            self.folder, self.version = folder, version or "7"

        def days(self):
            return []

        def schemas(self, day):
            yield "the archive", self._table(day).schema

        def read(self, days, columns, *, pinned):
            for day in days:
                yield Part(day, f"the archive of {day}", self._table(day).select(columns))

        def pin(self):
            return {"version": self.version, "archive": "east"}

        def _table(self, day):
            return pq.ParquetFile(f"{self.folder}/day={day}/part-0.parquet").read()
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package as pip leaves it."""
    site = tmp_path / "site"
    facts = site / "archive_source-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: archive-source\nVersion: 1.0\n")
    entry = "[retrain_ops.sources]\narchive = archive_source:open_source\n"
    (facts / "entry_points.txt").write_text(entry)
    (site / "archive_source.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("archive_source", None)


def test_a_kind_by_entry_point_is_read_like_any_other(tmp_path, package):
    write_days(tmp_path / "rows", 2)
    options = f'{{ folder = "{tmp_path}/rows" }}'
    keys = {"kind": '"archive"', "path": '""', "options": options}
    source = toy_run(tmp_path, None, FIRST, spec=with_source(SPEC, keys)).source
    source.check_columns([FIRST])
    assert source.newest_version() == "7"
    pins = Pins()
    days = [FIRST, FIRST.replace(day=2)]
    columns = ["a", "b", "c", "late"]
    assert source.read(days, columns=columns, before=BEFORE, pins=pins).equals(read(tmp_path))
    assert pins.to_json()["archive"] == "east"


def test_an_unknown_kind_lists_those_that_are_known(tmp_path, package):
    spec = with_source(SPEC, {"kind": '"archiv"'})
    with pytest.raises(ConfigError, match=r"'archiv' is no kind .* delta, iceberg, archive"):
        toy_run(tmp_path, None, FIRST, spec=spec).source.days()


@pytest.mark.parametrize(
    ("kind", "package_name", "extra"),
    [
        ("delta", "deltalake", "delta"),
        ("iceberg", "pyiceberg.catalog", "iceberg"),
        ("sql", "sqlalchemy", "sql"),
    ],
)
def test_a_kind_that_is_not_installed_says_which_extra_it_needs(
    tmp_path, monkeypatch, kind, package_name, extra
):
    keys = {
        "delta": {"path": '"rows"'},
        "iceberg": {"path": '""', "table": '"db.t"'},
        "sql": {"path": '""', "url": '"sqlite:///x.db"', "query": '"SELECT 1"'},
    }
    for module in [m for m in sys.modules if m.startswith("retrain_ops.data.sources.")]:
        if module.rpartition(".")[2] in ("delta", "iceberg", "sql", "sql_alchemy"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package_name, None)
    spec = with_source(SPEC, {"kind": f'"{kind}"', **keys[kind]})
    words = rf"pip install \"\$\(ls retrain_ops-\*.whl\)\[{extra}\]\""
    with pytest.raises(ConfigError, match=words):
        toy_run(tmp_path, None, FIRST, spec=spec).source.days()
