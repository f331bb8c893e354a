"""Results of audits of synthetic scores, made as `jaxaudit.audits.assess` makes them."""

import functools

import numpy as np

from jaxaudit import stats
from jaxaudit.protocols import DEFAULT, SPLIT, Protocol
from jaxaudit.results import (
    AuditResults,
    Collected,
    Finding,
    Histogram,
    ImageSet,
    ScoreFacts,
    TargetFacts,
    decode,
    encode,
)

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
def _results(protocol: Protocol, effect: float, samples: int, gate_shift: float) -> bytes:
    suffix = "_ref" if protocol.published_scores else ""
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
    test = sensitivity = individuals = usage = control = None
    if protocol.gives_verdict:
        p, u = (np.hstack(side) for side in zip(*features.values(), strict=True))
        names = [name for group in views.values() for name in group]
        ids = [f"picture {row}" for row in range(samples)]
        found = stats.verdict(p, u, p_blind=p_blind, u_blind=u_blind, names=names, p_ids=ids)
        finding, test = found.finding, found.test
        sensitivity, individuals, gate = found.sensitivity, found.individuals, test.gate
        usage = found.usage
    else:
        gate = stats.blind_gate(p_blind, u_blind)
        finding = Finding("paper", "This reproduces the published procedure. It is no verdict.")
    tests, curves = {}, {}
    for view, (p, u) in features.items() if finding.status != "not_testable" else ():
        options = {"protocol": protocol, "names": views[view]}
        tests[view] = stats.dataset_inference(p, u, **options)
        curves[view] = stats.power_curve(p, u, grid=GRID, repetitions=300, **options)
    if protocol.gives_verdict and tests:
        control = stats.null_control(features["diff"][1], num_p=samples, names=views["diff"])
    results = AuditResults(
        protocol=protocol.name,
        procedure=SPLIT.name,
        alpha=0.01,
        power=0.8,
        seed=0,
        target=TargetFacts(
            name="digits_var", family="var", fingerprint="5f" * 32, num_params=1_234_567, num_classes=10
        ),
        members=ImageSet("digits:members", "ab" * 32, "12" * 32, samples),
        nonmembers=ImageSet("digits:nonmembers?shuffle=3", "cd" * 32, "34" * 32, samples),
        scores={
            f"{view}/{name}{suffix}": ScoreFacts(
                description=description,
                source="Yeom, Giacomelli, Fredrikson, Jha: Privacy Risk in Machine Learning. CSF 2018"
                if name == "loss"
                else "Zhang et al.: Min-K%++. arXiv 2404.02936",
                access="gray-box",
                reproduces_published_code=protocol.published_scores,
            )
            for view in views
            for name, description in ATTACKS.items()
        },
        collected=Collected(
            scores=("all",),
            access="white",
            options={},
            preprocessing={
                "image_size": 32,
                "resize": "lanczos",
                "short_side": 36,
                "low": -1.0,
                "high": 1.0,
            },
            num_samples=samples,
            seed=0,
            precision="float32",
            shard_size=512,
            versions={"jaxaudit": "0.1.0", "jax": "0.10.2"},
            git_commit="0123456789abcdef0123456789abcdef01234567",
            gflop_per_image=None,
            evaluations_per_image=None,
            machine={
                "platform": "cpu",
                "device": "cpu",
                "num_devices": 8,
                "num_processes": 1,
                "parallelism": "jit",
                "batch_size": 64,
                "python": "3.11.2",
            },
        ),
        provenance={"trained_by": "experiments.train_target", "licence": "Apache-2.0"},
        inference="sum",
        membership=membership,
        histograms={name: _histogram(members[name], nonmembers[name]) for name in membership.groups.values()},
        main_view="diff",
        finding=finding,
        gate=gate,
        test=test,
        sensitivity=sensitivity,
        individuals=individuals,
        usage=usage,
        reference=None,
        seed_given=False,
        null_control=control,
        dataset_inference=tests or None,
        power_curves=curves or None,
    )
    return encode(results)


def make_results(
    protocol: Protocol = DEFAULT, *, effect: float = 0.5, samples: int = 600, gate_shift: float = 0.0
) -> AuditResults:
    """A record of its own. `effect` shifts the members' scores, `gate_shift` their pictures."""
    return decode(_results(protocol, effect, samples, gate_shift), AuditResults, "synthetic")


def _histogram(members: np.ndarray, nonmembers: np.ndarray) -> Histogram:
    pooled = np.concatenate([members, nonmembers])
    low, high = np.quantile(pooled, [0.005, 0.995])
    edges = np.linspace(low, high, 41)
    counts = [np.histogram(np.clip(side, low, high), edges)[0].tolist() for side in (members, nonmembers)]
    return Histogram(tuple(edges.tolist()), *map(tuple, counts))
