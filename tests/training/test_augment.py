"""Augmentation against NumPy: geometry by what it does to known images, colour by hand formulas."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ajl_tf.config import Augment
from ajl_tf.dataset.images import to_input
from ajl_tf.inspection.colour import to_lab
from ajl_tf.training import augment as augmentation
from ajl_tf.training.warping import warp

ROUNDING = 0.01  # of 255: what interpolation in float32 at computed places may be off by


def uniform(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, augmentation.UNIFORMS))


def applied(
    images: np.ndarray, augment: Augment, size: int, every: float | None = None, seed: int = 0
) -> np.ndarray:
    """The photos as drawn at random, or with `every` number at one place: 0 lowest, 1 highest."""
    n = len(images)
    u = uniform(n, seed) if every is None else np.full((n, augmentation.UNIFORMS), every)
    drawn = augmentation.draw(augment, u, images.shape[1], size)
    assert drawn.shape == (len(images), augmentation.WIDTH)
    return keras.ops.convert_to_numpy(augmentation.apply(images, drawn, size, augment))


def marked(side: int) -> np.ndarray:
    """One photo in which no two pixels are alike enough for a turn or a flip to pass unseen."""
    return np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)


def ramp(side: int) -> np.ndarray:
    """Red is the column, green the row: a warped ramp says where each pixel came from."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    return np.stack([columns, rows, np.zeros_like(rows)], axis=2)


@settings(max_examples=15)
@given(st.integers(8, 40), st.integers(0, 24), st.integers(0, 99))
def test_without_changes_it_is_the_resize_of_evaluation(size: int, more: int, seed: int) -> None:
    canvas = size + more
    images = np.random.default_rng(seed).integers(0, 256, (2, canvas, canvas, 3), dtype=np.uint8)
    expected = to_input(images, size).numpy()
    np.testing.assert_allclose(applied(images, Augment(), size), expected, atol=ROUNDING)


def dihedral(image: np.ndarray, turns: bool, across: bool, down: bool) -> list[np.ndarray]:
    images = [np.rot90(image, k) for k in range(4 if turns else 1)]
    images += [variant[:, ::-1] for variant in images] if across else []
    return images + ([variant[::-1] for variant in images] if down else [])


def test_the_warp_is_that_of_keras_on_any_backend() -> None:
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (6, 40, 40, 3)).astype(np.float32)
    augment = Augment(horizontal_flip=True, rotation=90.0, shear=20.0, zoom=(0.3, 1.5))
    drawn = augmentation.draw(augment, rng.random((6, augmentation.UNIFORMS)), 40, 32)
    drawn = drawn[:, augmentation.WARP]
    whole = keras.ops.image.affine_transform(images, drawn, "bilinear", "reflect")
    np.testing.assert_array_equal(warp(images, drawn, 32), whole[:, :32, :32])


@pytest.mark.parametrize(("canvas", "size"), [(17, 17), (24, 16)])
@pytest.mark.parametrize(
    ("augment", "symmetries", "distinct"),
    [
        (Augment(horizontal_flip=True), (False, True, False), 2),
        (Augment(vertical_flip=True), (False, False, True), 2),
        (Augment(horizontal_flip=True, vertical_flip=True), (False, True, True), 4),
        (Augment(quarter_turns=True), (True, False, False), 4),
        (Augment(quarter_turns=True, horizontal_flip=True), (True, True, False), 8),
    ],
)
def test_flips_and_quarter_turns_are_numpys(
    augment: Augment,
    symmetries: tuple[bool, bool, bool],
    distinct: int,
    canvas: int,
    size: int,
) -> None:
    image = marked(canvas)
    expected = np.stack(dihedral(to_input(image[None], size).numpy()[0], *symmetries))
    outputs = applied(np.repeat(image[None], 80, axis=0), augment, size)
    off = np.abs(outputs[:, None] - expected[None]).max(axis=(2, 3, 4))  # (80, symmetries)
    assert off.min(axis=1).max() < ROUNDING
    assert len(set(off.argmin(axis=1).tolist())) == distinct  # each of them occurs


