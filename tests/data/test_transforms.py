from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_core.config import AugmentConfig
from fer_core.data.transforms import Augmentation, Preprocessing
from tests.support.helpers import noise

IDENTITY = AugmentConfig(
    flip=0, rotation=0, scale=0, shift=0, brightness=0, contrast=0, saturation=0, cutmix=0
)
EVERYTHING = AugmentConfig(cutmix=0.7, brightness=0.9, contrast=0.9, saturation=0.9)


def preprocessing(image_size: int, *, colour: bool = False, side: int = 48) -> Preprocessing:
    return Preprocessing(side, colour, image_size, (0.5, 0.4, 0.3), (0.5, 0.25, 0.2))


def draw(count: int, config: AugmentConfig, seed: int = 0) -> Augmentation:
    return Augmentation.draw(count, config, torch.Generator().manual_seed(seed))


def pictures(count: int, *, colour: bool = True, side: int = 24) -> Tensor:
    shape = (count, 3 if colour else 1, side, side)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def boxes(*corners: tuple[float, float, float, float]) -> Augmentation:
    """An augmentation that does nothing but paste these boxes."""
    return replace(draw(len(corners), IDENTITY), boxes=torch.tensor(corners))


class TestPreprocessing:
    @pytest.mark.parametrize("colour", [False, True])
    @pytest.mark.parametrize("size", [32, 48, 112])
    def test_a_batch_equals_its_single_images(self, size: int, colour: bool) -> None:
        images = noise(5, colour=colour)
        pipeline = preprocessing(size, colour=colour)
        whole = pipeline(images)
        assert whole.shape == (5, 3, size, size)
        assert whole.dtype == torch.float32
        for index in range(5):
            torch.testing.assert_close(
                pipeline(images[index : index + 1])[0], whole[index], rtol=0, atol=1e-6
            )

    def test_arrays_and_tensors_are_preprocessed_alike(self) -> None:
        images = noise(2)
        pipeline = preprocessing(64)
        assert torch.equal(pipeline(images), pipeline(torch.from_numpy(images)))

    def test_the_input_is_not_modified(self) -> None:
        images = noise(2)
        preprocessing(48)(images)
        np.testing.assert_array_equal(images, noise(2))

    @pytest.mark.parametrize("colour", [False, True])
    def test_at_the_stored_size_pixels_are_only_rescaled(self, colour: bool) -> None:
        images = noise(3, colour=colour)
        resized = preprocessing(48, colour=colour).resize(images)
        expected = images[:, None] if not colour else images.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal((resized * 255).round().byte().numpy(), expected)
        np.testing.assert_allclose(resized.numpy(), expected / 255, atol=1e-7)

    @pytest.mark.parametrize("size", [32, 48, 112])
    def test_grey_images_equal_rgb_images_of_the_same_grey(self, size: int) -> None:
        grey = noise(3)
        rgb = np.repeat(grey[..., None], 3, axis=-1)
        torch.testing.assert_close(
            preprocessing(size)(grey),
            preprocessing(size, colour=True)(rgb),
            rtol=0,
            atol=1e-6,
        )

    def test_normalisation_by_hand(self) -> None:
        tensor = preprocessing(48)(np.full((1, 48, 48), 255, dtype=np.uint8))
        for channel, value in enumerate([(1 - 0.5) / 0.5, (1 - 0.4) / 0.25, (1 - 0.3) / 0.2]):
            torch.testing.assert_close(tensor[0, channel], torch.full((48, 48), value))

    def test_a_flat_image_stays_flat_at_any_size(self) -> None:
        for size in (17, 48, 100):
            resized = preprocessing(size).resize(np.full((1, 48, 48), 51, dtype=np.uint8))
            torch.testing.assert_close(resized, torch.full((1, 1, size, size), 0.2))

    def test_downscaling_averages(self) -> None:
        """A chequerboard of single pixels becomes grey, not a coarser chequerboard."""
        board = (np.indices((48, 48)).sum(axis=0) % 2 * 255).astype(np.uint8)
        resized = preprocessing(16).resize(board[None])
        torch.testing.assert_close(resized, torch.full((1, 1, 16, 16), 0.5), atol=0.02, rtol=0)

    @pytest.mark.parametrize(
        "change",
        [
            {"side": 64},
            {"colour": True},
            {"image_size": 96},
            {"mean": (0.5, 0.4, 0.31)},
            {"std": (0.5, 0.25, 0.21)},
        ],
    )
    def test_the_hash_covers_every_preprocessing_option(self, change: dict) -> None:
        assert preprocessing(48).hash == preprocessing(48).hash
        assert replace(preprocessing(48), **change).hash != preprocessing(48).hash


