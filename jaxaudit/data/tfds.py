"""A dataset that TensorFlow Datasets has prepared as array_record: random access, without TensorFlow.

The stored bytes of a picture are decoded here, by Pillow, like those of every other source.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxaudit.data.images import decode_image
from jaxaudit.data.origin import files_origin
from jaxaudit.data.source import UNKNOWN_LABEL, Picture, Source
from jaxaudit.errors import InputError, unknown_name


def open_tfds(location: str, options: Mapping[str, str]) -> Source:
    """`tfds:NAME[/CONFIG][:VERSION]/SPLIT`; ids are "NAME/VERSION/SPLIT/row".

    `?data_dir=DIR` is where the dataset was prepared (else TFDS_DATA_DIR or ~/tensorflow_datasets). The
    classes are those of its feature `label`, if it has one. `?caption=FEATURE` is the text of its feature of
    that name, within another one as OUTER/INNER (MS-COCO: captions/text); the first, if there are several.
    `?group=FEATURE` says that pictures with one value of that feature, text or an integer, belong together.

    Raises:
      InputError: if the dataset is not prepared in DIR, or not as array_record, or has no such split or
        feature.
    """
    import tensorflow_datasets as tfds

    name, slash, split = location.rpartition("/")
    if not slash:
        raise InputError(f"tfds:{location} names no split; write tfds:{location}/train, for example.")
    data_dir = options.get("data_dir")
    builder = _builder(tfds, name, data_dir and os.path.expanduser(data_dir))
    if split not in builder.info.splits:
        raise unknown_name(f"split of {name}", split, builder.info.splits)
    features = builder.info.features
    if "image" not in features or not isinstance(features["image"], tfds.features.Image):
        raise InputError(f"The dataset {name} has no pictures named 'image'; it has {', '.join(features)}.")
    caption = _reader(tfds, name, features, options.get("caption"), _CAPTION)
    group = _reader(tfds, name, features, options.get("group"), _GROUP)
    records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    has_label = "label" in features and isinstance(features["label"], tfds.features.ClassLabel)

    def read(index: int) -> Picture:
        record = records[index]
        return Picture(
            decode_image(record["image"]),
            int(record["label"]) if has_label else None,
            None if caption is None else caption(record),
            None if group is None else group(record),
        )

    return Source(
        spec=f"tfds:{location}",
        ids=[f"{builder.info.full_name}/{split}/{row}" for row in range(len(records))],
        read=read,
        labels=None if has_label else np.full(len(records), UNKNOWN_LABEL, np.int32),
        num_classes=features["label"].num_classes if has_label else None,
        label_rule="its feature 'label'" if has_label else "it has no class label",
        captions={} if caption is None else None,
        origin=files_origin(
            f"tfds:{os.path.join(builder.data_path, split)} {sorted(options.items())}",
            builder.info.splits[split].filepaths,
        ),
    )


class _Wanted(NamedTuple):
    """What a feature must be: in words, and whether one (of a sequence, what it holds) is."""

    what: str
    rule: str
    fits: Callable[[Any, Any], bool]


_CAPTION = _Wanted(
    "text", "a caption is a text", lambda tfds, one: isinstance(_held(one), tfds.features.Text)
)
_GROUP = _Wanted(
    "text or integer",
    "a group is a text or an integer",
    lambda tfds, one: (
        isinstance(one, tfds.features.Text)
        or (getattr(one, "shape", None) == () and np.issubdtype(one.np_dtype, np.integer))
    ),
)


def _reader(
    tfds: Any, name: str, features: Any, path: str | None, wanted: _Wanted
) -> Callable[[Mapping[str, Any]], str | None] | None:
    """record -> the value at `path` as text, None where a list of them is empty; None without a path."""
    if path is None:
        return None
    parts, feature = path.split("/"), features
    for part in parts:
        inner = _held(feature)
        if not isinstance(inner, tfds.features.FeaturesDict) or part not in inner:
            found = _paths(tfds, features, wanted)
            raise unknown_name(f"{wanted.what} of {name}", path, found or features)
        feature = inner[part]
    if not wanted.fits(tfds, feature):
        raise InputError(f"The feature {path!r} of {name} is {feature}; {wanted.rule}.")

    def read(record: Mapping[str, Any]) -> str | None:
        value: Any = record
        for part in parts:
            value = value[part]
        if np.ndim(value):
            value = next(iter(value), None)
        if value is None:
            return None
        return value.decode() if isinstance(value, bytes) else str(value)

    return read


def _held(feature: Any) -> Any:
    """Of a sequence, what it holds."""
    return getattr(feature, "feature", feature)


def _paths(tfds: Any, features: Any, wanted: _Wanted, prefix: str = "") -> list[str]:
    """The paths of the features that are what is wanted."""
    found = []
    for name, feature in features.items():
        if wanted.fits(tfds, feature):
            found.append(prefix + name)
        elif isinstance(inner := _held(feature), tfds.features.FeaturesDict):
            found += _paths(tfds, inner, wanted, f"{prefix}{name}/")
    return found


def _builder(tfds: Any, name: str, data_dir: str | None) -> Any:
    where = f"in {data_dir}" if data_dir else "in the default folder (choose another with ?data_dir=DIR)"
    folder = f", data_dir={data_dir!r}" if data_dir else ""
    prepare = (
        'prepare it with: python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder({name!r}{folder}, file_format='array_record').download_and_prepare()\""
    )
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (ValueError, AssertionError) as error:  # unknown name; unknown version
        raise InputError(
            f"TensorFlow Datasets has no dataset {name!r} {where}; if it knows the name, {prepare}"
        ) from error
    if not builder.info.splits:
        raise InputError(f"The dataset {name!r} is not prepared {where}; {prepare}")
    if builder.info.file_format.value != "array_record":
        raise InputError(
            f"The dataset {name!r} is prepared {where} as {builder.info.file_format.value}, which has no "
            f"random access; {prepare}"
        )
    return builder
