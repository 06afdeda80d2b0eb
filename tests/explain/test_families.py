"""Maps of networks of other libraries: they must point at the face that makes the answer.

Each family is trained, at tiny size and for some steps, on one drawn face in one of four quadrants.
The face's tint is the class, so the evidence is where the face is. A map that is blank, inverted,
transposed or in the wrong order of tokens fails.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fer_core.config import ModelConfig
from fer_core.explain.ground_truth import hit, mass_inside
from fer_core.explain.methods import METHODS, default_method, explain, methods_for
from fer_core.explain.saliency import ExplainError
from fer_core.models import build_model, spec_of
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
    "mobilenetv3": ("timm:mobilenetv3_small_050", {}),
    "regnet": ("timm:regnetx_002", {}),
    "efficientnetv2": ("timm:efficientnetv2_rw_t", {"channel_multiplier": 0.2}),
    "maxvit": (
        "timm:maxvit_rmlp_pico_rw_256",
        {"depths": [1, 1, 1, 1], "embed_dim": [16, 16, 32, 32], "stem_width": [8, 16]},
    ),
    "beit": (
        "timm:beit_base_patch16_224",
        {"depth": 3, "embed_dim": 48, "num_heads": 3, "patch_size": 8},
    ),
    "mixer": ("timm:mixer_s32_224", {"num_blocks": 3, "embed_dim": 48, "patch_size": 8}),
    "ghostnet": ("timm:ghostnet_050", {}),
}


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


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request):
    architecture, options = FAMILIES[request.param]
    torch.manual_seed(0)
    config = ModelConfig(architecture=architecture, image_size=SIDE, options=options)
    model = build_model(config, CLASSES)
    images, classes, _ = faces(192, 0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(48):
        batch = slice(32 * (step % 6), 32 * (step % 6) + 32)
        loss = F.cross_entropy(model(images[batch]), classes[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for module in model.modules():  # so few steps leave running statistics behind
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum, module.running_mean, module.running_var = (
                None, torch.zeros_like(module.running_mean), torch.ones_like(module.running_var),
            )  # fmt: skip
            module.num_batches_tracked.zero_()
    with torch.no_grad():
        for start in range(0, 192, 64):
            model(images[start : start + 64])
    return model.eval().requires_grad_(False), config
