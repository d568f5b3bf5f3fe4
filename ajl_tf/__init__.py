"""Transfer learning for skin conditions on clinical photos, assessed on every skin tone.

Research software: it makes no diagnosis. `python -m ajl_tf` lists the commands.
"""

__version__ = "0.1.0"
