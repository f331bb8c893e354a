"""A pipeline's folder, as diffusers writes it: which components it has, and what their configs say.

    DIR/model_index.json                         {"_class_name": ..., COMPONENT: [library, class], ...}
    DIR/COMPONENT/config.json                    settings of a network
    DIR/scheduler/scheduler_config.json          settings of the scheduler
    DIR/tokenizer/tokenizer_config.json          of what turns captions into tokens, beside its vocabulary and
                                                 what `checkpoints_convert.special_tokens` reads
    DIR/COMPONENT/*.safetensors                  weights (`checkpoints_convert.diffusers.weights`)

Entries of the index that are no pair of names are no components, [null, null] is one that is absent.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from checkpoints_convert.diffusers.settings import Settings
from jaxaudit.errors import InputError, reason

INDEX = "model_index.json"
ASIDE = ("scheduler", "tokenizer", "feature_extractor", "safety_checker")
"""Components that compute nothing that an audit looks at."""

_LIBRARIES = ("diffusers", "transformers")
_CONFIGS = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}


@dataclasses.dataclass(frozen=True)
class Folder:
    """A pipeline's folder.

    Attributes:
      path: where it is.
      pipeline: class of the pipeline.
      version: of the diffusers that wrote it, None if it does not say.
      components: {component: class}.
    """

    path: Path
    pipeline: str
    version: str | None
    components: Mapping[str, str]

    def settings(self, component: str) -> Settings:
        """What the config of a component says.

        Raises:
          InputError: if it is missing or damaged.
        """
        path = self.path / component / _CONFIGS.get(component, "config.json")
        return Settings(str(path), _read_json(path))


def open_folder(path: str | Path, *, known: Iterable[str]) -> Folder:
    """The pipeline in a folder.

    Args:
      path: the folder.
      known: classes of networks that can be converted, for the error's sake.

    Raises:
      InputError: if there is no pipeline, its index is damaged, or it brings code of its own.
    """
    path = Path(path)
    if not (path / INDEX).is_file():
        if (path / "config.json").is_file():
            raise InputError(
                f"{path} is one component of a pipeline; give the folder with {INDEX}, likely {path.parent}."
            )
        raise InputError(f"{path} is no folder of a diffusers pipeline: it has no {INDEX}.")
    index = _read_json(path / INDEX)
    pairs = {name: pair for name, pair in index.items() if _is_pair(pair) and not name.startswith("_")}
    _refuse_code(path, index, pairs, known)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise InputError(f"{path / INDEX} does not say the class of its pipeline, _class_name.")
    return Folder(path, pipeline, index.get("_diffusers_version"), {name: pairs[name][1] for name in pairs})


def _refuse_code(
    path: Path, index: Mapping[str, Any], pairs: Mapping[str, list[str]], known: Iterable[str]
) -> None:
    """Raises InputError if the folder brings code, or needs some that is elsewhere."""
    found = sorted(path.glob("*.py")) + sorted(file for name in pairs for file in (path / name).glob("*.py"))
    found = [str(file.relative_to(path)) for file in found]
    if isinstance(index.get("_class_name"), list):
        found.append(f"{INDEX}: {index['_class_name'][0]}")
    found += [
        f"{INDEX}: {library}"
        for name, (library, _) in pairs.items()
        if name not in ASIDE and library not in _LIBRARIES
    ]
    for name in pairs:
        config = path / name / "config.json"
        if config.is_file() and "auto_map" in _read_json(config):
            found.append(f"{name}/config.json: auto_map")
    if found:
        raise InputError(
            f"{path} brings code of its own ({', '.join(found)}), which is never run; known classes: "
            f"{', '.join(sorted(known))}."
        )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {reason(error)}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not an object.")
    return content
