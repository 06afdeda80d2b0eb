"""Maps of networks of other libraries: they must point at the face that makes the answer.

Each family, at tiny size, gets a classifier that is fitted to its random features. The pictures
show a drawn face in one of four quadrants, on noise. The face's tint is the class, so the evidence
is where the face is, and covering that quadrant takes it away. A map that is blank, inverted,
transposed, or in the wrong order of tokens fails.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.explain.cam import layer_cam
from fer_core.explain.features import penultimate
from fer_core.explain.methods import METHODS, explain, methods_for
from fer_core.explain.saliency import Detail, ExplainError, Question, Target, to_side
from fer_core.models import ModelSpec, build_model, spec_of
from fer_core.synthetic.face import render

SIDE, HALF, CLASSES = 64, 32, 4

FAMILIES = {
    "resnet": ("timm:resnet10t", {"channels": [8, 16, 32, 32]}),
    "convnext": ("timm:convnext_atto", {"depths": [1, 1, 2, 1], "dims": [16, 24, 32, 48]}),
    "swin": (
        "timm:swin_tiny_patch4_window7_224",
        {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [2, 2, 4, 4], "window_size": 2},
    ),
    "deit": ("timm:deit_tiny_patch16_224", {"depth": 3, "embed_dim": 48, "patch_size": 8}),
    "dinov2 with registers": (
        "timm:vit_small_patch14_reg4_dinov2",
        {"depth": 3, "embed_dim": 48, "num_heads": 3, "patch_size": 8, "init_values": 1.0},
    ),
    "regnet": ("timm:regnetx_002", {}),
    "beit": (
        "timm:beit_base_patch16_224",
        {"depth": 3, "embed_dim": 48, "num_heads": 3, "patch_size": 8},
    ),
    "maxvit": (
        "timm:maxvit_rmlp_pico_rw_256",
        {"embed_dim": [32, 32, 64, 64], "depths": [1, 1, 1, 1], "stem_width": 16},
    ),
    "mixer": ("timm:mixer_s16_224", {}),
}

DEEP = {
    "mobilenetv3": ("timm:mobilenetv3_small_050", {}),
    "efficientnetv2": (
        "timm:tf_efficientnetv2_b0",
        {"depth_multiplier": 0.3, "channel_multiplier": 0.3},
    ),
    "ghostnet": ("timm:ghostnet_050", {}),
}
"""Families whose random features hold too little of the face: they are trained for some steps."""


def faces(count: int, seed: int, drawn_classes: int = CLASSES):
    """Pictures (N, 3, 64, 64), their classes, and where the face is, as masks.

    The last class has no face: else a network could know one tint by the absence of the others.
    """
    random = np.random.default_rng(seed)
    images = 0.3 * random.standard_normal((count, 3, SIDE, SIDE)).astype(np.float32)
    classes = np.arange(count) % drawn_classes
    masks = np.zeros((count, SIDE, SIDE), bool)
    drawn = [render(seed + person, "happy").image for person in range(4)]
    small = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255
    small = F.interpolate(small, (HALF, HALF), mode="area").mean(dim=1).numpy()
    for index, tint in enumerate(classes):
        y, x = HALF * random.integers(0, 2, 2)
        face = small[random.integers(0, len(small))]
        if tint < CLASSES - 1:
            images[index, tint, y : y + HALF, x : x + HALF] += 2 * face
        masks[index, y : y + HALF, x : x + HALF] = True
    return torch.from_numpy(images), torch.from_numpy(classes), masks


def fit_head(model: torch.nn.Module, spec: ModelSpec) -> None:
    """Fits the classifier to the network's random features by ridge regression."""
    images, classes, _ = faces(96, 0)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(images[:48])  # statistics of the batch norms
    model.eval().requires_grad_(False)
    features = torch.from_numpy(penultimate(model, spec, images)).double()
    mean, std = features.mean(0), features.std(0) + 1e-6
    scaled = (features - mean) / std
    targets = 8 * F.one_hot(classes, CLASSES).double() - 2
    penalty = 0.1 * len(scaled) * torch.eye(scaled.shape[1], dtype=torch.double)
    weights = torch.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ targets)
    head = model.get_submodule(spec.head)
    with torch.no_grad():
        head.weight.copy_((weights / std[:, None]).T)
        head.bias.copy_(targets.mean(0) - (mean / std) @ weights)


