"""Results of audits of synthetic scores, made as `jaxaudit.audits.assess` makes them."""

import functools
import json
from typing import Any

import numpy as np

from jaxaudit import stats

ATTACKS = {
    "loss": "Mean log-probability of the tokens.",
    "zlib": "Mean log-probability over the compressed size of the tokens.",
    "hinge": "Mean margin of the tokens' logits over the best other logit.",
    "min_k_10": "Mean of the 10% lowest log-probabilities (Min-K%).",
    "min_k_20": "Mean of the 20% lowest log-probabilities (Min-K%).",
    "min_k_pp_20": "Mean of the 20% lowest standardised log-probabilities (Min-K%++).",
}
GRID = (2, 3, 4, 5, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600)
HOSTILE = "folder:/data/<script>alert('x')</script> & [/red][bold]\"pictures\"[:600]"


@functools.cache
def _results(protocol: str, effect: float, samples: int, gate_shift: float) -> str:
    suffix = "_ref" if protocol == "paper" else ""
    strength = {"cond": 0.4 * effect, "diff": effect}
    views = {view: [f"{view}/{name}{suffix}" for name in ATTACKS] for view in strength}
    rng = np.random.default_rng(7)
    members, nonmembers = (
        {
            name: rng.normal(side * strength[view] * (1 + 0.05 * place), 0.6, samples) + shared
            for view, names in views.items()
            for shared in [rng.normal(0, 0.8, samples)]
            for place, name in enumerate(names)
        }
        for side in (1, 0)
    )
    p_blind, u_blind = rng.normal(gate_shift, 1, (samples, 4)), rng.normal(0, 1, (samples, 4))
    membership = stats.membership_inference(members, nonmembers, protocol=protocol, groups=views)
    features = {
        view: tuple(np.stack([side[name] for name in names], axis=1) for side in (members, nonmembers))
        for view, names in views.items()
    }
    if protocol == "default":
        verdict = stats.verdict(*features["diff"], p_blind=p_blind, u_blind=u_blind, names=views["diff"])
        gate, control, testable = verdict.gate, verdict.null_control, verdict.status != "not_testable"
        words = {"status": verdict.status, "sentence": verdict.sentence}
    else:
        gate, control, testable = stats.blind_gate(p_blind, u_blind), None, True
        words = {"status": "paper", "sentence": "This reproduces the published procedure. It is no verdict."}
    tests, curves = {}, {}
    for view, (p, u) in features.items() if testable else ():
        options = {"protocol": protocol, "names": views[view]}
        tests[view] = stats.dataset_inference(p, u, **options).to_dict()
        curves[view] = stats.power_curve(p, u, grid=GRID, repetitions=300, **options).to_dict()
    results = {
        "format": 1,
        "protocol": protocol,
        "alpha": 0.01,
        "power": 0.8,
        "procedure": "split",
        "seed": 0,
        "request": {
            "target": {"family": "var", "fingerprint": "5f" * 32, "num_params": 1_234_567, "num_classes": 10},
            "members": {"source": "digits:members", "ids_sha256": "ab" * 32},
            "nonmembers": {"source": "digits:nonmembers?shuffle=3", "ids_sha256": "cd" * 32},
            "preprocessing": {
                "image_size": 32,
                "resize": "lanczos",
                "short_side": 36,
                "low": -1.0,
                "high": 1.0,
            },
            "scores": [name for names in views.values() for name in names],
            "inference": "sum",
            "num_samples": samples,
            "seed": 0,
            "precision": "float32",
            "shard_size": 512,
            "versions": {"jaxaudit": "0.1.0", "jax": "0.10.2"},
            "git_commit": "0123456789abcdef0123456789abcdef01234567",
        },
        "num_rows": {"members": samples, "nonmembers": samples},
        "run": {
            "target": "digits_var",
            "scores": ["all"],
            "access": "white",
            "provenance": {"trained_by": "experiments.train_target", "licence": "Apache-2.0"},
            "platform": "cpu",
            "device": "cpu",
            "num_devices": 8,
            "num_processes": 1,
            "parallelism": "jit",
            "batch_size": 64,
            "python": "3.11.2",
        },
        "score_info": {
            f"{view}/{name}{suffix}": {
                "description": description,
                "source": "Yeom, Giacomelli, Fredrikson, Jha: Privacy Risk in Machine Learning. CSF 2018"
                if name == "loss"
                else "Zhang et al.: Min-K%++. arXiv 2404.02936",
                "access": "gray-box",
            }
            for view in views
            for name, description in ATTACKS.items()
        },
        "membership": membership.to_dict(),
        "histograms": {
            name: _histogram(members[name], nonmembers[name]) for name in membership.groups.values()
        },
        "main_view": "diff",
        "verdict": words,
        "gate": gate.to_dict(),
        "null_control": control.to_dict() if control else None,
        "dataset_inference": tests or None,
        "power_curves": curves or None,
    }
    return json.dumps(results)


def make_results(
    protocol: str = "default", *, effect: float = 0.5, samples: int = 600, gate_shift: float = 0.0
) -> dict[str, Any]:
    """What `results.json` holds. `effect` shifts the members' scores, `gate_shift` their pictures."""
    return json.loads(_results(protocol, effect, samples, gate_shift))


def _histogram(members: np.ndarray, nonmembers: np.ndarray) -> dict[str, list[float]]:
    pooled = np.concatenate([members, nonmembers])
    low, high = np.quantile(pooled, [0.005, 0.995])
    edges = np.linspace(low, high, 41)
    counts = [np.histogram(np.clip(side, low, high), edges)[0].tolist() for side in (members, nonmembers)]
    return {"edges": edges.tolist(), "members": counts[0], "nonmembers": counts[1]}
