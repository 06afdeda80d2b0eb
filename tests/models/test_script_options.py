"""Options that training scripts save beside the weights."""

import argparse

import numpy as np
import pytest

from fer_core.models.script_options import ScriptOptions, script_options


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"hyper_parameters": {"global_pool": "avg", "lr": 0.1}}, {"global_pool": "avg"}),
        ({"args": argparse.Namespace(gp="max", act_layer=None)}, {"global_pool": "max"}),
        ({"config": {"model": {"model_kwargs": {"class_token": False}}}}, {"class_token": False}),
        ({"args": {"act_layer": np.tanh, "img_size": [64, 64]}}, {}),
    ],
)
def test_arguments_of_the_network_are_found(content, expected):
    assert script_options(content) == ScriptOptions(network=expected)


@pytest.mark.parametrize(
    "labels", [["sad", "happy"], {"happy": np.int64(1), "sad": 0}, {1: "happy", "0": "sad"}]
)
def test_classes_are_found_in_output_order(labels):
    nested = {"meta": {"dataset_meta": {"classes": labels}}, "labels": [0, 1]}
    assert script_options(nested).labels == ("sad", "happy")