class TestGeometryAndColour:
    @pytest.mark.parametrize("colour", [False, True])
    def test_augmentation_with_zero_amounts_is_the_identity(self, colour: bool) -> None:
        images = pictures(4, colour=colour)
        torch.testing.assert_close(
            draw(4, IDENTITY).apply(images, images.shape[-1]), images, rtol=0, atol=1e-5
        )

    def test_flip_mirrors_left_and_right(self) -> None:
        images = pictures(4)
        mirrored = draw(4, IDENTITY.model_copy(update={"flip": 1.0})).apply(
            images, images.shape[-1]
        )
        torch.testing.assert_close(mirrored, images.flip(3), rtol=0, atol=1e-5)

    def test_flips_are_drawn_per_image(self) -> None:
        images = pictures(64)
        flipped = draw(64, IDENTITY.model_copy(update={"flip": 0.5})).apply(
            images, images.shape[-1]
        )
        mirrored = (flipped - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
        same = (flipped - images).abs().amax(dim=(1, 2, 3)) < 1e-4
        assert bool((mirrored ^ same).all())
        assert 16 <= int(mirrored.sum()) <= 48

    def test_a_shift_moves_by_a_share_of_the_side(self) -> None:
        images = pictures(1)
        # The maps say where each pixel comes from: +2/24 of the side is two pixels further right.
        moved = replace(
            draw(1, IDENTITY), matrices=torch.tensor([[[1.0, 0.0, 4 / 24], [0.0, 1.0, 0.0]]])
        ).apply(images, images.shape[-1])
        torch.testing.assert_close(moved[..., :22], images[..., 2:], rtol=0, atol=1e-5)

    @pytest.mark.parametrize("kind", ["rotation", "scale", "shift"])
    def test_draws_stay_within_the_configured_range(self, kind: str) -> None:
        reach = {"rotation": 30.0, "scale": 0.2, "shift": 0.1}[kind]
        matrices = draw(500, IDENTITY.model_copy(update={kind: reach})).matrices
        size = 1 / (matrices[:, 0, 0] ** 2 + matrices[:, 1, 0] ** 2).sqrt()
        drawn = {
            "rotation": torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])),
            "scale": size - 1,
            "shift": matrices[:, :, 2] / 2,
        }
        for name, values in drawn.items():
            largest = float(values.abs().max())
            if name == kind:
                assert 0.9 * reach < largest <= reach * 1.001
                assert float(values.min()) < 0 < float(values.max())
            else:
                assert largest < 1e-5

    def test_zooms_are_drawn_between_their_ends(self) -> None:
        matrices = draw(500, IDENTITY.model_copy(update={"zoom": (0.5, 0.9)})).matrices
        zoom = 1 / matrices[:, 0, 0]
        assert 0.5 * 0.999 <= float(zoom.min()) < 0.51
        assert 0.89 < float(zoom.max()) <= 0.9 * 1.001
        # evenly on a logarithmic scale
        assert float(zoom.log().mean().exp()) == pytest.approx((0.5 * 0.9) ** 0.5, rel=0.02)

    def test_mirrored_images_are_rotated_and_not_sheared(self) -> None:
        config = IDENTITY.model_copy(update={"flip": 1.0, "rotation": 40.0, "scale": 0.2})
        maps = draw(50, config).matrices[:, :, :2]
        squared = maps @ maps.transpose(1, 2)
        size = squared[:, :1, :1]
        torch.testing.assert_close(squared, size * torch.eye(2).expand(50, 2, 2))
        assert bool((torch.linalg.det(maps) < 0).all())

    def test_brightness_scales_pixel_values(self) -> None:
        images = 0.4 + 0.2 * pictures(2)
        brighter = replace(draw(2, IDENTITY), brightness=torch.tensor([1.2, 0.8])).apply(
            images, images.shape[-1]
        )
        middle = images.mean(dim=(1, 2, 3), keepdim=True)
        expected = images - middle + middle * torch.tensor([1.2, 0.8]).view(2, 1, 1, 1)
        torch.testing.assert_close(brighter, expected, rtol=0, atol=1e-5)

    def test_contrast_scales_the_differences_and_keeps_the_mean(self) -> None:
        images = 0.4 + 0.2 * pictures(2)
        changed = replace(draw(2, IDENTITY), contrast=torch.tensor([1.5, 0.5])).apply(
            images, images.shape[-1]
        )
        middle = images.mean(dim=(1, 2, 3), keepdim=True)
        expected = middle + (images - middle) * torch.tensor([1.5, 0.5]).view(2, 1, 1, 1)
        torch.testing.assert_close(changed, expected, rtol=0, atol=1e-5)

    def test_zero_saturation_is_grey_and_keeps_grey_images(self) -> None:
        unsaturated = replace(draw(2, IDENTITY), saturation=torch.zeros(2))
        images = pictures(2)
        grey = unsaturated.apply(images, images.shape[-1])
        luma = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
        for channel in range(3):
            torch.testing.assert_close(grey[:, channel], luma, rtol=0, atol=1e-5)
        one_channel = pictures(2, colour=False)
        torch.testing.assert_close(
            unsaturated.apply(one_channel, one_channel.shape[-1]), one_channel, rtol=0, atol=1e-5
        )

    def test_grey_and_rgb_of_the_same_grey_are_changed_alike(self) -> None:
        grey = pictures(4, colour=False)
        changed = draw(4, EVERYTHING)
        torch.testing.assert_close(
            changed.apply(grey, grey.shape[-1]).expand(-1, 3, -1, -1),
            changed.apply(grey.expand(-1, 3, -1, -1), grey.shape[-1]),
            rtol=0,
            atol=1e-5,
        )

    @pytest.mark.parametrize("colour", [False, True])
    def test_values_stay_in_range(self, colour: bool) -> None:
        images = pictures(64, colour=colour).round()  # only black and white: the hardest case
        changed = draw(64, EVERYTHING).apply(images, images.shape[-1])
        assert changed.shape == images.shape
        assert float(changed.min()) >= 0
        assert float(changed.max()) <= 1
        assert not bool(changed.isnan().any())

    def test_augmentation_depends_on_the_seed_and_differs_between_images(self) -> None:
        images = pictures(1).expand(8, -1, -1, -1)
        first = draw(8, EVERYTHING).apply(images, images.shape[-1])
        assert torch.equal(first, draw(8, EVERYTHING).apply(images, images.shape[-1]))
        assert not torch.allclose(
            first, draw(8, EVERYTHING, seed=1).apply(images, images.shape[-1])
        )
        assert not torch.allclose(first[0], first[1])


