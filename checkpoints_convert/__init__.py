"""PyTorch checkpoints to targets of jaxaudit: a mapping table per family, the reader and the program.

python -m checkpoints_convert --family=var --generator=var_d16.pth --tokenizer=vae_ch160v4096z32.pth --out=DIR
"""

from checkpoints_convert import dimr, dit, dit_moe, ldm, lfm, llamagen, mar, mdt, rar, sd, sit, uvit, var
from checkpoints_convert.records import Conversion

CONVERSIONS: dict[str, Conversion] = {
    "dimr": dimr.CONVERSION,
    "dit": dit.CONVERSION,
    "dit_moe": dit_moe.CONVERSION,
    "ldm": ldm.CONVERSION,
    "lfm": lfm.CONVERSION,
    "llamagen": llamagen.CONVERSION,
    "mar": mar.CONVERSION,
    "mdt": mdt.CONVERSION,
    "rar": rar.CONVERSION,
    "sd": sd.CONVERSION,
    "sit": sit.CONVERSION,
    "uvit": uvit.CONVERSION,
    "var": var.CONVERSION,
}
"""Every family whose checkpoints can be converted."""