def test_zoom_cuts_a_window_that_lies_anywhere_in_the_canvas() -> None:
    canvas, size, zoom = 60, 20, 0.6
    images = np.repeat(ramp(canvas)[None], 300, axis=0)
    outputs = applied(images, Augment(zoom=(zoom, zoom)), size)
    # Centre of output pixel k, in canvas pixels, from the window's left (or top) edge on.
    places = (np.arange(size) + 0.5) * zoom * canvas / size - 0.5
    left, top = (outputs[:, 0, 0, channel] - places[0] for channel in (0, 1))
    columns, rows = (np.add.outer(edge, places) for edge in (left, top))  # (300, 20)
    expected = [np.repeat(columns[:, None], size, 1), np.repeat(rows[:, :, None], size, 2)]
    np.testing.assert_allclose(outputs[..., :2], np.stack(expected, axis=3), atol=ROUNDING)
    room = canvas * (1 - zoom)
    for edge in (left, top):
        assert -ROUNDING <= edge.min() < 0.05 * room
        assert 0.95 * room < edge.max() <= room + ROUNDING
    assert abs(np.corrcoef(left, top)[0, 1]) < 0.2


def test_zoom_is_drawn_between_its_ends() -> None:
    canvas, size = 60, 20
    images = np.repeat(ramp(canvas)[None], 300, axis=0)
    outputs = applied(images, Augment(zoom=(0.3, 0.9)), size)
    zoom = (outputs[:, 0, 11, 0] - outputs[:, 0, 1, 0]) / 10 * size / canvas
    np.testing.assert_allclose(  # rows and columns alike: the aspect ratio stays
        zoom, (outputs[:, 11, 0, 1] - outputs[:, 1, 0, 1]) / 10 * size / canvas, atol=1e-4
    )
    assert 0.2999 < zoom.min() < 0.32
    assert 0.87 < zoom.max() < 0.9001
    assert np.median(zoom) == pytest.approx(np.sqrt(0.3 * 0.9), abs=0.04)  # even in the logarithm


def test_translation_moves_the_window_by_a_share_of_the_canvas() -> None:
    canvas, size, share = 60, 30, 0.2
    images = np.repeat(ramp(canvas)[None], 200, axis=0)
    outputs = applied(images, Augment(translation=share), size)
    middle = slice(size // 3, 2 * size // 3)  # what no move of a fifth takes off the canvas
    places = (np.arange(size) + 0.5) * canvas / size - 0.5
    for channel, axis in ((0, 2), (1, 1)):
        moves = outputs[:, middle, middle, channel] - np.expand_dims(places[middle], 2 - axis)
        assert np.ptp(moves, axis=(1, 2)).max() < ROUNDING
        assert -share * canvas - ROUNDING < moves.min() < -0.9 * share * canvas
        assert 0.9 * share * canvas < moves.max() < share * canvas + ROUNDING


def test_what_lies_beyond_the_canvas_is_its_reflection() -> None:
    canvas = 20
    output = applied(ramp(canvas)[None], Augment(translation=0.5), canvas, 1.0)[0]
    # The window lies 10 pixels to the right: columns 10 … 19, then 19 … 10 again.
    expected = np.concatenate([np.arange(10, 20), np.arange(19, 9, -1)])
    np.testing.assert_allclose(output[..., 0], np.tile(expected, (canvas, 1)), atol=ROUNDING)


def test_rotation_turns_about_the_middle_by_up_to_its_angle() -> None:
    canvas, size, degrees = 61, 61, 25.0
    images = np.repeat(ramp(canvas)[None], 300, axis=0)
    outputs = applied(images, Augment(rotation=degrees), size)
    middle = size // 2
    np.testing.assert_allclose(outputs[:, middle, middle, :2], middle, atol=ROUNDING)
    across = outputs[:, middle, middle + 5, :2] - outputs[:, middle, middle - 5, :2]
    down = outputs[:, middle + 5, middle, :2] - outputs[:, middle - 5, middle, :2]
    np.testing.assert_allclose(np.linalg.norm(across, axis=1), 10, atol=ROUNDING)  # no zoom
    np.testing.assert_allclose(down, across[:, ::-1] * [-1, 1], atol=ROUNDING)  # no shear
    angles = np.rad2deg(np.arctan2(across[:, 1], across[:, 0]))
    assert -degrees - 0.1 < angles.min() < -0.9 * degrees
    assert 0.9 * degrees < angles.max() < degrees + 0.1


COLOURS = np.random.default_rng(2).uniform(0, 255, (1, 12, 12, 3)).astype(np.float32)
MUTED = 100 + COLOURS / 5  # stays within [0, 255] under the changes below
LUMA = COLOURS @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.7), (0.5, 1.0), (1.0, 1.3)])
def test_brightness_multiplies(draw: float, factor: float) -> None:
    output = applied(COLOURS, Augment(brightness=0.3), 12, draw)
    np.testing.assert_allclose(output, np.clip(COLOURS * factor, 0, 255), atol=ROUNDING)


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.7), (0.5, 1.0), (1.0, 1.3)])
def test_contrast_multiplies_the_distance_from_mid_grey(draw: float, factor: float) -> None:
    output = applied(COLOURS, Augment(contrast=0.3), 12, draw)
    expected = np.clip(127.5 + (COLOURS - 127.5) * factor, 0, 255)
    np.testing.assert_allclose(output, expected, atol=ROUNDING)


