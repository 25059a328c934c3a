"""How large blocks of work are on a device, by its free memory."""

__all__ = ["LARGEST_SCALE", "SCALE_BYTES", "scale_for"]

LARGEST_SCALE = 2**6
"""Largest factor. Blocks hold 2^18 points then; at 30 units an array has 63 MB, to read or write which takes 19 us at
the 3.35 TB/s of an H100's data sheet, a few times as long as a launch. Larger blocks would gain little."""

SCALE_BYTES = 2**28
"""Free bytes of a device for each unit of the factor. A block's largest arrays, those of the dense map, have 8 MiB a
unit, and eight of them at a time are a quarter of it: the rest is for arrays over the whole grid."""


def scale_for(free_bytes: int) -> int:
    """Return the `Backend.block_scale` of a device with so much free memory: a power of two, at most `LARGEST_SCALE`.

    >>> scale_for(80 * 2**30), scale_for(6 * 2**30), scale_for(0)
    (64, 16, 1)
    """
    scale = max(1, min(LARGEST_SCALE, free_bytes // SCALE_BYTES))
    return 1 << (scale.bit_length() - 1)
