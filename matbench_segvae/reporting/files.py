"""Reading result files, whoever wrote them."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

RESULTS = "results.json.gz"
INFO = "info.json"
_GZIP_MAGIC = b"\x1f\x8b"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, compressed or not.

    Matbench 0.6 writes and reads plain text even under the name ``results.json.gz``, while
    most of the files in its repository are really compressed, so the name says nothing.

    Raises:
        ValueError: If there is no JSON object in it.
        OSError: If it cannot be read.
    """
    content = path.read_bytes()
    try:
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        loaded = json.loads(content.decode("utf-8"))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"'{path}' holds no JSON object")
    return loaded
