"""A sample set of DRAWN (synthetic) photos: skin of six tones with 21 invented kinds of lesion.

It has the layout of the competition's data, so that every command can be tried without that data.
Everything in it is computed from a seed; no photo and no statistic of one went into it. A figure
measured on it says whether a program works, and nothing about dermatology.
"""

from ajl_tf.dataset.phantom.kinds import KINDS
from ajl_tf.dataset.phantom.picture import draw_image
from ajl_tf.dataset.phantom.write import draw_set

__all__ = ["KINDS", "draw_image", "draw_set"]
