"""Canonical JSON: equal values, equal bytes, so that a hash of the bytes is a hash of the value."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import numpy as np

from pellucid.core.errors import DataError

NanRule = Literal["refuse", "null"]


def encode_json(obj: Any, *, nan: NanRule = "refuse") -> bytes:
    """UTF-8 JSON with sorted keys and no blanks.

    Args:
        obj: dict with string keys, list, tuple, str, bool, int, float, None; numpy scalars and arrays are converted.
        nan: what becomes of NaN and infinite numbers, which JSON does not have: an error, or null.
    Raises:
        DataError: a value that JSON cannot hold, named by its path (`tasks[0].value`).
    """
    try:
        plain = _plain(obj, "", nan)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except DataError:
        raise
    except RecursionError as error:
        raise DataError(
            "the value is nested too deeply or contains itself.", where="put_json", mend="flatten it"
        ) from error
    except UnicodeEncodeError as error:
        text = repr(error.object[error.start])
        raise DataError(
            f"a text has the lone surrogate {text}.", where="put_json", mend="decode it properly"
        ) from error
    except ValueError as error:  # an integer of more than 4300 digits
        raise DataError(f"a number cannot be written: {error}.", where="put_json", mend="store it as text") from error


def decode_json(data: bytes) -> Any:
    """The value of JSON bytes. Raises ValueError."""
    return json.loads(data)


def _plain(obj: Any, path: str, nan: NanRule) -> Any:
    if obj is None or isinstance(obj, (bool, str)):
        return str(obj) if isinstance(obj, str) else obj
    if isinstance(obj, dict):
        for key in obj:
            if not isinstance(key, str):
                raise _refused(f"the key {key!r} is not a text", path, "use text keys")
        return {str(key): _plain(value, f"{path}.{key}" if path else key, nan) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_plain(value, f"{path}[{i}]", nan) for i, value in enumerate(obj)]
    if isinstance(obj, np.ndarray):
        return _plain(obj.tolist(), path, nan)
    if isinstance(obj, np.generic):
        return _plain(obj.item(), path, nan)
    if isinstance(obj, int):
        return int(obj)
    if isinstance(obj, float):
        if math.isfinite(obj):
            return float(obj)
        if nan == "null":
            return None
        raise _refused(f"{obj} is not a number in JSON", path, "leave it out, or put_json(..., nan='null')")
    raise _refused(f"a value of type {type(obj).__name__} is not JSON", path, "convert it to text, numbers or lists")


def _refused(what: str, path: str, mend: str) -> DataError:
    return DataError(f"{what}.", where=path or "the whole value", mend=mend)
