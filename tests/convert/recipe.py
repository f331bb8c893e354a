"""Files of `torch.save` in the layout of released ones, with random values, however large, in little memory.

python -m tests.convert.recipe var_d36 var_d36.pth
"""

import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch

from jaxaudit.models.var import VARIANTS

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
_PERIOD = 4_000_037  # prime, so that no two rows of a tensor are equal


def write_checkpoint(path, specs):
    """A tensor for each of {key: {"shape": ..., "dtype": ...}}: N(0, 0.02²), zeros where the key says so.

    The levels of VAR's tokens are those of the released schedule with as many of them.
    """
    block = np.random.default_rng(0).standard_normal(_PERIOD, np.float32) * np.float32(0.02)
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        skeleton = Path(folder) / "archive.pth"
        with torch.serialization.skip_data():  # memory and disk that nobody has written to take no room
            torch.save(
                {
                    key: torch.empty(spec["shape"], dtype=getattr(torch, spec["dtype"]))
                    for key, spec in specs.items()
                },
                skeleton,
            )
        tensors = iter(specs.items())
        with zipfile.ZipFile(skeleton) as source, zipfile.ZipFile(path, "w") as archive:
            for record in source.namelist():
                if record.endswith("/.format_version"):
                    continue  # with it PyTorch trusts that records stand where it would have put them
                with archive.open(record, "w", force_zip64=True) as file:
                    if "/data/" in record:
                        key, spec = next(tensors)
                        file.write(_values(key, spec, block).data)
                    else:
                        file.write(source.read(record))
    return path


def _values(key, spec, block):
    if key == "lvl_1L":
        schedules = (np.square(variant.config.patch_nums) for variant in VARIANTS.values())
        sizes = next(sizes for sizes in schedules if sizes.sum() == spec["shape"][-1])
        return np.repeat(np.arange(len(sizes)), sizes)
    if "zero" in key:
        return np.zeros(spec["shape"], spec["dtype"])
    return np.resize(block, spec["shape"]).astype(spec["dtype"])


if __name__ == "__main__":
    manifest = json.loads((MANIFESTS / f"{sys.argv[1]}.json").read_text())
    del manifest["num_parameters"]
    write_checkpoint(sys.argv[2], manifest)