def test_saturation_multiplies_the_distance_from_luma() -> None:
    grey = applied(COLOURS, Augment(saturation=1.0), 12, 0.0)
    np.testing.assert_allclose(grey, np.repeat(LUMA[..., None], 3, axis=3), atol=ROUNDING)
    more = applied(COLOURS, Augment(saturation=0.5), 12, 1.0)
    expected = np.clip(LUMA[..., None] + 1.5 * (COLOURS - LUMA[..., None]), 0, 255)
    np.testing.assert_allclose(more, expected, atol=ROUNDING)


def test_a_third_of_a_turn_of_hue_permutes_the_channels() -> None:
    there = applied(COLOURS, Augment(hue=120.0), 12, 1.0)
    back = applied(COLOURS, Augment(hue=120.0), 12, 0.0)
    variants = [np.roll(COLOURS, 1, axis=3), np.roll(COLOURS, -1, axis=3)]
    off = [[np.abs(ours - theirs).max() for theirs in variants] for ours in (there, back)]
    assert sorted(np.argmin(off, axis=1)) == [0, 1]  # one each way
    assert np.min(off, axis=1).max() < ROUNDING


@pytest.mark.parametrize("hue", [10.0, 77.0, 180.0])
def test_hue_keeps_greys_and_brightness_of_the_channels_together(hue: float) -> None:
    grey = np.repeat(COLOURS[..., :1], 3, axis=3)
    np.testing.assert_allclose(applied(grey, Augment(hue=hue), 12, 1.0), grey, atol=ROUNDING)
    turned = applied(MUTED, Augment(hue=hue), 12, 1.0)
    np.testing.assert_allclose(turned.sum(axis=3), MUTED.sum(axis=3), atol=3 * ROUNDING)
    assert np.abs(turned - MUTED).max() > 1


def test_colour_changes_follow_one_another() -> None:
    augment = Augment(brightness=0.1, contrast=0.2, saturation=0.3, hue=120.0)
    output = applied(MUTED, augment, 12, 1.0)
    expected = 127.5 + (MUTED * 1.1 - 127.5) * 1.2
    luma = (expected @ np.array([0.299, 0.587, 0.114]))[..., None]
    expected = luma + (expected - luma) * 1.3
    turned = applied(COLOURS, Augment(hue=120.0), 12, 1.0)
    way = 1 if np.allclose(turned, np.roll(COLOURS, 1, axis=3), atol=ROUNDING) else -1
    np.testing.assert_allclose(output, np.roll(expected, way, axis=3), atol=ROUNDING)


