"""Another tone for the same skin: the angle asked for, the lesion's contrast held, nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajl_tf.dataset.phantom import draw_image
from ajl_tf.dataset.phantom.skin import TONES, base_colour
from ajl_tf.inspection.colour import Pixels, to_lab
from ajl_tf.inspection.tone import measure_tone, typology_angle
from ajl_tf.inspection.tone_shift import (
    sham_offsets,
    shift_tone,
    shifted,
    skin_region,
    tone_offset,
)

KIND = "drawn-spot-ragged"


def drawn(tone: int, seed: int = 0) -> tuple[Pixels, np.ndarray]:
    return draw_image(KIND, tone, 96, np.random.default_rng(seed))


@given(
    st.sampled_from(sorted(TONES)),
    st.integers(0, 99),
    st.floats(-59, 59).filter(lambda d: abs(d) > 1),
)
def test_offsets_turn_the_angle_or_leave_it(tone: int, seed: int, degrees: float) -> None:
    colour = base_colour(tone, np.random.default_rng(seed))
    offset = tone_offset(colour, degrees)
    turned = float(typology_angle(colour + offset) - typology_angle(colour))
    assert turned == pytest.approx(degrees, abs=1e-2)
    assert offset[1] == 0
    shams = sham_offsets(colour, degrees)
    assert shams.shape == (4, 3)
    for sham in shams:
        assert np.linalg.norm(sham) == pytest.approx(np.linalg.norm(offset), rel=1e-4)
        same = float(typology_angle(colour + sham) - typology_angle(colour))
        assert same == pytest.approx(0, abs=2e-2)
    assert np.linalg.matrix_rank(shams, tol=1e-4) == 2
    np.testing.assert_allclose(shams.sum(axis=0), 0, atol=1e-4)


def test_a_sham_beyond_the_neutral_point_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 60"):
        sham_offsets(np.array([60, 10, 15], np.float32), -60)


@pytest.mark.parametrize("tone", [1, 3, 5, 6])
@pytest.mark.parametrize("degrees", [-20.0, 20.0])
def test_the_measured_tone_moves_as_asked(tone: int, degrees: float) -> None:
    photo, _ = drawn(tone)
    before, after = measure_tone(photo), measure_tone(shift_tone(photo, degrees))
    assert after["ita"] - before["ita"] == pytest.approx(degrees, abs=2)
    assert after["skin_redness"] == pytest.approx(before["skin_redness"], abs=1)


@pytest.mark.parametrize("tone", [2, 4, 6])
@pytest.mark.parametrize("degrees", [-20.0, 20.0])
def test_the_lesion_keeps_its_contrast(tone: int, degrees: float) -> None:
    photo, mask = drawn(tone, seed=3)

    def contrast(image: Pixels) -> np.ndarray:
        lab = to_lab(image)
        return np.asarray(lab[mask].mean(axis=0) - lab[~mask].mean(axis=0))

    error = np.linalg.norm(contrast(shift_tone(photo, degrees)) - contrast(photo))
    assert np.linalg.norm(contrast(photo)) > 8
    assert error < 1.5


def test_no_shift_changes_nothing_but_rounding() -> None:
    photo, _ = drawn(3)
    assert np.abs(shift_tone(photo, 0).astype(int) - photo).max() <= 1


def test_cloth_beside_the_skin_stays_and_a_dark_lesion_goes_along() -> None:
    photo, _ = drawn(3)
    photo = np.ascontiguousarray(np.broadcast_to(np.median(photo, axis=(0, 1)), (96, 96, 3)))
    photo = photo.astype(np.uint8)
    photo[:, :40] = (30, 60, 160)
    photo[40:52, 62:74] = 8  # black: no colour that skin has
    region = skin_region(photo)
    assert region is not None
    after = shift_tone(photo, 30).astype(int)
    assert (after[:, :34] == photo[:, :34]).all()
    assert (after[42:50, 64:72].sum(axis=-1) > photo[42:50, 64:72].astype(int).sum(axis=-1)).all()
    assert region.weight[:, 46:].min() > 0.99
    assert region.weight[:, :34].max() == 0


def test_a_photo_without_skin_stays_as_it_is() -> None:
    blue = np.full((60, 60, 3), (20, 40, 200), np.uint8)
    assert skin_region(blue) is None
    assert shift_tone(blue, 30) is blue


def test_what_srgb_cannot_show_is_cut_off() -> None:
    photo, _ = drawn(6)
    region = skin_region(photo)
    assert region is not None
    for offset in (np.array([90, 0, 0]), np.array([-90, 0, 0]), np.array([0, 120, -120])):
        changed = shifted(photo, region, offset.astype(np.float32))
        assert changed.dtype == np.uint8
        assert changed.shape == photo.shape
    assert shifted(photo, region, np.array([90, 0, 0], np.float32)).mean() > 235
