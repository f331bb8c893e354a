"""Pictures small enough to stand in a page."""

from __future__ import annotations

import io
from collections.abc import Iterable

from PIL import Image

from jaxaudit.data.source import Source

_SIDE = 168  # pixels, the long one


def thumbnails(source: Source, sample_ids: Iterable[str]) -> dict[str, bytes]:
    """{id: small PNG file} of pictures of a source.

    Raises:
      UnusableImageError: for one that cannot be read.
    """
    found = {}
    for sample_id in sample_ids:
        picture = Image.fromarray(source.load(source.ids.index(sample_id)).image)
        picture.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        found[sample_id] = buffer.getvalue()
    return found


def some_thumbnails(source: Source, most: int) -> dict[str, bytes]:
    """As `thumbnails`, of up to `most` pictures that are not left out, evenly over the source."""
    ids = [name for name in source.ids if name not in source.skipped]
    step = -(-len(ids) // most)
    return thumbnails(source, ids[::step] if step else [])