def test_shear_moves_rows_along_themselves() -> None:
    canvas, degrees = 61, 30.0
    output = applied(ramp(canvas)[None], Augment(shear=degrees), canvas, 1.0)[0]
    middle = canvas // 2
    rows = slice(middle - 9, middle + 10)  # nearer than what the edge reflects
    off = (np.arange(canvas)[rows] - middle) * np.tan(np.deg2rad(degrees))
    np.testing.assert_allclose(output[rows, middle, 0], middle + off, atol=ROUNDING)
    np.testing.assert_allclose(output[rows, middle, 1], np.arange(canvas)[rows], atol=ROUNDING)


@pytest.mark.parametrize(("draw", "change"), [(1.0, 10.0), (0.5, 0.0), (0.0, -10.0)])
def test_skin_tone_moves_medium_skin_along_its_angle(draw: float, change: float) -> None:
    skin = np.full((1, 12, 12, 3), (204, 160, 130), np.float32)
    output = applied(skin, Augment(skin_tone=10.0), 12, draw)
    angles = []
    for pixel in (skin[0, 0, 0], output[0, 0, 0]):
        lightness, _, yellow = to_lab(pixel.astype(np.uint8)[None, None])[0, 0]
        angles.append(np.rad2deg(np.arctan2(lightness - 50, yellow)))
    assert angles[1] - angles[0] == pytest.approx(change, abs=1.5)


def test_skin_tone_keeps_the_ratio_of_lesion_to_skin() -> None:
    photo = np.full((1, 12, 12, 3), (200, 150, 120), np.float32)
    photo[:, 4:8, 4:8] *= 0.6
    output = applied(photo, Augment(skin_tone=20.0), 12, 0.0)
    np.testing.assert_allclose(output[0, 6, 6] / output[0, 0, 0], 0.6, rtol=1e-4)


def test_an_erased_box_has_the_mean_colour_and_the_rest_stays() -> None:
    n, size = 400, 24
    images = np.repeat(marked(size)[None], n, axis=0)
    outputs = applied(images, Augment(erasing=0.5), size)
    changed = np.abs(outputs - images).max(axis=3) > 1
    hit = changed.any(axis=(1, 2))
    assert hit.mean() == pytest.approx(0.5, abs=0.08)
    shares = changed.mean(axis=(1, 2))[hit]
    assert 0 < shares.min() < 0.05
    assert 0.15 < shares.max() < 0.27
    mean = images[0].mean(axis=(0, 1))
    for output, mask in zip(outputs[hit], changed[hit], strict=True):
        np.testing.assert_allclose(output[mask], np.tile(mean, (mask.sum(), 1)), atol=0.1)
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        assert (rows[:, None] & columns[None, :]).sum() - mask.sum() < 0.05 * size**2  # a box


SIZED = Augment(brightness=0.2, contrast=0.2, saturation=0.2, hue=20.0, rotation=20.0)


@pytest.mark.parametrize("operations", [1, 2, 4])
def test_each_photo_gets_so_many_operations_and_all_occur(operations: int) -> None:
    some = augmentation.draw(
        SIZED.model_copy(update={"operations": operations}), uniform(200), 24, 24
    )
    plain, every = (
        augmentation.draw(augment, uniform(200), 24, 24) for augment in (Augment(), SIZED)
    )
    turned = np.abs(some - plain)[:, augmentation.WARP].max(axis=1) > 1e-6
    assert turned.mean() == pytest.approx(operations / 5, abs=0.1)
    np.testing.assert_array_equal(  # at the size that it has without the choice
        some[turned][:, augmentation.WARP], every[turned][:, augmentation.WARP]
    )
    coloured = np.abs(some - plain)[:, augmentation.COLOUR].max(axis=1) > 1e-6
    assert (turned | coloured).all()
    if operations == 1:
        assert not (turned & coloured).any()


