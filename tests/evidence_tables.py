"""Evidence folders of synthetic scores."""

import numpy as np

from jaxaudit.evidence import SPLITS, Columns, Evidence
from jaxaudit.evidence.requests import PicturesSaid
from tests.stats import simulated

NAMES = (
    *("denoising_loss", "secmi"),
    *(f"multiple_loss_{t}" for t in (0, 100, 200)),
    *(f"gradient_masking_{t}" for t in (0, 100, 200)),
)


PICTURES = dict.fromkeys(PicturesSaid.__struct_fields__, "") | {"classes": {"rule": "", "count": 10}}
SOURCES = "digits:members", "digits:nonmembers"


def make_evidence(
    directory, *, target="digits_dit", samples=300, shift=0.6, view="cond", seed=0, copies=1, sources=SOURCES
):
    """Correlated scores, those of members shifted by up to `shift`; gradient masking is white-box. Of so many
    `copies` each, one after the other, a picture is declared to be.
    """
    names = [f"{view}/{name}" for name in NAMES]
    white = [name for name in names if "gradient_masking" in name]
    request = {
        "target": {"family": "dit", "fingerprint": target, "num_params": 1, "num_classes": 10},
        **{side: {**PICTURES, "source": source} for side, source in zip(SPLITS, sources, strict=True)},
        "scores": names,
        "score_info": {
            name: {
                "description": "",
                "source": "",
                "access": "white-box" if name in white else "gray-box",
                "published": False,
            }
            for name in names
        },
        "main_view": view,
        "feature_sets": {"default": {view: names}, "paper": {}},
    }
    evidence = Evidence.create(
        directory,
        request,
        {"target": target},
        columns=Columns(tuple(names)),
        num_rows={"members": samples, "nonmembers": samples},
        shard_size=samples,
    )
    rng = np.random.default_rng(seed)
    for shard in evidence.shards():
        scores = simulated.features(rng, (samples, len(names)))
        if shard.split == "members":
            scores += shift * np.linspace(0.2, 1, len(names))
        ids = [f"{shard.split}-{i}" for i in range(samples)]
        columns = {
            **{"sample_id": ids, "label": np.arange(samples) % 10, "digest": ids},
            **{"cluster": [ids[i - i % copies] for i in range(samples)], "copy_of": [""] * samples},
        }
        evidence.write(shard, {**columns, **dict(zip(names, scores.T, strict=True))})
    return evidence
