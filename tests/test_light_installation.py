"""Pages, command line and predictions where the packages of the extra `full` are missing."""

import os
import subprocess
import sys

import pytest

from fer_core import extras
from fer_core.errors import MissingExtraError
from fer_core.project import ROOT


def test_pages_and_predictions_work_without_torch():
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.check_light", "--hide", "--one"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "synthetic: 1 of 2 runs answer" in result.stdout
    assert result.stdout.count(": opens") == 5
    assert result.stdout.count(": names the extra") == 2


def test_what_needs_torch_names_the_extra(monkeypatch):
    extras.require_torch("Saliency")  # installed here
    monkeypatch.setattr(extras, "torch_installed", lambda: False)
    with pytest.raises(MissingExtraError, match=r"^Saliency needs PyTorch.*'ferscope\[full\]'"):
        extras.require_torch("Saliency")


def test_only_packages_of_the_extra_are_explained():
    missing = extras.missing_extra(ModuleNotFoundError("no", name="timm.models"))
    assert "the package timm" in str(missing)
    assert extras.missing_extra(ModuleNotFoundError("no", name="fer_core.typo")) is None
    assert extras.missing_extra(ImportError("no")) is None


def test_every_package_that_names_the_extra_is_in_the_full_lock_alone():
    full, light = ((ROOT / f"requirements{part}.lock").read_text() for part in ("", "-light"))
    names = {"pytorch_grad_cam": "grad-cam"}
    for package in extras.FULL_ONLY:
        line = f"\n{names.get(package, package).replace('_', '-')}=="
        assert line in full
        assert line not in light


def test_the_light_list_is_a_part_of_the_full_one():
    light, full = (
        {line for line in (ROOT / name).read_text().splitlines() if line[:1] not in ("", "#")}
        for name in ("requirements-light.txt", "requirements.txt")
    )
    assert light < full
    assert not {"torch", "timm", "transformers"} & {line.split(">")[0] for line in light}
