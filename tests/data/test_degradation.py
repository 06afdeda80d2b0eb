"""What spoils training images: hand-worked cases, Pillow's JPEG, and what was drawn before."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from fer_core.config import AugmentConfig
from fer_core.data.degradation import Degradation, compress
from fer_core.data.transforms import Augmentation
from fer_core.errors import RecipeError
from tests.support.builders import toy_recipe

SHARES = ("erase", "blur", "noise", "jpeg")
EVERYTHING = dict.fromkeys(SHARES, 1.0) | {"light": 0.5, "gamma": 0.5}


def draw(count: int, seed: int = 0, **options: float) -> Degradation:
    config = AugmentConfig(**options)
    return Degradation.draw(count, config, torch.Generator().manual_seed(seed))


def pictures(count: int, channels: int = 1, side: int = 48) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1))


class TestOff:
    def test_without_degradations_images_are_unchanged(self) -> None:
        generator = torch.Generator().manual_seed(3)
        before = generator.get_state()
        nothing = Degradation.draw(5, AugmentConfig(), generator)
        assert torch.equal(generator.get_state(), before)
        images = pictures(5)
        assert nothing.apply(images) is images

    def test_recipes_without_degradations_draw_the_same_numbers(self) -> None:
        """The order of draws, written down again: recipes of old train on the same images."""
        config = AugmentConfig(rotation=15, scale=0.15, shift=0.1, brightness=0.25, cutmix=0.25)
        drawn = Augmentation.draw(6, config, torch.Generator().manual_seed(11))

        generator = torch.Generator().manual_seed(11)

        def uniform(reach: float, centre: float = 0.0) -> Tensor:
            return centre + (torch.rand(6, generator=generator) * 2 - 1) * reach

        angle, size = uniform(math.radians(15)), uniform(0.15, 1.0)
        across, down = uniform(0.2), uniform(0.2)
        sign = torch.where(torch.rand(6, generator=generator) < 0.5, -1.0, 1.0)
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        assert torch.equal(drawn.matrices[:, 0], torch.stack([sign * cos, -sin, across], dim=1))
        assert torch.equal(drawn.matrices[:, 1], torch.stack([sign * sin, cos, down], dim=1))
        assert torch.equal(drawn.brightness, uniform(0.25, 1.0))
        assert torch.equal(drawn.contrast, uniform(0.2, 1.0))
        assert torch.equal(drawn.saturation, uniform(0.2, 1.0))
        chosen = torch.rand(6, generator=generator) < 0.25
        assert torch.equal(drawn.boxes[:, 2] > drawn.boxes[:, 0], chosen)
        assert drawn.perspective is None

    def test_degradations_do_not_change_the_draws_of_other_augmentations(self) -> None:
        def whole(**options: object) -> Augmentation:
            config = AugmentConfig(cutmix=0.5, **options)
            return Augmentation.draw(8, config, torch.Generator().manual_seed(5))

        old, new = whole(), whole(perspective=0.1, **EVERYTHING)
        for name in ("matrices", "brightness", "contrast", "saturation", "boxes"):
            assert torch.equal(getattr(old, name), getattr(new, name)), name


class TestCovering:
    def test_an_occlusion_box_has_its_grey_value(self) -> None:
        boxes = torch.tensor([[0.25, 0.5, 0.75, 0.75, 0.3], [0.5, 0.5, 0.5, 0.5, 0.9]])
        covered = Degradation(boxes=boxes).apply(torch.ones(2, 3, 8, 8))
        expected = torch.ones(2, 3, 8, 8)
        expected[0, :, 4:6, 2:6] = 0.3
        torch.testing.assert_close(covered, expected)

    def test_occlusion_boxes_cover_eyes_or_mouth_at_the_configured_rate(self) -> None:
        boxes = draw(2000, erase=0.25).boxes
        assert boxes is not None
        x0, y0, x1, y1, grey = boxes.unbind(1)
        chosen = x1 > x0
        assert 0.22 <= float(chosen.float().mean()) <= 0.28
        middle = ((y0 + y1) / 2)[chosen]
        eyes = (middle > 0.2) & (middle < 0.49)
        mouth = (middle > 0.58) & (middle < 0.91)
        assert bool((eyes ^ mouth).all())
        assert 0.4 <= float(eyes.float().mean()) <= 0.6
        assert float((x1 - x0).max()) <= 0.6 + 1e-6
        assert float((y1 - y0).max()) <= 0.3 + 1e-6
        assert 0 <= float(grey.min()) < 0.1
        assert 0.9 < float(grey.max()) <= 1


class TestLight:
    def test_a_light_gradient_brightens_one_side_and_darkens_the_other(self) -> None:
        lit = Degradation(light=torch.tensor([[0.4, 0.0], [0.0, -0.2]])).apply(
            torch.full((2, 1, 4, 4), 0.5)
        )
        ramp = 0.5 * (1 + 0.4 * torch.tensor([-0.75, -0.25, 0.25, 0.75]))
        torch.testing.assert_close(lit[0, 0], ramp.expand(4, 4))
        ramp = 0.5 * (1 - 0.2 * torch.tensor([-0.75, -0.25, 0.25, 0.75]))
        torch.testing.assert_close(lit[1, 0], ramp.view(4, 1).expand(4, 4))

    def test_light_gradients_have_all_directions_and_at_most_the_configured_strength(self) -> None:
        light = draw(1000, light=0.3).light
        assert light is not None
        strength = light.norm(dim=1)
        assert 0.29 < float(strength.max()) <= 0.3 + 1e-6
        assert bool((light.amax(0) > 0.25).all())
        assert bool((light.amin(0) < -0.25).all())

    def test_gamma_is_an_exponent(self) -> None:
        images = torch.tensor([0.0, 0.25, 1.0]).expand(2, 1, 3, 3)
        changed = Degradation(gamma=torch.tensor([0.5, 2.0])).apply(images)
        torch.testing.assert_close(changed[0, 0, 0], torch.tensor([0.0, 0.5, 1.0]))
        torch.testing.assert_close(changed[1, 0, 0], torch.tensor([0.0, 0.0625, 1.0]))

    def test_gamma_is_drawn_on_a_log_scale(self) -> None:
        gamma = draw(1000, gamma=0.3).gamma
        assert gamma is not None
        assert math.exp(-0.3) <= float(gamma.min()) < 0.76
        assert 1.33 < float(gamma.max()) <= math.exp(0.3) + 1e-6
        assert abs(float(gamma.log().mean())) < 0.02


class TestCamera:
    def test_blur_of_a_point_is_the_binomial_kernel(self) -> None:
        images = torch.zeros(2, 1, 9, 9)
        images[:, 0, 4, 4] = 1.0
        blurred = Degradation(blur=torch.tensor([1.0, 0.0])).apply(images)
        row = torch.tensor([1.0, 4, 6, 4, 1]) / 16
        torch.testing.assert_close(blurred[0, 0, 2:7, 2:7], torch.outer(row, row))
        torch.testing.assert_close(blurred[0].sum(), torch.tensor(1.0))
        assert torch.equal(blurred[1], images[1])

    def test_partial_blur_interpolates_and_keeps_flat_images(self) -> None:
        images = pictures(1, 3)
        whole = Degradation(blur=torch.ones(1)).apply(images)
        half = Degradation(blur=torch.full((1,), 0.5)).apply(images)
        torch.testing.assert_close(half, (images + whole) / 2)
        flat = torch.full((1, 3, 6, 6), 0.3)
        torch.testing.assert_close(Degradation(blur=torch.ones(1)).apply(flat), flat)

    def test_noise_has_the_configured_deviation_and_equals_across_channels(self) -> None:
        grey = torch.full((2, 3, 48, 48), 0.5)
        noise = torch.tensor([[0.05, 10.0, 250.0], [0.0, 3.0, 4.0]])
        noisy = Degradation(noise=noise).apply(grey)
        difference = noisy[0] - grey[0]
        assert torch.equal(difference[0], difference[2])
        assert 0.045 < float(difference[0].std()) < 0.055
        assert abs(float(difference[0].mean())) < 0.005
        assert torch.equal(noisy[1], grey[1])

    def test_noise_differs_between_crops_of_the_noise_field(self) -> None:
        grey = torch.full((2, 1, 16, 16), 0.5)
        noise = torch.tensor([[0.05, 0.0, 0.0], [0.05, 1.0, 0.0]])
        first, second = Degradation(noise=noise).apply(grey)
        assert not torch.allclose(first, second)
        torch.testing.assert_close(first[..., 1:], second[..., :-1])  # cut one column further on


class TestJpeg:
    @pytest.mark.parametrize("quality", [15, 40, 60, 90])
    def test_compression_equals_pillows_jpeg(self, quality: int) -> None:
        ramp = np.add.outer(np.arange(48.0), 2 * np.arange(48.0))
        waves = 60 * np.sin(np.arange(48) / 3)[:, None] * np.cos(np.arange(48) / 5)
        image = np.clip(40 + ramp + waves, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(file)).astype(int)
        image_tensor = torch.from_numpy(image).float().div(255).view(1, 1, 48, 48)
        result = (
            compress(image_tensor, torch.tensor([float(quality)]))
            .mul(255)
            .round()
            .int()[0, 0]
            .numpy()
        )
        assert np.abs(expected - image.astype(int)).max() > 1  # the file did lose something
        # libjpeg computes in integers: where a coefficient lies at a half, a block may differ
        blocks = np.abs(result - expected).reshape(6, 8, 6, 8).max(axis=(1, 3))
        assert np.sum(blocks <= 1) >= 31
        assert np.abs(result - expected).mean() < 0.5

    def test_compression_handles_any_side_and_colour(self) -> None:
        images = pictures(2, 3, side=21)
        changed = compress(images, torch.tensor([30.0, 80.0]))
        assert changed.shape == images.shape
        loss = (changed - images).abs().mean(dim=(1, 2, 3))
        assert float(loss[0]) > float(loss[1]) > 0

    def test_compression_keeps_flat_images(self) -> None:
        images = torch.full((1, 1, 16, 16), 0.5)
        changed = compress(images, torch.tensor([20.0]))
        assert float((changed - images).abs().max()) < 0.02


@pytest.mark.parametrize("option", ["blur", "noise", "jpeg"])
def test_unselected_images_are_unchanged_bit_for_bit(option: str) -> None:
    drawn = draw(200, **{option: 0.15})
    images = pictures(200, side=16)
    changed = (drawn.apply(images) != images).flatten(1).any(1)
    assert 15 <= int(changed.sum()) <= 45
    nothing = draw(4, **{option: 1e-9})
    assert torch.equal(nothing.apply(images[:4]), images[:4])


def test_the_input_is_not_modified() -> None:
    images = pictures(8)
    before = images.clone()
    draw(8, **EVERYTHING).apply(images)
    assert torch.equal(images, before)


@settings(max_examples=25, deadline=None)
@given(
    st.fixed_dictionaries(
        {name: st.floats(0, 1) for name in SHARES}
        | {"light": st.floats(0, 0.99), "gamma": st.floats(0, 2)}
    ),
    st.sampled_from([1, 3]),
    st.integers(9, 50),
)
def test_values_stay_in_range_for_every_draw(options, channels, side) -> None:
    images = pictures(6, channels, side).round()  # only black and white: the hardest case
    changed = draw(6, **options).apply(images)
    assert changed.shape == images.shape
    assert bool(changed.isfinite().all())
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


class TestZoom:
    def zoomed(self, least: float, most: float, count: int = 1000) -> Tensor:
        config = AugmentConfig(flip=0, rotation=0, scale=0, shift=0, zoom=(least, most))
        drawn = Augmentation.draw(count, config, torch.Generator().manual_seed(0))
        assert float(drawn.matrices[:, [0, 1], [1, 0]].abs().max()) < 1e-7
        return 1 / drawn.matrices[:, 0, 0]

    def test_zooms_are_log_uniform(self) -> None:
        sizes = self.zoomed(0.7, 1.25)
        assert 0.7 - 1e-5 <= float(sizes.min()) < 0.71
        assert 1.24 < float(sizes.max()) <= 1.25 + 1e-5
        middle = math.sqrt(0.7 * 1.25)
        assert 0.45 < float((sizes < middle).float().mean()) < 0.55

    def test_zoom_by_two_shows_the_middle_half(self) -> None:
        config = AugmentConfig(
            flip=0, rotation=0, scale=0, shift=0, brightness=0, contrast=0, zoom=(2, 2)
        )
        drawn = Augmentation.draw(1, config, torch.Generator().manual_seed(0))
        images = pictures(1, side=16)
        # output pixel i samples the input at (i + 0.5) / 2 + 4 - 0.5: at 2 of its own size, the
        # same places as enlarging the middle half twice
        enlarged = torch.nn.functional.interpolate(images, scale_factor=2, mode="bilinear")
        torch.testing.assert_close(drawn.apply(images, 16), enlarged[..., 8:24, 8:24])

    @pytest.mark.parametrize("zoom", [(1.2, 0.8), (0.0, 1.0), (1.0, 11.0)])
    def test_an_invalid_zoom_range_is_refused(self, zoom: tuple[float, float]) -> None:
        with pytest.raises((RecipeError, ValueError), match="zoom must be two sizes"):
            AugmentConfig(zoom=zoom)

    def test_zoom_survives_a_json_round_trip(self) -> None:
        recipe = toy_recipe("tiny_cnn")
        changed = recipe.model_copy(update={"augment": AugmentConfig(zoom=(0.7, 1.25))})
        again = type(recipe).model_validate(changed.model_dump(mode="json"))
        assert again == changed


class TestPerspective:
    def drawn(self, *tilts: tuple[float, float]) -> Augmentation:
        from dataclasses import replace

        config = AugmentConfig(
            flip=0, rotation=0, scale=0, shift=0, brightness=0, contrast=0, saturation=0
        )
        still = Augmentation.draw(len(tilts), config, torch.Generator())
        return replace(still, perspective=torch.tensor(tilts))

    def test_perspective_coordinates_by_hand(self) -> None:
        """By hand, at 2 px: centres at -0.5 and 0.5, tilted by 0.2 across."""
        grid = self.drawn((0.2, 0.0))._grid(2)
        left, right = -0.5 / 0.9, 0.5 / 1.1
        expected = torch.tensor(
            [[[left, -0.5 / 0.9], [right, -0.5 / 1.1]], [[left, 0.5 / 0.9], [right, 0.5 / 1.1]]]
        )
        torch.testing.assert_close(grid[0], expected)

    def test_zero_tilt_is_the_identity_and_opposite_tilts_mirror(self) -> None:
        images = pictures(3, side=24)
        images[2] = images[1].flip(1)
        same, first, second = self.drawn((0.0, 0.0), (0.1, 0.05), (0.1, -0.05)).apply(images, 24)
        torch.testing.assert_close(same, images[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(first, second.flip(1), rtol=0, atol=1e-4)
        assert not torch.allclose(first, images[1], atol=1e-2)

    def test_draws_stay_within_the_configured_range(self) -> None:
        config = AugmentConfig(perspective=0.08)
        tilts = Augmentation.draw(1000, config, torch.Generator().manual_seed(0)).perspective
        assert tilts is not None
        assert tilts.shape == (1000, 2)
        assert bool((tilts.amax(0) > 0.075).all())
        assert float(tilts.abs().max()) <= 0.08 + 1e-6


def test_shards_of_a_batch_equal_the_whole_batch() -> None:
    config = AugmentConfig(zoom=(0.7, 1.25), perspective=0.1, **EVERYTHING | {"blur": 0.5})
    images = pictures(12, side=24)
    drawn = Augmentation.draw(12, config, torch.Generator().manual_seed(2))
    whole = drawn.apply(images, 32)
    for part in (slice(0, 2), slice(2, 4), slice(4, 12)):
        share = drawn.share(part, torch.device("cpu"))
        torch.testing.assert_close(share.apply(images[part], 32), whole[part], rtol=0, atol=1e-5)
