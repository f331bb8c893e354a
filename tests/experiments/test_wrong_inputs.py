"""A corpus of wrong inputs: one sentence, exit code 2, before anything is measured, nothing left behind.

The programs run in this process (`tests.experiments.in_process`), in an empty folder, on a tiny target.
Whatever would measure, train or convert raises, so that a refusal that comes late is seen.
"""

import functools
import warnings
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import jaxaudit
from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.canaries import canary_record, coins_path, draw_canaries
from jaxaudit.audits.pictures import look
from jaxaudit.checkpoint import save_target
from jaxaudit.data import open_source
from jaxaudit.results import write_results
from jaxaudit.runtime.progress import silent
from tests import tiny
from tests.evidence_tables import make_evidence
from tests.experiments.in_process import run

LATE = (
    "jaxaudit.attacks.runner.Scorer.submit",
    "jaxaudit.attacks.provenance.ProvenanceAttack.submit",
    "jaxaudit.attacks.drawing.Drawing.submit",
    "jaxaudit.attacks.completion.ExtractionAttack.rank",
    "jaxaudit.attacks.completion.ExtractionAttack.encode",
    "jaxaudit.attacks.localization.ActivationMeter.submit",
    "jaxaudit.attacks.schedule_attack.ScheduleAttack.submit",
    "jaxaudit.training.loop.fit",
    "jaxaudit.training.stages.fit",
    "jaxaudit.stats.membership_inference",
    "jaxaudit.audits.fair_sets.features.batches",
    "checkpoints_convert.pipeline.convert",
    "checkpoints_convert.extractors.convert",
)
"""What the programs do with inputs that are right."""