class TestCutMix:
    def test_cutmix_pastes_a_box_and_mixes_targets_by_area(self) -> None:
        images = torch.stack([torch.full((3, 8, 8), value) for value in (0.0, 1.0, 0.2, 0.6)])
        nothing = (0.5, 0.5, 0.5, 0.5)
        mixed, targets = boxes((0.25, 0.5, 0.75, 1.0), nothing, (0, 0, 1, 1), nothing).mix(
            images, torch.eye(4)
        )
        expected = torch.zeros(3, 8, 8)
        expected[:, 4:8, 2:6] = 1.0  # x from 2 to 6, y from 4 to 8: 16 of 64 pixels
        torch.testing.assert_close(mixed[0], expected)
        torch.testing.assert_close(mixed[1], images[1])
        torch.testing.assert_close(mixed[2], images[3])  # wholly covered
        torch.testing.assert_close(mixed[3], images[3])
        assert targets.tolist() == [
            [0.75, 0.25, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 1.0],
        ]

    def test_cutmix_of_an_odd_batch_uses_the_previous_image_for_the_last(self) -> None:
        images = torch.stack([torch.full((1, 4, 4), value) for value in (0.0, 0.5, 1.0)])
        nothing = (0.0, 0.0, 0.0, 0.0)
        mixed, targets = boxes(nothing, nothing, (0, 0, 0.5, 1)).mix(images, torch.eye(3))
        torch.testing.assert_close(mixed[2, 0, :, :2], torch.full((4, 2), 0.5))
        torch.testing.assert_close(mixed[2, 0, :, 2:], torch.full((4, 2), 1.0))
        assert targets[2].tolist() == [0.0, 0.5, 0.5]

    def test_cutmix_leaves_a_single_image_unchanged(self) -> None:
        images, targets = pictures(1), torch.eye(1)
        mixed, same = boxes((0, 0, 1, 1)).mix(images, targets)
        assert torch.equal(mixed, images)
        assert torch.equal(same, targets)

    def test_without_cutmix_nothing_is_pasted(self) -> None:
        images = pictures(6)
        mixed, targets = draw(6, IDENTITY).mix(images, torch.eye(6))
        assert torch.equal(mixed, images)
        assert torch.equal(targets, torch.eye(6))

    def test_cutmix_affects_the_configured_share_of_images(self) -> None:
        drawn = draw(2000, IDENTITY.model_copy(update={"cutmix": 0.3})).boxes
        x0, y0, x1, y1 = drawn.unbind(1)
        assert float(drawn.min()) >= 0
        assert float(drawn.max()) <= 1
        assert bool((x0 <= x1).all())
        assert bool((y0 <= y1).all())
        chosen = x1 > x0
        assert 0.26 <= float(chosen.float().mean()) <= 0.34
        # Boxes stick out of the picture at times and are cut there, so they are no larger than
        # the square of Beta(1, 1), whose mean is a half.
        area = ((x1 - x0) * (y1 - y0))[chosen]
        assert 0.25 <= float(area.mean()) <= 0.5

    def test_mixed_targets_remain_distributions(self) -> None:
        targets = torch.softmax(torch.randn(16, 7, generator=torch.Generator().manual_seed(0)), 1)
        _, mixed = draw(16, EVERYTHING).mix(pictures(16), targets)
        assert not torch.equal(mixed, targets)
        torch.testing.assert_close(mixed.sum(1), torch.ones(16))


