"""The slices of outputs that a golden case has kept."""


def stored_part(config, name):
    """Those of an output, () where all of it is kept: config["stored_parts"] says them as "[:, ::8]"."""
    axes = config["stored_parts"].get(name, "").strip("[]").split(",")
    return tuple(slice(*(int(n) if n.strip() else None for n in axis.split(":"))) for axis in axes if axis)
