"""Pages: results as one self-contained HTML file that a person would rather look at than read.

A leaf, as assessment is: it knows neither photos' manifests nor models, only what it is given.
"""
