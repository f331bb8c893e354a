"""A dataset that TensorFlow Datasets has prepared as array_record: random access, without TensorFlow.

The stored bytes of a picture are decoded here, by Pillow, like those of every other source.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxaudit.data.images import decode_image
from jaxaudit.data.source import UNKNOWN_LABEL, Picture, Source
from jaxaudit.errors import InputError, unknown_name


def open_tfds(location: str, options: Mapping[str, str]) -> Source:
    """`tfds:NAME[/CONFIG][:VERSION]/SPLIT`; ids are "NAME/VERSION/SPLIT/row".

    `?data_dir=DIR` is where the dataset was prepared (else TFDS_DATA_DIR or ~/tensorflow_datasets). The
    classes are those of its feature `label`, if it has one. `?caption=FEATURE` is the text of its feature of
    that name, within another one as OUTER/INNER (MS-COCO: captions/text); the first, if there are several.

    Raises:
      InputError: if the dataset is not prepared in DIR, or not as array_record, or has no such split or text.
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
    caption = _caption_reader(tfds, name, features, options.get("caption"))
    records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    has_label = "label" in features and isinstance(features["label"], tfds.features.ClassLabel)

    def read(index: int) -> Picture:
        record = records[index]
        return Picture(
            decode_image(record["image"]),
            int(record["label"]) if has_label else None,
            None if caption is None else caption(record),
        )

    return Source(
        spec=f"tfds:{location}",
        ids=[f"{builder.info.full_name}/{split}/{row}" for row in range(len(records))],
        read=read,
        labels=None if has_label else np.full(len(records), UNKNOWN_LABEL, np.int32),
        num_classes=features["label"].num_classes if has_label else None,
        label_rule="its feature 'label'" if has_label else "it has no class label",
        captions={} if caption is None else None,
    )


def _caption_reader(
    tfds: Any, name: str, features: Any, path: str | None
) -> Callable[[Mapping[str, Any]], str | None] | None:
    """record -> the text at `path`, None where a list of them is empty; None without a path."""
    if path is None:
        return None
    parts, feature = path.split("/"), features
    for part in parts:
        inner = getattr(feature, "feature", feature)  # of a sequence, what it holds
        if not isinstance(inner, tfds.features.FeaturesDict) or part not in inner:
            raise unknown_name(f"text of {name}", path, _texts(tfds, features) or features)
        feature = inner[part]
    if not isinstance(getattr(feature, "feature", feature), tfds.features.Text):
        raise InputError(f"The feature {path!r} of {name} is {feature}; a caption is a text.")

    def read(record: Mapping[str, Any]) -> str | None:
        value: Any = record
        for part in parts:
            value = value[part]
        if not isinstance(value, bytes | str):
            value = next(iter(value), None)
        return value.decode() if isinstance(value, bytes) else value

    return read


def _texts(tfds: Any, features: Any, prefix: str = "") -> list[str]:
    """The paths of the features that hold text."""
    found = []
    for name, feature in features.items():
        inner = getattr(feature, "feature", feature)
        if isinstance(inner, tfds.features.Text):
            found.append(prefix + name)
        elif isinstance(inner, tfds.features.FeaturesDict):
            found += _texts(tfds, inner, f"{prefix}{name}/")
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
