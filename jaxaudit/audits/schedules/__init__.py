"""What walks through a diffusion model give away.

look at the pictures ──► walk them, shard by shard ──► halves: choose, measure ──► results
"""

from jaxaudit.audits.schedules.assess import assess_walks
from jaxaudit.audits.schedules.pipeline import attack_by_schedules
from jaxaudit.audits.schedules.walk import WalkConfig, Walked, Walks, walk_pictures

__all__ = ["WalkConfig", "Walked", "Walks", "assess_walks", "attack_by_schedules", "walk_pictures"]
