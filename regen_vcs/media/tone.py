"""Scene-referred values to what a screen shows, and which channels of an EXR are its picture."""

from __future__ import annotations

import numpy as np

from regen_vcs.media.pictures import Frame


def to_display(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB, 0…1; what is brighter than white is white."""
    values = np.clip(linear, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * np.power(values, 1 / 2.4) - 0.055)


def straight_display(frame: Frame) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(colour as shown, alpha) of an EXR frame, 0…1, alpha no longer multiplied in."""
    colour, alpha = colour_of_exr(frame)
    if colour is None:
        return None, None
    colour = finite(colour)
    if alpha is None:
        return to_display(colour), None
    alpha = np.clip(finite(alpha), 0, 1)
    return to_display(straight(colour, alpha)), alpha


def finite(samples: np.ndarray) -> np.ndarray:
    """As float32; infinities become the largest half, NaN becomes 0."""
    values = samples.astype(np.float32)
    if np.isfinite(values).all():  # nan_to_num costs five times as much
        return values
    return np.nan_to_num(values, posinf=65504, neginf=-65504)


def straight(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """EXR holds colours multiplied by alpha."""
    return np.where(alpha > 1e-6, colour / np.maximum(alpha, 1e-6), 0)


def colour_of_exr(frame: Frame) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(colour of 1 or 3 channels, alpha) as (height, width, channels); (None, None) without any.

    The unnamed layer's R, G, B, else Y, else the first layer with R, G and B, else the first channel alone.
    """
    planes = {plane.name: plane.samples for plane in frame.planes}
    layers = ["", *sorted({name.rpartition(".")[0] + "." for name in planes if "." in name})]
    for layer in layers:
        for letters in ("RGB", "Y"):
            found = [planes.get(layer + letter) for letter in letters]
            if all(each is not None and each.shape == found[0].shape for each in found):
                alpha = planes.get(layer + "A")
                if alpha is not None and alpha.shape[:2] != found[0].shape[:2]:
                    alpha = None
                return np.concatenate(found, axis=2), alpha
    first = frame.planes[0].samples if frame.planes else None
    return first, None
