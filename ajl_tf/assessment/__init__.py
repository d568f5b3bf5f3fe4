"""What a model's predictions are worth, overall and on every skin tone.

Reads predictions.csv and nothing else: NumPy and pandas only, so any framework's predictions can be
assessed, and it starts in a second.
"""
