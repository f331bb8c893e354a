"""PyTorch checkpoints to targets of jaxaudit: a mapping table per family, the reader and the program.

python -m checkpoints_convert --family=var --generator=var_d16.pth --tokenizer=vae_ch160v4096z32.pth --out=DIR
"""

from checkpoints_convert import dit, dit_moe, lfm, mar, rar, sit, uvit, var
from checkpoints_convert.records import Conversion

CONVERSIONS: dict[str, Conversion] = {
    "dit": dit.CONVERSION,
    "dit_moe": dit_moe.CONVERSION,
    "lfm": lfm.CONVERSION,
    "mar": mar.CONVERSION,
    "rar": rar.CONVERSION,
    "sit": sit.CONVERSION,
    "uvit": uvit.CONVERSION,
    "var": var.CONVERSION,
}
"""Every family whose checkpoints can be converted."""
