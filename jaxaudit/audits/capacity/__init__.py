"""What an audit asks of hardware that is not here: compiled for it, or estimated.

setting ──► the target's shapes ──► its scoring step ──► the compiler: memory, kernels, seconds to compile
                                                    └──► counts and models: hours, batch, cores, disk, price
"""

from jaxaudit.audits.capacity.compiling import compile_setting
from jaxaudit.audits.capacity.estimate import CapacityConfig, plan_capacity
from jaxaudit.audits.capacity.table import TABLE, compile_missing, table_settings

__all__ = [
    "TABLE",
    "CapacityConfig",
    "compile_missing",
    "compile_setting",
    "plan_capacity",
    "table_settings",
]
