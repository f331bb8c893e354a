"""Pictures in a NumPy archive.

Axes: N samples, H height, W width, T tokens and D channels of a caption's embedding.

`images` [N,H,W,3], [N,H,W,1] or [N,H,W]: uint8, or floating point within [0, 1], which becomes round(255·x).
`labels` [N] integers, the target's class indices; `?label=N` gives one class to all instead.
`captions` [N] text; or `embeddings` [N,T,D] of captions, floating point, and `null_embedding` [T,D], that of
the empty caption.
`?group=NAME` says that pictures with one value in the array of that name, [N] integers or text, belong
together.
"""

import os
from collections.abc import Mapping

import numpy as np

from jaxaudit.data.embeddings import NULL_EMBEDDING, Embeddings, embeddings_of_rows
from jaxaudit.data.origin import files_origin
from jaxaudit.data.source import UNKNOWN_LABEL, Picture, Source, parse_label
from jaxaudit.errors import InputError, reason


def open_npz(location: str, options: Mapping[str, str]) -> Source:
    """`npz:FILE`; ids are the rows.

    Raises:
      InputError: if the file is missing or broken, or an array has another shape, type or range.
    """
    location = os.path.expanduser(location)
    group = options.get("group")
    origin = files_origin(f"npz:{os.path.realpath(location)}", [location])  # as it was before it is read
    arrays = _read(location, group)
    images = _check_images(location, arrays["images"])
    if "label" in options:
        labels, rule = np.full(len(images), parse_label(options["label"]), np.int32), "?label"
    elif "labels" in arrays:
        labels, rule = _check_labels(location, arrays["labels"], len(images)), "the array 'labels'"
    else:
        labels, rule = np.full(len(images), UNKNOWN_LABEL, np.int32), "there is no array 'labels'"
    return Source(
        spec=f"npz:{location}",
        ids=[str(row) for row in range(len(images))],
        read=lambda index: Picture(_rgb(images[index])),
        labels=labels,
        num_classes=None,
        label_rule=rule,
        captions=_check_captions(location, arrays.get("captions"), len(images)),
        embeddings=_check_embeddings(location, arrays, len(images)),
        groups=None if group is None else _check_groups(location, group, arrays.get(group), len(images)),
        origin=origin,
    )


_ARRAYS = ("images", "labels", "captions", "embeddings", NULL_EMBEDDING)


def _read(path: str, group: str | None) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(
                    f"{path} holds a single array; save it with np.savez(images=..., labels=...)."
                )
            if "images" not in archive.files:
                raise InputError(
                    f"{path} has no array 'images'; it has {', '.join(archive.files) or 'none'}."
                )
            return {name: archive[name] for name in {*_ARRAYS, group} if name in archive.files}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except (
        Exception
    ) as error:  # damaged, encrypted, oddly packed and too large archives raise nearly anything
        raise InputError(f"{path} cannot be read as a .npz archive: {reason(error)}.") from error


def _check_images(path: str, images: np.ndarray) -> np.ndarray:
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))) or 0 in images.shape[1:]:
        raise InputError(
            f"{path}: 'images' has shape {images.shape}; expected [N,H,W], [N,H,W,1] or [N,H,W,3]."
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"{path}: 'images' is {images.dtype}; expected uint8, or floats within [0, 1].")
    if images.size and not (images.min() >= 0 and images.max() <= 1):  # also true of NaN
        raise InputError(
            f"{path}: 'images' holds {images.dtype} from {images.min()} to {images.max()}; floats must lie "
            "within [0, 1] (or save uint8)."
        )
    return images


def _check_labels(path: str, labels: np.ndarray, count: int) -> np.ndarray:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{path}: 'labels' is {labels.dtype} of shape {labels.shape}; expected {count} integers, [N]."
        )
    outside = labels[(labels < UNKNOWN_LABEL) | (labels > np.iinfo(np.int32).max)]
    if outside.size:
        raise InputError(f"{path}: label {outside[0]} is not a class index.")
    return labels.astype(np.int32)


def _check_captions(path: str, captions: np.ndarray | None, count: int) -> dict[str, str]:
    if captions is None:
        return {}
    if captions.shape != (count,) or captions.dtype.kind != "U":
        raise InputError(
            f"{path}: 'captions' is {captions.dtype} of shape {captions.shape}; expected {count} texts, [N]."
        )
    try:
        "".join(captions.tolist()).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: 'captions' holds half a character: {error.reason}.") from error
    return {str(row): str(caption) for row, caption in enumerate(captions)}


def _check_groups(path: str, name: str, groups: np.ndarray | None, count: int) -> list[str]:
    if groups is None:
        raise InputError(f"{path} has no array {name!r}, which ?group={name} asks for.")
    if groups.shape != (count,) or groups.dtype.kind not in "iuU":
        raise InputError(
            f"{path}: {name!r} is {groups.dtype} of shape {groups.shape}; groups are {count} integers or "
            "texts, [N]."
        )
    return [str(group) for group in groups.tolist()]


def _check_embeddings(path: str, arrays: Mapping[str, np.ndarray], count: int) -> Embeddings | None:
    if "embeddings" not in arrays:
        return None
    values, null = arrays["embeddings"], arrays.get(NULL_EMBEDDING)
    for name, array in (("embeddings", values), (NULL_EMBEDDING, null)):
        if array is not None and not np.issubdtype(array.dtype, np.floating):
            raise InputError(f"{path}: {name!r} is {array.dtype}; expected floating point.")
    if values.ndim != 3 or len(values) != count:
        raise InputError(
            f"{path}: 'embeddings' has shape {values.shape}; expected [N,T,D] with N = {count} pictures."
        )
    return embeddings_of_rows(f"{path} ('embeddings')", values, null)


def _rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        image = np.rint(image * np.float32(255)).astype(np.uint8)
    if image.ndim == 2:
        image = image[..., None]
    return image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1)