def test_more_operations_than_there_are_is_all_of_them() -> None:
    more = SIZED.model_copy(update={"operations": 9})
    np.testing.assert_array_equal(
        augmentation.draw(more, uniform(20), 24, 24), augmentation.draw(SIZED, uniform(20), 24, 24)
    )


def test_strength_multiplies_the_sizes_of_a_photo() -> None:
    strength = np.array([1.0, 2.0, 0.0])
    drawn = augmentation.draw(SIZED, np.full((3, augmentation.UNIFORMS), 0.9), 24, 24, strength)
    doubled = Augment(brightness=0.4, contrast=0.4, saturation=0.4, hue=40.0, rotation=40.0)
    for row, augment in zip(drawn, (SIZED, doubled, Augment()), strict=True):
        expected = augmentation.draw(augment, np.full((1, augmentation.UNIFORMS), 0.9), 24, 24)
        np.testing.assert_allclose(row, expected[0], rtol=1e-6, atol=1e-6)


def test_however_strong_something_is_left_to_see() -> None:
    """Of a condition so rare that its changes are five times as large."""
    augment = Augment(shear=20.0, zoom=(0.55, 1.0))
    drawn = augmentation.draw(augment, uniform(500), 24, 24, np.full(500, 5.0))
    across, along = drawn[:, 0], drawn[:, 1]  # the window's share, and the shear of it
    assert across.min() == pytest.approx(0.25)
    assert np.abs(along / across).max() == pytest.approx(np.tan(np.deg2rad(60)), rel=1e-5)
    small = augmentation.draw(Augment(zoom=(0.1, 1.0)), uniform(500), 24, 24)
    assert 0.1 <= small[:, 0].min() < 0.15  # what is asked for is done


def test_each_photo_of_a_batch_has_its_own_draw() -> None:
    images = np.repeat(COLOURS, 20, axis=0)
    augment = Augment(brightness=0.2, contrast=0.2, saturation=0.2, hue=20.0, rotation=20.0)
    outputs = applied(images, augment, 12)
    assert len({output.tobytes() for output in outputs}) == 20
    assert outputs.min() >= 0
    assert outputs.max() <= 255
    np.testing.assert_array_equal(outputs, applied(images, augment, 12))
    assert not np.array_equal(outputs, applied(images, augment, 12, seed=1))


def test_switching_a_change_on_leaves_the_draws_of_the_others() -> None:
    flip, more = (
        augmentation.draw(augment, uniform(50, 3), 40, 32)
        for augment in (
            Augment(horizontal_flip=True, zoom=(0.5, 1.0)),
            Augment(horizontal_flip=True, zoom=(0.5, 1.0), brightness=0.2, mixup=0.4),
        )
    )
    np.testing.assert_array_equal(flip[:, augmentation.WARP], more[:, augmentation.WARP])


