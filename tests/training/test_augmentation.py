"""Moved images, by hand; the rows that an epoch shows, however they are taken."""

from __future__ import annotations

import numpy as np
import pytest

from packtrain.training import Augmentation, Signature, make_trials
from packtrain.training.augmentation import ImageMover, draw_moves, make_moves
from packtrain.training.blocks import Block, divide_trials
from packtrain.training.randomness import order_rows
from packtrain.training.shown_rows import ShownRows, changes_rows, noise_rows
from packtrain.training.spec import Activation

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def images_of(count: int, height: int, width: int, dtype: str = "float64") -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, height * width)).astype(dtype)


def moved(images: np.ndarray, height: int, width: int, moves: np.ndarray) -> np.ndarray:
    """The images after their moves, (r, height, width)."""
    out = images.copy()
    ImageMover(height, width, images.dtype).move(out, moves)
    return out.reshape(-1, height, width)


def alike(count: int, down: float, right: float, degrees: float) -> np.ndarray:
    return make_moves(np.full(count, down), np.full(count, right), np.full(count, degrees))


def pixel_at(image: np.ndarray, down: float, right: float) -> float:
    """Bilinear interpolation as the textbook has it, pixel by pixel."""
    total = 0.0
    for row in (int(np.floor(down)), int(np.floor(down)) + 1):
        for column in (int(np.floor(right)), int(np.floor(right)) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                share = (1 - abs(down - row)) * (1 - abs(right - column))
                total += share * image[row, column]
    return total


@DTYPES
@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, -2), (-3, 4), (6, 0), (0, 100)])
def test_a_shift_by_whole_pixels_moves_the_image_exactly(dtype, down, right):
    images = images_of(3, 6, 5, dtype)
    wanted = np.zeros((3, 6, 5), dtype)
    for row in range(6):
        for column in range(5):
            if 0 <= row - down < 6 and 0 <= column - right < 5:
                wanted[:, row, column] = images.reshape(3, 6, 5)[:, row - down, column - right]
    np.testing.assert_array_equal(moved(images, 6, 5, alike(3, down, right, 0)), wanted)


@DTYPES
def test_no_move_changes_nothing(dtype):
    images = images_of(50, 28, 28, dtype)
    found = moved(images, 28, 28, alike(50, 0, 0, 0))
    np.testing.assert_array_equal(found.reshape(50, -1), images)


@DTYPES
def test_turns_are_counter_clockwise_about_the_centre(dtype):
    images = images_of(2, 7, 7, dtype)
    for degrees, quarters in ((90, 1), (180, 2), (-90, 3), (-180, 2)):
        found = moved(images, 7, 7, alike(2, 0, 0, degrees))
        wanted = np.rot90(images.reshape(2, 7, 7), quarters, axes=(1, 2))
        np.testing.assert_allclose(found, wanted, atol=1e-5 if dtype == "float32" else 1e-13)
    wide = images_of(1, 2, 4, dtype)
    found = moved(wide, 2, 4, alike(1, 0, 0, 180))
    np.testing.assert_allclose(found[0], wide.reshape(2, 4)[::-1, ::-1], atol=1e-5)


def test_half_a_pixel_by_hand():
    image = np.array([[1.0, 2.0, 4.0, 8.0]])
    right = moved(image, 2, 2, alike(1, 0, 0.5, 0))
    np.testing.assert_array_equal(right[0], [[0.5, 1.5], [2.0, 6.0]])
    down = moved(image, 2, 2, alike(1, 0.5, 0, 0))
    np.testing.assert_array_equal(down[0], [[0.5, 1.0], [2.5, 5.0]])
    both = moved(image, 2, 2, alike(1, -0.5, -0.25, 0))
    np.testing.assert_array_equal(both[0], [[0.375 * 5 + 0.125 * 10, 3.75], [2.5, 3.0]])


@DTYPES
def test_moves_agree_with_the_textbook(dtype):
    height, width, count = 9, 6, 40
    rng = np.random.default_rng(2)
    images = images_of(count, height, width, dtype)
    down, right = rng.uniform(-4, 4, (2, count))
    degrees = rng.uniform(-180, 180, count)
    found = moved(images, height, width, make_moves(down, right, degrees))
    for k in range(count):
        image, angle = images[k].reshape(height, width), np.deg2rad(degrees[k])
        for row in range(height):
            for column in range(width):
                y = row - (height - 1) / 2 - down[k]
                x = column - (width - 1) / 2 - right[k]
                # Seen with row 0 on top, what lies here lay clockwise of here.
                source_y = np.sin(angle) * x + np.cos(angle) * y + (height - 1) / 2
                source_x = np.cos(angle) * x - np.sin(angle) * y + (width - 1) / 2
                wanted = pixel_at(image, source_y, source_x)
                assert found[k, row, column] == pytest.approx(wanted, abs=2e-5)


@DTYPES
def test_an_image_does_not_depend_on_those_beside_it(dtype):
    images = images_of(123, 28, 28, dtype)
    moves = draw_moves(Augmentation(28, 28, 3, 40), 7, 2, 123)
    together = moved(images, 28, 28, moves)
    for some in (slice(0, 1), slice(17, 60), slice(122, 123)):
        np.testing.assert_array_equal(moved(images[some], 28, 28, moves[some]), together[some])