def train(model: torch.nn.Module, steps: int = 40) -> None:
    """Trains a network for some steps and sets the statistics of its batch norms."""
    images, classes, _ = faces(96, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    random = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(steps):
        rows = torch.randperm(len(images), generator=random)[:24]
        optimizer.zero_grad()
        F.cross_entropy(model(images[rows]), classes[rows]).backward()
        optimizer.step()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model(images[:48])
    model.eval().requires_grad_(False)


def by_quadrant(values) -> np.ndarray:
    """Returns the mean of each quadrant of maps (N, 64, 64); shape (N, 4)."""
    array = np.asarray(values).reshape(-1, 2, HALF, 2, HALF)
    return array.mean(axis=(2, 4)).reshape(-1, 4)


def occluded(model: torch.nn.Module, images: torch.Tensor, classes: torch.Tensor) -> np.ndarray:
    """Returns how far the class's logit falls when each quadrant is covered; shape (N, 4)."""
    falls = []
    with torch.no_grad():
        rows = torch.arange(len(images))
        whole = model(images)[rows, classes]
        for y, x in ((0, 0), (0, HALF), (HALF, 0), (HALF, HALF)):
            covered = images.clone()
            covered[:, :, y : y + HALF, x : x + HALF] = 0
            falls.append(whole - model(covered)[rows, classes])
    return torch.stack(falls, dim=1).numpy()


@pytest.fixture(scope="module", params=FAMILIES)
def fitted(request):
    """A network, its configuration, and pictures with their classes and masks."""
    architecture, options = FAMILIES[request.param]
    torch.manual_seed(0)
    config = ModelConfig(architecture=architecture, image_size=SIDE, options=options)
    model = build_model(config, CLASSES)
    fit_head(model, spec_of(config))
    return model, config, *faces(24, 50, drawn_classes=CLASSES - 1)


def test_maps_follow_the_evidence(fitted):
    """Maps agree with what covering each quadrant does to the class's logit."""
    model, config, images, classes, masks = fitted
    falls, where = occluded(model, images, classes), by_quadrant(masks).argmax(axis=1)
    assert (falls.argmax(axis=1) == where).mean() > 0.6  # the network itself reads the face
    targets = [Target(int(label)) for label in classes]
    methods = ["grad_cam", *(["chefer"] if spec_of(config).family == "vit" else [])]
    for method in methods:
        maps = [one.values for one in explain(model, config, images, targets, method)]
        assert all(np.isfinite(one).all() and np.ptp(one) > 0 for one in maps), "blank"
        found = by_quadrant(maps)
        assert (found.argmax(axis=1) == where).mean() > 0.5, method  # chance is 0.25
        agreement = [np.corrcoef(*pair)[0, 1] for pair in zip(found, falls, strict=True)]
        assert np.mean(agreement) > 0.2, method  # not inverted


READS_INSIDE = [
    method.key
    for method in METHODS.values()
    if method.reads_layer or (method.needs_network and "other" not in method.families)
]
"""Methods that read layers or attention; the others need only gradients or answers."""


def test_no_offered_map_is_blank_or_points_away_from_the_evidence(fitted):
    model, config, images, classes, _ = fitted
    require_useful_maps(model, config, images[:9], classes[:9])


@pytest.mark.parametrize("name", DEEP)
def test_no_map_of_a_deep_family_is_blank_or_points_away_from_the_evidence(name):
    architecture, options = DEEP[name]
    torch.manual_seed(0)
    config = ModelConfig(architecture=architecture, image_size=SIDE, options=options)
    model = build_model(config, CLASSES)
    train(model)
    images, classes, masks = faces(9, 50, drawn_classes=CLASSES - 1)
    where = by_quadrant(masks).argmax(axis=1)
    reads = (occluded(model, images, classes).argmax(axis=1) == where).mean()
    assert reads > 0.5  # chance is 0.25
    assert METHODS["ablation_cam"] not in methods_for(config)
    require_useful_maps(model, config, images, classes)


def require_useful_maps(
    model: torch.nn.Module, config: ModelConfig, images: torch.Tensor, classes: torch.Tensor
) -> None:
    """Over some images, agreement with covering is not below zero by two standard errors.

    Maps that are the same for every class show where the network looks, not the evidence for one,
    and must only not be blank.
    """
    falls = occluded(model, images, classes)
    targets = [Target(int(label)) for label in classes]
    for method in methods_for(config):
        if method.key not in READS_INSIDE:
            continue
        maps = [one.values for one in explain(model, config, images, targets, method.key)]
        assert all(np.isfinite(one).all() and np.ptp(one) > 0 for one in maps), method.key
        found = by_quadrant(maps)
        agreement = [np.corrcoef(*pair)[0, 1] for pair in zip(found, falls, strict=True)]
        bound = np.mean(agreement) + 2 * np.std(agreement) / np.sqrt(len(agreement))
        assert bound > 0 or not method.by_class, method.key


def test_methods_that_a_family_does_not_support_say_why(fitted):
    model, config, images, _, _ = fitted
    spec = spec_of(config)
    unsupported = [method for method in METHODS.values() if method not in methods_for(config)]
    refused = [method for method in unsupported if "blocks" in method.refusal(spec)]
    assert bool(refused) == (spec.family != "vit")
    assert (METHODS["layer_cam"] in unsupported) == spec.inverts_layer_cam
    assert (METHODS["ablation_cam"] in unsupported) == (spec.layout == "tokens")
    for method in refused:
        with pytest.raises(ExplainError, match="no blocks that attend from all tokens to all"):
            explain(model, config, images[:1], [None], method.key)


def test_layer_cam_is_refused_where_its_map_is_inverted(fitted):
    model, config, images, classes, _ = fitted
    targets = [Target(int(label)) for label in classes]
    _, maps = layer_cam(Question(model, config, images, targets, Detail()))
    found, falls = by_quadrant(to_side(maps, SIDE)), occluded(model, images, classes)
    agreement = np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(found, falls, strict=True)])
    assert (agreement < 0) == spec_of(config).inverts_layer_cam
    if agreement < 0:
        with pytest.raises(ExplainError, match="point away from it"):
            explain(model, config, images, targets, "layer_cam")
