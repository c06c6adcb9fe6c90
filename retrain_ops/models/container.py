"""A file around a model: magic, header as JSON, payload, SHA-256 (docs/model-format.md)."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

from retrain_ops.errors import CorruptError

__all__ = ["pack", "unpack"]

CHECKSUM = 32
LONGEST_HEADER = 1 << 24


def pack(magic: bytes, header: Mapping[str, Any], payload: bytes) -> bytes:
    """The file."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    encoded = text.encode()
    body = magic + struct.pack("<I", len(encoded)) + encoded + payload
    return body + hashlib.sha256(body).digest()


def unpack(magic: bytes, data: bytes, what: str) -> tuple[dict[str, Any], bytes]:
    """Header and payload of a file whose checksum holds; `what` it is, for messages.

    Raises:
        CorruptError: it is no such file, or not a whole, undamaged one.
    """
    begin = len(magic) + 4
    if len(data) < begin + CHECKSUM or not data.startswith(magic):
        raise CorruptError(f"this is no file of {what}, or its end is missing")
    if hashlib.sha256(data[:-CHECKSUM]).digest() != data[-CHECKSUM:]:
        raise CorruptError("the model file is damaged: its checksum does not hold")
    (length,) = struct.unpack_from("<I", data, len(magic))
    if length > min(LONGEST_HEADER, len(data) - begin - CHECKSUM):
        raise CorruptError("the header of the model file is longer than the file")
    try:
        header = json.loads(data[begin : begin + length].decode())
    except (ValueError, RecursionError) as problem:
        raise CorruptError(f"the header of the model file is no JSON: {problem}") from problem
    if not isinstance(header, dict):
        raise CorruptError("the header of the model file is no JSON object")
    return header, data[begin + length : -CHECKSUM]