@pytest.mark.parametrize("cuts", [(0, 6, 12), (0, 2, 4, 12), (0, 12)])
def test_shards_of_a_batch_equal_the_whole_batch(cuts: tuple[int, ...]) -> None:
    """However many processes share a batch (in pairs), the images they see are the same."""
    images = pictures(12)
    targets = torch.eye(12)
    drawn = draw(12, EVERYTHING)
    whole, whole_targets = drawn.mix(drawn.apply(images, images.shape[-1]), targets)
    for start, end in pairwise(cuts):
        part = slice(start, end)
        share = drawn.share(part, torch.device("cpu"))
        mixed, mixed_targets = share.mix(share.apply(images[part], images.shape[-1]), targets[part])
        torch.testing.assert_close(mixed, whole[part], rtol=0, atol=1e-6)
        torch.testing.assert_close(mixed_targets, whole_targets[part])


@pytest.mark.parametrize("size", [32, 48, 96])
@pytest.mark.parametrize("colour", [False, True])
def test_without_augmentation_training_inputs_equal_evaluation_inputs(
    size: int, colour: bool
) -> None:
    shape = (3, 48, 48, 3) if colour else (3, 48, 48)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    input_ = preprocessing(size, colour=colour)
    augmented = input_.augmented(images, draw(3, IDENTITY))
    torch.testing.assert_close(augmented, input_.resize(images), rtol=0, atol=1e-5)
