"""Attacks: what kernels return becomes named per-sample scores, higher = more likely a member.

Importing this package registers every score.
"""

from jaxaudit.attacks import continuous as continuous
from jaxaudit.attacks import diffusion as diffusion
from jaxaudit.attacks import discrepancy as discrepancy
from jaxaudit.attacks import discrete as discrete
from jaxaudit.attacks import fluctuation as fluctuation
from jaxaudit.attacks import prada as prada
from jaxaudit.attacks import predicted_noise as predicted_noise
from jaxaudit.attacks import pullback as pullback
from jaxaudit.attacks import unified as unified
from jaxaudit.attacks import velocity_curve as velocity_curve
from jaxaudit.attacks import weight_gradients as weight_gradients