load_target = functools.cache(jaxaudit.load_target)  # most of the corpus asks for the same one


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with everything that the corpus names, right and wrong."""
    folder = tmp_path_factory.mktemp("inputs")
    target = tiny.var_target()
    saved = {"config": tiny.VAR_CONFIG, "params": target.params, "preprocessing": target.preprocessing}
    for name in ("target", "digits_var"):
        save_target(folder / name, family="var", provenance={}, **saved)
    _canaries(folder, saved)
    make_evidence(folder / "evidence", samples=20)
    make_evidence(folder / "one_label", samples=20, sources=("folder:p?label=3", "folder:u"))
    (folder / "file").write_text("a file")
    _pictures(folder)
    _archives(folder)
    _checkpoints(folder)
    return folder


def _pictures(folder):
    for label in range(10):
        _picture(folder / "named" / f"class {label}" / "a.png")
        for place in range(2):
            _picture(folder / "labelled" / str(label) / f"{place}.png")
        _picture(folder / "flat" / f"{label}.png")
    _picture(folder / "line\nbreak" / "0" / "[" / "b] a.png")
    (folder / "line\nbreak" / "0" / "[" / "b] broken\n.png").write_text("no picture")
    (folder / "empty").mkdir()
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "classes.txt").write_text("class 0\nclass 1\n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00")


def _canaries(folder, saved):
    source = resolve_condition(open_source("digits:members[:40]"), tiny.var_target())
    asked, others = (look(each, tiny.DIGITS, silent) for each in (source, source.take([0])))
    coins, _ = draw_canaries(asked, others, seed=0)
    provenance = {"canaries": canary_record(asked, coins)}
    save_target(folder / "canaried", family="var", provenance=provenance, **saved)
    write_results(coins_path(folder / "canaried"), coins)


def _picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(str(path))).integers(0, 256, (8, 8, 3), np.uint8)).save(path)


def _archives(folder):
    pictures, labels = np.zeros((30, 8, 8, 3), np.uint8), np.zeros(30, int)
    arrays = {
        "small": {"images": pictures[:, :6], "labels": labels},
        "no_labels": {"images": pictures},
        "label_12": {"images": pictures, "labels": labels + 12},
        "half_labels": {"images": pictures, "labels": labels + 0.5},
        "bright": {"images": pictures.astype(np.float32) + 2, "labels": labels},
        "nan": {"images": np.full(pictures.shape, np.nan), "labels": labels},
        "objects": {"images": np.array([None] * 3), "labels": labels},
        "fine": {"images": pictures, "labels": labels},
    }
    for name, each in arrays.items():
        np.savez(folder / f"{name}.npz", **each)
    header = b"\x93NUMPY\x02\x00" + (1 << 20).to_bytes(4, "little") + b" " * (1 << 20)
    shape = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 8, 8, 3), }"
    for name, member in (
        ("huge_header", header),
        ("huge_shape", b"\x93NUMPY\x01\x00\x76\x00" + shape.ljust(117) + b"\n"),
    ):
        with zipfile.ZipFile(folder / f"{name}.npz", "w") as archive:
            archive.writestr("images.npy", member)
    whole = (folder / "fine.npz").read_bytes()
    local, central = whole.index(b"PK\x03\x04"), whole.index(b"PK\x01\x02")
    for name, at, value in (("encrypted", (6, 8), 1), ("oddly_packed", (8, 10), 97)):
        changed = bytearray(whole)
        changed[local + at[0]] = changed[central + at[1]] = value
        (folder / f"{name}.npz").write_bytes(changed)
    (folder / "cut.npz").write_bytes(whole[:-30])
    np.save(folder / "lone.npy", pictures)


def _checkpoints(folder):
    weights = {"pos_1LC": torch.zeros(1, 5, 8), "lvl_embed.weight": torch.zeros(3, 8)}
    torch.save(weights, folder / "weights.pth")
    cyclic: dict[str, Any] = dict(weights)
    cyclic["again"] = cyclic
    torch.save(cyclic, folder / "cyclic.pth")
    torch.save({"w": weights["pos_1LC"].to(torch.float8_e4m3fn)}, folder / "float8.pth")
    save_file({"w": weights["pos_1LC"].to(torch.float8_e4m3fn)}, folder / "float8.safetensors")
    with warnings.catch_warnings(action="ignore"):  # scripting is deprecated, and such files are about
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "scripted.pth")
    torch.save(torch.nn.Linear(2, 2), folder / "module.pth")
    torch.save([weights], folder / "list.pth")
    torch.save({"w": torch.eye(3).to_sparse()}, folder / "sparse.pth")
    whole = (folder / "weights.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(folder / "weights.pth") as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data/0"))
        start = archive.getinfo(name).header_offset
    length = int.from_bytes(whole[start + 26 : start + 28], "little")
    extra = int.from_bytes(whole[start + 28 : start + 30], "little")
    flipped = bytearray(whole)
    flipped[start + 30 + length + extra + 7] ^= 0x40
    (folder / "flipped.pth").write_bytes(flipped)
    (folder / "page.pth").write_text("<!DOCTYPE html>")


RIGHT = {
    "audit": {"target": "{here}/target", "scores": "diff/loss,diff/icas"},
    "identify_data": {
        "target": "{here}/target", "published": "digits:members", "unpublished": "digits:nonmembers",
    },
    "provenance": {
        "target": "{here}/target", "published": "digits:members", "unpublished": "digits:nonmembers",
    },
    "provenance_study": {"targets": "{here}/target"},
    "compare": {"targets": "{here}/target"},
    "leaderboard": {"targets": "{here}/target", "scores": "diff/loss"},
    "extract": {"target": "{here}/target"},
    "regenerate": {"target": "{here}/target"},
    "match_sets": {"pool_p": "digits:members", "pool_u": "digits:nonmembers", "out": "sets"},
    "schedules": {"target": "digits_dit"},
    "localize": {"target": "{here}/target"},
    "mitigate": {"target": "{here}/target", "criteria": "", "noise": "1"},
    "defend": {"target": "{here}/target", "criteria": "random"},
    "train_target": {"out": "trained"},
    "train_family": {"out": "family"},
    "epsilon": {"target": "{here}/canaried"},
    "benchmark": {"target": "{here}/target", "gemm": "128"},
    "plan": {"target": "digits_rar", "device": "v5e", "num_images": "10"},
    "compile": {"targets": "digits_rar", "devices": "v5e", "out": "compiled.json"},
    "precision": {"targets": "{here}/target"},
    "reliability": {"targets": "{here}/target"},
    "verdict": {"evidence": "{here}/evidence"},
    "cdi_studies": {"evidence": "{here}/evidence", "sizes": "5", "repetitions": "2"},
    "convert": {
        "family": "var", "generator": "{here}/weights.pth", "tokenizer": "{here}/weights.pth", "out": "made",
    },
}  # fmt: skip
"""Flags with which a program would get to work."""

EXTRACTOR = {"family": "sscd", "generator": None, "tokenizer": None, "weights": "{here}/weights.pth"}
BELOW_A_FILE, TOO_LONG, NOWHERE = "{here}/file/out", "o" * 300, "/proc/no/such/place"

PLACES = [
    (program, {"out": out}, words)
    for program in RIGHT
    for out, words in (
        (BELOW_A_FILE, "file is no folder, so nothing can be written to"),
        (TOO_LONG, "File name too long"),
        (NOWHERE, f"Nothing can be written to {NOWHERE}"),
    )
]
FILE_WRITERS = ("benchmark", "compile", "plan")
FILES = [(program, {"out": "{here}/file"}, "file is") for program in RIGHT if program not in FILE_WRITERS]
OTHER_PLACES = [
    ("audit", {"index": BELOW_A_FILE}, "file is no folder, so nothing can be written to"),
    ("identify_data", {"index": NOWHERE}, f"Nothing can be written to {NOWHERE}"),
    *((program, {"out": "{here}/empty"}, "is there and no file") for program in FILE_WRITERS),
    ("convert", {**EXTRACTOR, "out": BELOW_A_FILE}, "is no folder"),
    ("convert", {**EXTRACTOR, "out": TOO_LONG}, "File name too long"),
    ("convert", {**EXTRACTOR, "out": "{here}/empty"}, "exists"),
    ("train_target", {"out": "{here}/target"}, "already holds a target"),
    ("train_target", {"out": "{here}/named"}, "is not empty and not a target"),
    ("train_target", {"out": "o" * 240}, "File name too long"),  # fits, but not while it is written
]
SCORED = (
    "audit", "identify_data", "compare", "leaderboard", "extract", "regenerate", "localize", "mitigate",
)  # fmt: skip
SCORED = ("audit", "identify_data", "compare", "extract", "regenerate", "schedules", "localize", "mitigate")
SCORED = ("audit", "identify_data", "provenance", "compare", "extract", "regenerate", "localize", "mitigate")
SCORED = ("audit", "identify_data", "compare", "extract", "regenerate", "localize", "mitigate", "epsilon")
SCORED = ("audit", "identify_data", "compare", "extract", "regenerate", "localize", "mitigate", "defend")
NUMBERS = [
    *((program, {"seed": 2**63}, "--seed=9223372036854775808 is too large") for program in SCORED),
    *((program, {"batch_size": 10**30}, "--batch_size") for program in SCORED),
    *(
        (program, {"alpha": value}, "--alpha")
        for program in ("audit", "identify_data", "compare", "mitigate", "defend", "verdict", "cdi_studies")
        for value in ("nan", "0")
    ),
    *(
        (program, {"alpha": 1e-5}, "9999 permutations cannot give a p-value of 1e-05; at least 99999 are")
        for program in ("audit", "identify_data", "compare", "mitigate", "verdict")
    ),
    *((program, {"power": "nan"}, "--power=nan is no finite number") for program in ("audit", "verdict")),
    ("verdict", {"power": 1}, "--power=1.0 is not between 0 and 1"),
    ("train_target", {"seed": 2**64}, "--seed"),
    ("train_family", {"widths": "64,32"}, "--widths=64,32 must list numbers from 1 on, each larger"),
    ("train_family", {"out": "."}, "'.' is a folder that is there already; name a new one in it"),
    ("train_family", {"widths": "40"}, "width=40 is not a multiple of 32"),
    ("train_family", {"steps": "0,5"}, "--steps=0,5 must list numbers from 1 on"),
    ("train_family", {"steps": "5,many"}, "--steps=5,many is not a list of numbers: 'many'"),
    ("train_family", {"steps": ""}, "--steps= must list numbers"),
    ("train_family", {"family": "sd"}, "is a model of captions, not of classes"),
    ("benchmark", {"gemm": 10**30}, "--gemm"),
    ("benchmark", {"batch_size": 0}, "--batch_size"),
    ("plan", {"num_images": 0}, "--num_images"),
    ("plan", {"share_of_peak": "nan"}, "--share_of_peak=nan is no finite number"),
    ("plan", {"share_of_peak": 2}, "share_of_peak=2.0 is no share"),
    ("compile", {"batch_size": 0}, "--batch_size"),
    ("benchmark", {"yardstick": "true"}, "--yardstick adds rows to a suite"),
    ("precision", {"targets": "{here}/target,{here}/target"}, "two have one name; name each target once"),
    ("reliability", {"sizes": "many"}, "--sizes=many is not a list of numbers: 'many'"),
    ("reliability", {"found": ","}, "--found=, is not a list of numbers"),
    ("reliability", {"sizes": "5000"}, "Two sets of 5000 pictures (nothing is wrong) take 10000 unseen ones"),
    ("precision", {"bound": "nan"}, "--bound=nan is no finite number"),
    ("precision", {"repetitions": 1}, "--repetitions"),
    ("audit", {"num_devices": 64}, "num_devices=64, but this process has"),
    ("audit", {"shard_params": "some"}, "--shard_params=some is not 'auto', 'never' or a number of devices"),
    ("audit", {"shard_params": 3}, "Parameters cannot be split 3 ways over 8 device(s)"),
    ("audit", {"num_samples": -1}, "--num_samples"),
    ("audit", {"mask_ratio": "nan"}, "--mask_ratio=nan is no finite number"),
    ("audit", {"mask_ratio": 0.5}, "discrete"),
    ("audit", {"timestep": "soon"}, "--timestep=soon is neither 'random' nor"),
    ("audit", {"timestep": "²"}, "--timestep=² is neither 'random' nor"),
    ("extract", {"threshold": "nan"}, "--threshold=nan is no finite number"),
    ("extract", {"threshold": 2}, "threshold=2.0 is not a similarity"),
    ("extract", {"prefixes": "1,x"}, "is not a list of numbers: 'x'"),
    ("extract", {"prefixes": "99"}, "99"),
    ("extract", {"reference_size": 1}, "--reference_size"),
    ("regenerate", {"guidance": "nan"}, "--guidance=nan is no finite number"),
    ("regenerate", {"sampler_top_p": 0}, "--sampler_top_p"),
    ("regenerate", {"guidance_power": 0}, "--guidance_power"),
    ("regenerate", {"most_tries": 0}, "--most_tries"),
    ("regenerate", {"prefixes": "1,x"}, "is not a list of numbers: 'x'"),
    ("match_sets", {"margin": "nan"}, "--margin=nan is no finite number"),
    ("match_sets", {"margin": 0.5}, "margin=0.5 is not between 0 and 0.5"),
    ("match_sets", {"image_size": -1}, "--image_size"),
    ("match_sets", {"image_size": 64}, "too few for a target of 64x64"),
    ("match_sets", {"seed": 2**63}, "--seed=9223372036854775808 is too large"),
    ("schedules", {"noises": 0}, "--noises"),
    ("schedules", {"schedules": "1,17"}, "Unknown schedule '17'"),
    ("schedules", {"schedules": ""}, "No schedule is named; there are 1, 2, 3"),
    ("schedules", {"schedules": "4,8"}, "No schedule is left: digits_dit is told one of 10 classes"),
    ("schedules", {"target": "{here}/target"}, "is a discrete target and has no noise to walk through"),
    ("provenance", {"q": "nan"}, "--q=nan is no finite number"),
    ("provenance", {"q": 0.9}, "--q"),
    ("provenance", {"search_steps": 0}, "--search_steps"),
    ("provenance", {"confidence": 1}, "--confidence"),
    ("provenance", {"target": "digits_dit"}, "digits_dit generates pixels: no decoder leaves its trace"),
    ("provenance_study", {"num_images": 19}, "--num_images"),
    ("provenance_study", {"num_images": 400}, "are too few for sets of 400; 400 and 1200 are needed"),
    ("localize", {"top": "nan"}, "--top=nan is no finite number"),
    ("localize", {"top": 1}, "--top=1.0 is not between 0 and 1"),
    ("localize", {"subsets": "0.5,nan"}, "A subset of nan of the pictures"),
    ("localize", {"subsets": "half"}, "--subsets=half are no numbers"),
    ("localize", {"num_views": 10**12}, "--num_views"),
    ("mitigate", {"noise": "nan"}, "Noise of standard deviation nan is not positive"),
    ("mitigate", {"noise": "-1"}, "Noise of standard deviation -1.0"),
    ("mitigate", {"noise": "loud"}, "--noise=loud are no numbers"),
    ("mitigate", {"noise": ""}, "name no change to measure"),
    ("mitigate", {"criteria": "random", "shares": "0"}, "A share of 0.0 of the units"),
    ("mitigate", {"criteria": "random", "shares": "0.5,1.5"}, "A share of 1.5 of the units"),
    ("mitigate", {"criteria": "random", "factor": "nan"}, "--factor=nan is no finite number"),
    ("mitigate", {"criteria": "size"}, "Unknown mitigation 'size'"),
    ("mitigate", {"criteria": "random"}, "holds no map of units"),
    ("defend", {"noise": "-1"}, "Noise of standard deviation -1.0"),
    ("defend", {"noise": "loud"}, "--noise=loud are no numbers"),
    ("defend", {"shares": "1.5"}, "A share of 1.5 of the units"),
    ("defend", {"criteria": "size"}, "Unknown criterion of units 'size'"),
    ("defend", {"criteria": "", "noise": ""}, "name no defence to measure"),
    ("defend", {"factor": 1}, "factor=1.0 does not scale units down"),
    ("defend", {"most_queries": 5}, "most_queries=5 is no power of 4"),
    ("defend", {"most_tries": 0}, "--most_tries"),
    ("defend", {"variants": "digits_var"}, "--variants=digits_var is not NAME@STRENGTH:TARGET"),
    ("defend", {"variants": "early@few:digits_var"}, "--variants=early@few:digits_var is not"),
    ("defend", {"variants": "early@nan:digits_var"}, "--variants=early@nan:digits_var is not NAME@STRENGTH"),
    ("defend", {"variants": "early@400:digits_vra"}, "Unknown target 'digits_vra'"),
    ("defend", {"scores": "diff/min_k_25"}, "did you mean diff/min_k_"),
    ("cdi_studies", {"sizes": "many"}, "'many' is no number of images"),
    ("cdi_studies", {"repetitions": 10**40}, "--repetitions"),
    ("epsilon", {"delta": "nan"}, "--delta=nan is no finite number"),
    ("epsilon", {"delta": 1}, "--delta"),
    ("epsilon", {"confidence": 1}, "--confidence"),
    ("epsilon", {"study": "true", "target": None, "sizes": "many"}, "is not a list of numbers: 'many'"),
    ("epsilon", {"study": "true", "target": None, "sizes": "19"}, "19 are too few; at least 20 canaries"),
    ("epsilon", {"study": "true", "target": None, "runs": 0}, "--runs"),
    ("epsilon", {"study": "true", "target": None, "delta": 0}, "--delta=0 does not apply to --study"),
    ("train_target", {"noise_multiplier": "nan"}, "--noise_multiplier=nan is no finite number"),
    ("train_target", {"noise_multiplier": 0}, "noise_multiplier=0.0 is no positive number"),
    ("train_target", {"noise_multiplier": 1, "clip_norm": -1}, "clip_norm=-1.0 is no positive number"),
    ("train_target", {"clip_norm": 2}, "--clip_norm=2 does not apply without --noise_multiplier"),
    ("train_target", {"family": "mar", "noise_multiplier": 1}, "A new mar standardises its latents"),
    ("train_target", {"image_size": 12}, "image_size=12 is not a power of two"),
    ("train_target", {"width": 33}, "width"),
    ("train_target", {"family": "dit", "tokenizer_steps": 3}, "does not apply to family=dit"),
    ("train_target", {"init": "digits_dit", "width": 64}, "width=64 does not apply to init=digits_dit"),
]  # fmt: skip
NAMES = [
    ("audit", {"target": "digits_vra"}, "Unknown target 'digits_vra'; did you mean digits_var"),
    ("audit", {"target": "[/b]\nno"}, r"Unknown target '[/b]\nno'"),
    ("audit", {"target": "{here}/file"}, "is a file; a target is a directory"),
    ("audit", {"target": "{here}/empty"}, "is no target"),
    ("audit", {"target": "var_d16"}, "weights of var_d16 do not come with jaxaudit"),
    ("plan", {"device": "h10"}, "Unknown device 'h10'; did you mean h100"),
    ("plan", {"target": "var_d61"}, "Unknown target 'var_d61'"),
    ("compile", {"devices": "h10"}, "Unknown device 'h10'; did you mean h100"),
    ("compile", {"targets": "var_d61"}, "Unknown target 'var_d61'"),
    ("audit", {"scores": "diff/min_k_25"}, "did you mean diff/min_k_"),
    ("audit", {"scores": "denoising_loss"}, "Unknown score of a discrete target"),
    ("audit", {"protocol": "papr"}, "protocol"),
    ("audit", {"process": "auto"}, "says which process this is; say I/N, or leave the option out"),
    ("audit", {"process": "4/4"}, "There is no process 4 of 4; they are 0 to 3"),
    ("audit", {"distributed": "here:80,2,0"}, "process='here:80,2,0' is not 'auto' or I/N"),
    ("localize", {"process": "0/²"}, "process='0/²' is not 'auto' or I/N"),
    ("identify_data", {"process": "0/2", "plan": "{here}/plan.json"}, "plan without --process"),
    ("audit", {"out": "s4://bucket/audit"}, "s4://bucket/audit is no place for files"),
    ("extract", {"score": "loss"}, "loss"),
    ("extract", {"similarity": "sscd"}, "sscd"),
    ("extract", {"extractor": "{here}/file", "similarity": "sscd"}, "is no extractor"),
    ("compare", {"targets": "{here}/target,{here}/target"}, "must name each target once"),
    ("compare", {"targets": "{here}/target,digits_vra"}, "Unknown target 'digits_vra'"),
    ("compare", {"targets": ""}, "must name each target once"),
    ("leaderboard", {"targets": "digits_dit,{here}/digits_dit"}, "must name each target once"),
    ("leaderboard", {"targets": "{here}/target,digits_vra"}, "Unknown target 'digits_vra'"),
    ("leaderboard", {"scores": "diff/los"}, "Unknown score of a discrete target 'diff/los'"),
    ("leaderboard", {"targets": "{here}/target,digits_dit"}, "of a diffusion target 'diff/loss'"),
    ("cdi_studies", {"study": ""}, "--study= names no study"),
    ("cdi_studies", {"study": "p_value,p_valeu"}, "Unknown study 'p_valeu'; did you mean p_value"),
    ("cdi_studies", {"evidence": ""}, "--study=p_value needs --evidence=DIR"),
    ("cdi_studies", {"evidence": "{here}/empty"}, "holds no evidence"),
    ("cdi_studies", {"scores": "nothing*"}, "nothing*"),
    ("verdict", {"evidence": "{here}/empty"}, "holds no evidence"),
    ("verdict", {"evidence": "{here}/one_label"}, "gives all its pictures the label 3"),
    ("mitigate", {"units": "{here}/empty", "criteria": "random"}, "units"),
    ("train_target", {"family": "gan"}, "--family"),
    ("train_target", {"canaries": "digits:member"}, "Unknown half of the digits 'member'"),
    ("train_target", {"canaries": "digits:members[:5]"}, "None of the 5 canaries of digits:members[:5]"),
    ("train_target", {"canaries": "digits:nonmembers[:9]"}, "9 are too few; at least 20 canaries that"),
    ("train_target", {"canaries": "digits:nonmembers[:30]"}, "pictures held out are canaries, e.g."),
    (
        "train_target",
        {"family": "sd", "captions": "true", "noise_multiplier": 1},
        "A new sd takes its vocabulary from the captions",
    ),
    ("epsilon", {"target": None}, "--target=DIR is missing"),
    ("epsilon", {"target": "{here}/target"}, "was trained without --canaries, and no list of members"),
    ("epsilon", {"study": "true"}, "does not apply to --study, which audits none"),
    ("epsilon", {"canaries": "digits:members[:39]"}, "[:39] does not hold the canaries of"),
    ("epsilon", {"coins": "{here}/file"}, "file is no CanaryCoins"),
    ("epsilon", {"scores": "diff/min_k_25"}, "did you mean diff/min_k_"),
    ("train_target", {"family": "sd"}, "An sd is a model of captions, not of classes; say --captions."),
    ("train_target", {"captions": "true"}, "Captions do not apply to family=var"),
    ("train_target", {"family": "dit", "captions": "true"}, "Captions do not apply to a DiT"),
    ("train_target", {"family": "sd", "captions": "true", "num_classes": 3}, "num_classes=3 does not apply"),
    ("train_target", {"process": "cosine"}, "process={'name': 'cosine'} does not apply to family=var"),
    ("train_target", {"init": "digits_vra"}, "Unknown target 'digits_vra'"),
    ("train_target", {"init": "digits_dit", "family": "dit"}, "--family=dit does not apply beside --init"),
    ("train_target", {"held_out": "digits:member"}, "Unknown half of the digits 'member'"),
    ("convert", {"variant": "var_d17"}, "Unknown var variant 'var_d17'"),
]  # fmt: skip


def both_sides(spec):
    """The same wrong pictures for every program that takes some."""
    return [
        ("audit", {"members": spec}),
        ("identify_data", {"published": spec}),
        ("provenance", {"published": spec}),
        ("identify_data", {"known_members": spec}),
        ("compare", {"nonmembers": spec}),
        ("leaderboard", {"members": spec}),
        ("extract", {"candidates": spec}),
        ("schedules", {"members": spec}),
        ("localize", {"members": spec}),
        ("mitigate", {"members": spec}),
        ("train_target", {"data": spec}),
        *([("match_sets", {"pool_u": spec})] if "[5:5]" in spec else []),
    ]


SOURCES = (
    [
        (program, flags, words)
        for spec, words in (
            ("digits:members[5:5]", "is empty"),
            ("folder:{here}/named", "?classes=sorted if that is their alphabetical order"),
        )
        for program, flags in both_sides(spec)
    ]
    + [
        ("audit", {"members": spec}, words)
        for spec, words in (
            ("members", "has no scheme"),
            ("digit:members", "did you mean digits"),
            ("digits:member", "member"),
            ("digits:members?shufle=1", "did you mean shuffle"),
            ("digits:members[::0]", "slice of step 0"),
            ("digits:members[:9][:3]", "slice"),
            ("folder:/no/such\nplace", r"The folder /no/such\nplace does not exist"),
            ("folder:{here}/file", "is a file, not a folder"),
            ("folder:{here}/empty", "holds no picture"),
            ("folder:{here}/loop", "does not exist"),
            ("folder:{here}/flat", "gives no label for 10 of its 10 pictures"),
            ("folder:{here}/labelled?label=x", "label=x is not a class index"),
            ("folder:{here}/labelled?label=10", "the target's classes are 0..9"),
            ("folder:{here}/named?classes={here}/classes.txt", "Unknown class"),
            ("folder:{here}/named?classes={here}/binary.txt", "cannot be read"),
            ("folder:{here}/labelled?captions={here}/binary.txt", "cannot be read"),
            ("folder:{here}/labelled?embeddings={here}/encrypted.npz", "cannot be read as a .npz archive"),
            (
                "folder:{here}/labelled?embeddings={here}/float8.safetensors",
                "is F8_E4M3; expected floating point",
            ),
            ("npz:{here}/no.npz", "There is no file"),
            ("npz:{here}/lone.npy", "holds a single array"),
            ("npz:{here}/cut.npz", "cannot be read as a .npz archive"),
            ("npz:{here}/encrypted.npz", "encrypted"),
            ("npz:{here}/oddly_packed.npz", "compression"),
            ("npz:{here}/huge_header.npz", "cannot be read as a .npz archive"),
            ("npz:{here}/huge_shape.npz", "Unable to allocate"),
            ("npz:{here}/objects.npz", "cannot be read as a .npz archive"),
            ("npz:{here}/nan.npz", "floats must lie within [0, 1]"),
            ("npz:{here}/bright.npz", "floats must lie within [0, 1]"),
            ("npz:{here}/small.npz", "8x6 pixels, the target takes exactly 8x8"),
            ("npz:{here}/no_labels.npz", "there is no array 'labels'"),
            ("npz:{here}/label_12.npz", "the target's classes are 0..9"),
            ("matched:{here}/empty", "names no side"),
            ("matched:{here}/empty#p", "cannot be read"),
            ("npz:{here}/half_labels.npz", "expected 30 integers"),
            ("tfds:nothing", "nothing"),
            ("tfds:nothing/train?data_dir={here}/empty", "nothing"),
            ("digits:nonmembers", "identical pixels"),
        )
    ]
    + [
        (
            "localize",
            {"members": "folder:{here}/line\nbreak"},
            r"0/[/b] broken\n.png: it is no picture that Pillow",
        ),
    ]
)
TOO_FEW = [
    ("audit", {"members": "digits:members[:3]"}, "3 members (digits:members[:3]) are too few"),
    ("audit", {"nonmembers": "digits:nonmembers[:29]"}, "at least 30 are needed"),
    ("audit", {"num_samples": 29}, "29 members"),
    ("audit", {"num_samples": 4, "protocol": "paper"}, "at least 5 are needed"),
    ("audit", {"target": "digits_dit", "num_samples": 31, "alpha": 1e-4}, "at least 32 are needed"),
    ("compare", {"num_samples": 29}, "29 members"),
    (
        "leaderboard",
        {"nonmembers": "digits:nonmembers[:29]"},
        "29 nonmembers (digits:nonmembers[:29]) are too few",
    ),
    ("mitigate", {"num_samples": 29}, "29 members"),
    ("identify_data", {"published": "digits:members[:9]"}, "9 members (digits:members[:9]) are too few"),
    ("identify_data", {"unpublished": "digits:nonmembers[:9]"}, "too few"),
    ("match_sets", {"pool_p": "digits:members[:89]"}, "(digits:members[:89]) are too few to be matched"),
    ("match_sets", {"pool_u": "digits:members"}, "The pools overlap entirely: all 898 pictures of P"),
    ("match_sets", {"pool_u": "npz:{here}/label_12.npz"}, "are too few to be matched"),
    ("schedules", {"members": "digits:members[:7]"}, "7 members (digits:members[:7]) are too few"),
    ("identify_data", {"known_members": "digits:members[:9]"}, "9 known members are too few"),
    ("localize", {"members": "digits:members[:1]"}, "take a larger subset"),
    ("localize", {"nonmembers": "digits:nonmembers[:1]"}, "is a single picture"),
]
BESIDE = [
    *(
        (program, {"plan": "{here}/file"}, "file is no Plan")
        for program in ("audit", "identify_data", "verdict")
    ),
    ("audit", {"plan": BELOW_A_FILE}, "is no folder"),
    ("verdict", {"plan": "no.json"}, "--plan=no.json is no file"),
    *(
        (program, {"reference": "digits_vra"}, "did you mean digits_var")
        for program in ("audit", "identify_data", "compare")
    ),
    *(
        (program, {"reference": "{here}/target"}, "The reference has the weights of the target itself")
        for program in ("audit", "identify_data", "compare")
    ),
    ("verdict", {"reference_evidence": "{here}/empty"}, "holds no evidence"),
    ("verdict", {"known_evidence": "{here}/empty"}, "holds no evidence"),
    ("verdict", {"known_evidence": "{here}/evidence"}, "20 known members are the same as"),
    ("identify_data", {"known_members": "digits:members"}, "898 known members are the same as, or altered"),
    ("identify_data", {"known_members": "folder:{here}/empty"}, "holds no picture"),
    ("identify_data", {"previous": "no.json"}, "no.json cannot be read"),
    ("identify_data", {"previous": "{here}/file"}, "file is no OwnersAnswer"),
]
LABELLED = [
    (program, {side: "folder:{here}/flat?label=3"}, "gives all its pictures the label 3, digits:")
    for program, side in (
        ("audit", "nonmembers"),
        ("compare", "nonmembers"),
        ("leaderboard", "members"),
        ("identify_data", "unpublished"),
        ("provenance", "unpublished"),
        ("extract", "validation"),
        ("schedules", "nonmembers"),
        ("localize", "nonmembers"),
        ("mitigate", "members"),
    )
]
CHECKPOINTS = [
    ("convert", {"generator": f"{{here}}/{file}"}, words)
    for file, words in (
        ("no.pth", "No such file"),
        ("file", "neither a PyTorch checkpoint nor"),
        ("page.pth", "is a web page"),
        ("cut.pth", "is not a complete PyTorch checkpoint"),
        ("flipped.pth", "are not those that were written (CRC-32)"),
        ("cyclic.pth", "dicts within dicts without end"),
        ("scripted.pth", "is not a VAR generator"),
        ("module.pth", "pickled Python objects"),
        ("list.pth", "holds a list, not a dict"),
        ("sparse.pth", "is sparse"),
        ("float8.pth", "is float8_e4m3fn, which this converter does not read"),
        ("float8.safetensors", "is F8_E4M3, which this converter does not read"),
    )
]
CORPUS = [
    *PLACES, *FILES, *OTHER_PLACES, *NUMBERS, *NAMES, *SOURCES, *TOO_FEW, *BESIDE, *LABELLED, *CHECKPOINTS,
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "flags", "words"), CORPUS, ids=[f"{i}-{case[0]}" for i, case in enumerate(CORPUS)]
)
def test_wrong_input_is_one_sentence_before_the_work(
    here, tmp_path, monkeypatch, capfd, program, flags, words
):
    for name in LATE:
        monkeypatch.setattr(name, _too_late)
    monkeypatch.setattr("jaxaudit.checkpoint.load_target", load_target)
    monkeypatch.chdir(tmp_path)
    before = _content(here)
    given = {name: value for name, value in {**RIGHT[program], **flags}.items() if value is not None}
    arguments = [f"--{name}={value}".replace("{here}", str(here)) for name, value in given.items()]
    code = run(program, arguments)
    printed = capfd.readouterr().err
    assert code == 2, printed
    assert len(printed.splitlines()) == 1, printed
    assert words in printed
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []
    assert _content(here) == before


def _too_late(*arguments, **options):
    raise AssertionError("the work began")


def _content(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "loop"}


def test_a_folder_that_is_called_like_a_built_in_target_is_ambiguous(here, monkeypatch, capfd):
    monkeypatch.chdir(here)
    assert run("audit", ["--target=digits_var"]) == 2
    assert (
        "digits_var is a built-in target, and the target in the folder digits_var" in capfd.readouterr().err
    )


def test_the_corpus_is_one():
    assert len(CORPUS) >= 120
    assert {program for program, _, _ in CORPUS} == set(RIGHT)
