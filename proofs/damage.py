"""500 damaged files over every kind of a workspace: each is mended, or named with what to do.

`DAMAGED` is another count, `DAMAGED_FROM` the first case.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from devtools.damage import Damaged, cases

COUNT = 500
SHOWN = 5


def prove(folder: Path) -> dict[str, Any]:
    """How the cases ended, by kind of file."""
    damaged = Damaged(folder)
    first, count = int(os.environ.get("DAMAGED_FROM", "0")), int(os.environ.get("DAMAGED", COUNT))
    ended: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    wrong = []
    chosen = islice(enumerate(cases(damaged.files)), first, first + count)
    for number, (kind, path, change) in chosen:
        how, told = damaged.play(path, change, number)
        ended[how] += 1
        kinds.setdefault(kind, Counter())[how] += 1
        if how == "wrong":
            wrong.append(f"{number} {path}, {change}: {told}")
            print(wrong[-1], flush=True)
    return {
        "cases": count,
        "kinds": len(kinds),
        **{how: ended[how] for how in ("mended", "named", "wrong")},
        "by_kind": {kind: dict(how) for kind, how in sorted(kinds.items())},
        "shown": wrong[:SHOWN],
    }
