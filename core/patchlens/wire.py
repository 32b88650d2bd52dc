"""Messages between processes: a JSON header, then the raw bytes of its arrays. Nothing is unpickled.

The reading side may face a process that a hostile file has taken over, so it checks every number it is told.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

import numpy as np

_DTYPES = ("uint8", "float32", "float64")
_HEADER_LIMIT = 16 * 2**20  # bytes of JSON


class WireError(RuntimeError):
    """The other side said something that is no message, or went away in the middle of one."""


def send(stream: BinaryIO, header: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
    """Write one message; arrays are uint8, float32 or float64 of any shape."""
    arrays = {name: np.ascontiguousarray(value) for name, value in (arrays or {}).items()}
    shapes = [[name, value.dtype.name, list(value.shape)] for name, value in arrays.items()]
    text = json.dumps({**header, "arrays": shapes}).encode()
    stream.write(struct.pack("<Q", len(text)) + text)
    for value in arrays.values():
        stream.write(value.reshape(-1).view(np.uint8).data)
    stream.flush()


def receive(stream: BinaryIO, limit: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Read one message whose arrays hold at most `limit` bytes together; None at the end of the stream.

    Raises WireError for anything that is not a whole, well-formed message.
    """
    first = _read(stream, 8, may_end=True)
    if first is None:
        return None
    (length,) = struct.unpack("<Q", first)
    if length > _HEADER_LIMIT:
        raise WireError(f"a header of {length} bytes")
    try:
        header = json.loads(bytes(_read(stream, length)))
        layout = [(str(name), str(kind), tuple(map(int, shape))) for name, kind, shape in header.pop("arrays")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"a header that is no message ({type(error).__name__})") from error
    arrays, left = {}, limit
    for name, kind, shape in layout:
        if kind not in _DTYPES or len(shape) > 4 or any(not 0 <= side < 2**40 for side in shape):
            raise WireError(f"an array of {kind[:20]} {shape[:5]}")
        size = np.dtype(kind).itemsize
        for side in shape:
            size *= side
        left -= size
        if left < 0:
            raise WireError(f"more than {limit} bytes of arrays")
        arrays[name] = np.frombuffer(_read(stream, size), kind).reshape(shape)
    return header, arrays


def _read(stream: BinaryIO, size: int, may_end: bool = False) -> bytearray | None:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        count = stream.readinto(view[filled:])
        if not count:
            if may_end and filled == 0:
                return None
            raise WireError(f"{size - filled} bytes are missing")
        filled += count
    return data
