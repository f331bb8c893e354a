"""Folders of diffusers pipelines to targets: what a folder holds, and which classes of network are known.

Neither diffusers nor PyTorch is needed for safetensors files, and code that a folder brings is never run.

python -m checkpoints_convert --diffusers=DIR --out=targets/x
"""
