"""Attacks: what kernels return becomes named per-sample scores, higher = more likely a member.

Importing this package registers every score.
"""

from jaxaudit.attacks import continuous as continuous
from jaxaudit.attacks import diffusion as diffusion
from jaxaudit.attacks import discrete as discrete
from jaxaudit.attacks import prada as prada
from jaxaudit.attacks import unified as unified
