"""Parts of the features that are worth testing apart: by access to the model, and by attack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jaxaudit.errors import InputError


def access_sets(names: Iterable[str], access: Mapping[str, str]) -> dict[str, list[str]]:
    """{"gray-box": names, "white-box": names, "both": names}, by what of the model a score needs.

    Args:
      names: of scores.
      access: {name: "gray-box" or "white-box"}.

    Raises:
      InputError: if one kind is missing.
    """
    names = list(names)
    sets = {kind: [name for name in names if access[name] == kind] for kind in ("gray-box", "white-box")}
    for kind, members in sets.items():
        if not members:
            raise InputError(f"None of the {len(names)} scores is {kind}; there is nothing to compare.")
    return {**sets, "both": names}


def ablation_sets(names: Iterable[str]) -> dict[str, list[str]]:
    """Every attack alone, those of a single score together, all but one attack, and all.

    Scores "view/score" whose score begins with the same word belong to one attack, called by the words they
    have in common: min_k_10 and min_k_20 are min_k.
    """
    names = list(names)
    by_word: dict[str, list[str]] = {}
    for name in names:
        by_word.setdefault(_words(name)[0], []).append(name)
    attacks = {_common_words(members): members for members in by_word.values()}
    sets = dict(attacks)
    single = [members[0] for members in attacks.values() if len(members) == 1]
    if 1 < len(single) < len(attacks):
        sets["single scores"] = single
    if len(attacks) > 2:
        for attack, members in attacks.items():
            sets[f"all but {attack}"] = [name for name in names if name not in members]
    return {**sets, "all": names}


def _words(name: str) -> list[str]:
    return name.rpartition("/")[2].split("_")


def _common_words(names: Sequence[str]) -> str:
    words = [_words(name) for name in names]
    shared = 0
    while all(len(w) > shared and w[shared] == words[0][shared] for w in words):
        shared += 1
    return "_".join(words[0][:shared])