@settings(max_examples=40)
@given(
    n=st.integers(1, 9),
    size=st.integers(4, 24),
    alpha=st.floats(0.1, 3),
    seed=st.integers(0, 2**20),
    kind=st.sampled_from(["mixup", "cutmix"]),
)
def test_labels_are_blended_as_the_pixels_are(
    n: int, size: int, alpha: float, seed: int, kind: str
) -> None:
    augment = Augment(**{kind: alpha})
    values = np.linspace(10, 250, n, dtype=np.float32)  # one a photo
    images = np.broadcast_to(values[:, None, None, None], (n, size, size, 3))
    drawn = augmentation.draw(augment, uniform(n, seed), size, size)
    outputs, labels = (
        keras.ops.convert_to_numpy(x)
        for x in (
            augmentation.apply(images, drawn, size, augment),
            augmentation.apply_to_labels(np.eye(n, dtype=np.float32), drawn, augment),
        )
    )
    # 0 with 1, 2 with 3, …; an odd last one has none.
    partner = np.array([min(i + 1 - 2 * (i % 2), n - 1) for i in range(n)])
    for i in range(n):
        if partner[i] == i:
            np.testing.assert_array_equal(labels[i], np.eye(n)[i])
            np.testing.assert_allclose(outputs[i], values[i], atol=ROUNDING)
            continue
        weight = labels[i, i]
        assert labels[i, partner[i]] == pytest.approx(1 - weight, abs=1e-6)
        assert np.count_nonzero(labels[i]) <= 2
        own = (outputs[i, :, :, 0] - values[partner[i]]) / (values[i] - values[partner[i]])
        assert own.mean() == pytest.approx(weight, abs=1e-3)
        if kind == "mixup":
            assert np.ptp(own) < 1e-3  # everywhere alike
        else:
            is_cut = own < 0.5
            np.testing.assert_allclose(own, ~is_cut, atol=1e-3)  # each pixel is of one photo
            rows, columns = is_cut.any(axis=1), is_cut.any(axis=0)
            np.testing.assert_array_equal(is_cut, rows[:, None] & columns[None, :])  # a box


def test_mixup_and_cutmix_take_turns() -> None:
    augment = Augment(mixup=1.0, cutmix=1.0)
    values = np.tile(np.float32([0, 200]), 100)
    images = np.broadcast_to(values[:, None, None, None], (200, 16, 16, 3))
    outputs = applied(images, augment, 16)
    blended = np.ptp(outputs, axis=(1, 2, 3)) < 1
    assert 0.35 < blended.mean() < 0.65


def test_mixup_weights_follow_the_beta_distribution() -> None:
    drawn = augmentation.draw(Augment(mixup=2.0), uniform(4000), 8, 8)
    own = drawn[:, augmentation.MIX][:, 0]
    assert own.mean() == pytest.approx(0.5, abs=0.02)
    assert own.var() == pytest.approx(1 / (4 * 5), abs=0.004)  # of Beta(a, a): 1 / (4 (2a + 1))


def operations(augment: Augment) -> set[str]:
    function = tf.function(lambda x, d: augmentation.apply(x, d, 8, augment), autograph=False)
    graph = function.get_concrete_function(
        tf.TensorSpec((None, 10, 10, 3), tf.uint8), tf.TensorSpec((None, augmentation.WIDTH))
    ).graph
    return {operation.type for operation in graph.get_operations()}


def test_what_is_off_costs_nothing_and_all_geometry_is_one_warp() -> None:
    everything = Augment(
        **{"horizontal_flip": True, "rotation": 9.0, "zoom": (0.5, 1.0), "quarter_turns": True},
        **{"brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 5.0},
        **{"mixup": 0.2, "cutmix": 1.0, "shear": 5.0, "skin_tone": 9.0, "operations": 2},
    )
    heavy = {"ImageProjectiveTransformV3", "BatchMatMulV2", "GatherV2"}
    assert operations(everything) & heavy == heavy
    assert operations(Augment()) & heavy == {"ImageProjectiveTransformV3"}
    labels = np.eye(3, dtype=np.float32)
    assert augmentation.apply_to_labels(labels, None, Augment(rotation=9.0)) is labels


@pytest.mark.skipif(
    not tf.config.list_physical_devices("GPU"), reason="placement shows where there is a GPU"
)
def test_the_warp_runs_on_the_gpu() -> None:
    augment = Augment(rotation=20.0, brightness=0.2, cutmix=1.0)
    drawn = augmentation.draw(augment, uniform(4), 40, 32)
    with tf.device("GPU:0"):
        output = augmentation.apply(np.zeros((4, 40, 40, 3), np.uint8), drawn, 32, augment)
    assert "GPU:0" in output.device
    placed = applied(np.repeat(COLOURS, 4, axis=0), augment, 12)
    with tf.device("CPU:0"):
        expected = applied(np.repeat(COLOURS, 4, axis=0), augment, 12)
    np.testing.assert_allclose(placed, expected, atol=0.1)
