"""Which packages the wheel holds, and under which names; everything else is in pyproject.toml.

Two of them are not named like the folder they stand in: top-level packages called `kernels` or `experiments`
would overwrite, or be overwritten by, those of other people.
"""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(
            include=["jaxaudit", "jaxaudit.*", "checkpoints_convert", "checkpoints_convert.*"]
        ),
        "jaxaudit_kernels",
        "jaxaudit_experiments",
        "jaxaudit_experiments.yardstick",
    ],
    package_dir={"jaxaudit_kernels": "kernels/jaxaudit_kernels", "jaxaudit_experiments": "experiments"},
)
