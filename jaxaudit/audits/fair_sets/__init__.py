"""Two pools of pictures in, two sets that nothing blind should tell apart out; no model is asked.

look at every picture ──► one of each cluster, no copies across ──► features ──► pairs ──► are they alike?

p, u = open_source("folder:published"), open_source("folder:others")
results, listing = match_sets(p, u)
"""

from jaxaudit.audits.fair_sets.pipeline import MatchConfig, check_pools, match_sets

__all__ = ["MatchConfig", "check_pools", "match_sets"]