def test_moves_are_uniform_and_drawn_for_each_row_alone():
    augmentation = Augmentation(28, 28, 2.5, 30)
    moves = draw_moves(augmentation, 3, 1, 20_000)
    angles = np.rad2deg(np.arctan2(moves[:, 3], moves[:, 2]))
    for drawn, most in ((moves[:, 0], 2.5), (moves[:, 1], 2.5), (angles, 30)):
        assert np.abs(drawn).max() <= most
        shares = np.histogram(drawn, bins=10, range=(-most, most))[0] / len(drawn)
        np.testing.assert_allclose(shares, 0.1, atol=0.012)
    correlations = np.corrcoef([moves[:, 0], moves[:, 1], angles])
    np.testing.assert_allclose(correlations, np.eye(3), atol=0.03)
    np.testing.assert_array_equal(moves, draw_moves(augmentation, 3, 1, 20_000))
    np.testing.assert_array_equal(moves[:50], draw_moves(augmentation, 3, 1, 50))
    for seed, epoch in ((4, 1), (3, 2)):
        other = draw_moves(augmentation, seed, epoch, 50)
        assert (other[:, 0] != moves[:50, 0]).all()


def signature_of(inputs: int, augmentation: Augmentation | None, dtype: str) -> Signature:
    return Signature(
        sizes=(inputs, 2),
        hidden_activation=Activation.SIGMOID,
        output_activation=Activation.SIGMOID,
        batch_size=10,
        epochs=1,
        data_type=dtype,
        metrics=("weight_norm",),
        augmentation=augmentation,
    )


def block_of(noise: float, order_seed: int = 5) -> Block:
    trials = make_trials(1, input_noise=noise, order_seeds=order_seed)
    (block,) = divide_trials(trials, np.arange(1), 1, 10)
    return block


def take_all(shown: ShownRows, x: np.ndarray, step: int) -> np.ndarray:
    out = np.empty_like(x)
    for first in range(0, len(x), step):
        places = slice(first, min(first + step, len(x)))
        shown.take(places, out[places])
    return out


def test_rows_are_shown_as_they_are_in_the_epochs_order():
    x = images_of(30, 4, 4)
    for augmentation in (None, Augmentation(4, 4)):
        signature = signature_of(16, augmentation, "float64")
        assert not changes_rows(signature, block_of(0))
        shown = ShownRows(signature, block_of(0), x, 2)
        np.testing.assert_array_equal(shown.order, order_rows(5, 2, 30))
        np.testing.assert_array_equal(take_all(shown, x, 7), x[shown.order])


@DTYPES
@pytest.mark.parametrize("augmentation", [None, Augmentation(14, 14, 1.5, 10)])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_what_is_shown_does_not_depend_on_how_it_is_taken(dtype, augmentation, noise):
    # More than two chunks of noise.
    x = images_of(2 * noise_rows(196) + 50, 14, 14, dtype)
    before = x.copy()
    signature, block = signature_of(196, augmentation, dtype), block_of(noise)
    assert changes_rows(signature, block) == bool(augmentation or noise)
    whole = take_all(ShownRows(signature, block, x, 3), x, len(x))
    for step in (1, 10, 100):
        np.testing.assert_array_equal(take_all(ShownRows(signature, block, x, 3), x, step), whole)
    last, again = np.empty((2, 5, 196), dtype)
    shown = ShownRows(signature, block, x, 3)
    shown.take(slice(len(x) - 5, len(x)), last)
    np.testing.assert_array_equal(last, whole[-5:])
    shown.take(slice(165, 170), again)
    np.testing.assert_array_equal(again, whole[165:170])
    np.testing.assert_array_equal(x, before)


def test_images_are_moved_first_and_noise_is_added_then():
    x = images_of(20, 5, 5)
    augmentation = Augmentation(5, 5, 1, 20)
    signature = signature_of(25, augmentation, "float64")
    quiet = ShownRows(signature, block_of(0), x, 1)
    wanted = x[quiet.order]
    ImageMover(5, 5, x.dtype).move(wanted, draw_moves(augmentation, 5, 1, 20)[quiet.order])
    np.testing.assert_array_equal(take_all(quiet, x, 6), wanted)
    bare = ShownRows(signature_of(25, None, "float64"), block_of(0.5), np.zeros_like(x), 1)
    noisy = ShownRows(signature, block_of(0.5), x, 1)
    np.testing.assert_array_equal(take_all(noisy, x, 6), wanted + take_all(bare, x, 6))


@DTYPES
def test_noise_is_gaussian_and_new_in_every_epoch(dtype):
    x = np.zeros((2000, 40), dtype)
    signature = signature_of(40, None, dtype)

    def noise(deviation, epoch, order_seed=5):
        return take_all(ShownRows(signature, block_of(deviation, order_seed), x, epoch), x, 100)

    first = noise(0.3, 1)
    assert first.mean() == pytest.approx(0, abs=0.005)
    assert first.std() == pytest.approx(0.3, rel=0.01)
    assert (np.abs(first) < 0.3).mean() == pytest.approx(0.6827, abs=0.01)
    assert (np.abs(first) < 0.6).mean() == pytest.approx(0.9545, abs=0.005)
    assert len(np.unique(first)) > 0.99 * first.size
    correlations = np.corrcoef(first.ravel(), np.roll(first, 1, axis=0).ravel())
    assert abs(correlations[0, 1]) < 0.02
    np.testing.assert_array_equal(noise(0.3, 1), first)
    np.testing.assert_allclose(noise(0.6, 1), 2 * first, rtol=1e-6)
    for other in (noise(0.3, 2), noise(0.3, 1, order_seed=6)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_trials_of_a_block_share_their_noise():
    trials = make_trials(6, input_noise=[0, 0.5, 0.25, 0.5, 0, 0.75])
    blocks = list(divide_trials(trials, np.arange(6), 10, 10))
    found = {block.input_noise: block.rows.tolist() for block in blocks}
    assert found == {0: [0, 4], 0.5: [1, 3], 0.25: [2], 0.75: [5]}
