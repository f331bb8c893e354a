"""From per-sample scores to error rates, intervals and verdicts, with NumPy alone and no model.

Scores are always higher = more likely a member. Results are records of `jaxaudit.results`, rules objects of
`jaxaudit.protocols`.
"""

from jaxaudit.stats.betting import ask_again, calibrate, check_history, combine_history
from jaxaudit.stats.cdi.forecast import forecast_samples
from jaxaudit.stats.cdi.identification import identify, shapley_values
from jaxaudit.stats.cdi.null import false_positive_rate
from jaxaudit.stats.cdi.power import identification_power
from jaxaudit.stats.cdi.shapley import ShapleyValues
from jaxaudit.stats.clusters import first_of_clusters, smallest_cluster
from jaxaudit.stats.combination import COMBINATIONS, combine_p_values
from jaxaudit.stats.dataset_inference import dataset_inference
from jaxaudit.stats.effect_size import hedges_g
from jaxaudit.stats.fair_sets import PARTS, Matching, Rule, pair_pools
from jaxaudit.stats.fitted import fitted_scores
from jaxaudit.stats.frechet import (
    FrechetDistance,
    Moments,
    bootstrap_frechet,
    frechet_distance,
    gaussian_distance,
    moments,
)
from jaxaudit.stats.gate import GATE_LEVEL, blind_gate
from jaxaudit.stats.individuals import conformal_p_values, discover_members
from jaxaudit.stats.intervals import (
    auc_interval,
    balanced_accuracy_interval,
    clopper_pearson,
)
from jaxaudit.stats.known_members import KnownMembers
from jaxaudit.stats.leaderboard import leaderboard
from jaxaudit.stats.likelihood_ratio import likelihood_ratio
from jaxaudit.stats.likeness import (
    MARGIN,
    balance_of,
    compare_pictures,
    likeness,
    pairs_needed,
)
from jaxaudit.stats.matching import Covariates, Pairs, match_pairs
from jaxaudit.stats.membership import membership_inference
from jaxaudit.stats.null_control import identification_null_control, null_control
from jaxaudit.stats.one_run import one_run_epsilon
from jaxaudit.stats.paired import ScorePair, paired_differences
from jaxaudit.stats.power import PUBLISHED_GRID, power_curve
from jaxaudit.stats.privacy import gaussian_epsilon, training_epsilon
from jaxaudit.stats.propensity import positions
from jaxaudit.stats.provenance import generated_share, provenance
from jaxaudit.stats.published import PublishedMetrics, published_metrics
from jaxaudit.stats.regeneration import regeneration
from jaxaudit.stats.roc import auc, best_threshold, roc_curve, tpr_at_fpr
from jaxaudit.stats.schedules import Halves, best_walk, halves, leakage, told_apart, walk_leakage
from jaxaudit.stats.sensitivity import sensitivity, sign_test_bound, signed_rank_bound
from jaxaudit.stats.set_test import FEWEST, MOST, PERMUTATIONS, Comparison, compare_sets, set_test
from jaxaudit.stats.tpr_interval import tpr_at_fpr_interval
from jaxaudit.stats.usage_bound import usage_bound
from jaxaudit.stats.usage_fraction import usage_fraction
from jaxaudit.stats.verdict import verdict
from jaxaudit.stats.welch import fewest_permutable, permutation_p_value, welch

__all__ = [
    "COMBINATIONS",
    "FEWEST",
    "GATE_LEVEL",
    "MARGIN",
    "MOST",
    "PARTS",
    "PERMUTATIONS",
    "PUBLISHED_GRID",
    "Comparison",
    "Covariates",
    "FrechetDistance",
    "Halves",
    "KnownMembers",
    "Matching",
    "Moments",
    "Pairs",
    "PublishedMetrics",
    "Rule",
    "ScorePair",
    "ShapleyValues",
    "ask_again",
    "auc",
    "auc_interval",
    "balance_of",
    "balanced_accuracy_interval",
    "best_threshold",
    "best_walk",
    "blind_gate",
    "bootstrap_frechet",
    "calibrate",
    "check_history",
    "clopper_pearson",
    "combine_history",
    "combine_p_values",
    "compare_pictures",
    "compare_sets",
    "conformal_p_values",
    "dataset_inference",
    "discover_members",
    "false_positive_rate",
    "fewest_permutable",
    "first_of_clusters",
    "fitted_scores",
    "forecast_samples",
    "frechet_distance",
    "gaussian_distance",
    "gaussian_epsilon",
    "generated_share",
    "halves",
    "hedges_g",
    "identification_null_control",
    "identification_power",
    "identify",
    "leaderboard",
    "leakage",
    "likelihood_ratio",
    "likeness",
    "match_pairs",
    "membership_inference",
    "moments",
    "null_control",
    "one_run_epsilon",
    "pair_pools",
    "paired_differences",
    "pairs_needed",
    "permutation_p_value",
    "positions",
    "power_curve",
    "provenance",
    "published_metrics",
    "regeneration",
    "roc_curve",
    "sensitivity",
    "set_test",
    "shapley_values",
    "sign_test_bound",
    "signed_rank_bound",
    "smallest_cluster",
    "told_apart",
    "tpr_at_fpr",
    "tpr_at_fpr_interval",
    "training_epsilon",
    "usage_bound",
    "usage_fraction",
    "verdict",
    "walk_leakage",
    "welch",
]
