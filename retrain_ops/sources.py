"""Sources of your own: what a kind hands out, and what it must be able to do.

A package offers one as an entry point of the group `retrain_ops.sources`; its name is
`[source] kind` in a spec, and its object a function `open_source(spec, version) -> SourceKind`.
"""

from __future__ import annotations

from retrain_ops.data.sources.kind import Part, SourceKind
from retrain_ops.errors import SourceError, UnreachableError

__all__ = ["Part", "SourceError", "SourceKind", "UnreachableError"]
