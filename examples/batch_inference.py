"""Predicts every photo of a folder with a SavedModel. It needs TensorFlow and nothing else.

    python batch_inference.py saved_models/<name>/<version> FOLDER predictions.csv

Research software: it makes no diagnosis. A photo that cannot be decoded stops it.
"""

import csv
import sys
from pathlib import Path

import tensorflow as tf

model, folder, out = tf.saved_model.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths]).map(tf.io.read_file)
batches = files.map(model.preprocess, tf.data.AUTOTUNE).batch(32).prefetch(2)
options = tf.data.Options()
options.autotune.enabled = False  # all cores at once: no thread tunes, for which the end can wait
batches = batches.with_options(options)
answers = (model.signatures["serving_default"](images=batch) for batch in batches)
pairs = ((a["predicted"].numpy(), a["probabilities"].numpy()) for a in answers)
rows = (row for pair in pairs for row in zip(*pair, strict=True))
with out.open("x", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    names = [name.decode() for name in model.class_names.numpy()]
    writer.writerow(["image_id", "predicted", *(f"prob_{name}" for name in names)])
    for path, (predicted, probabilities) in zip(paths, rows, strict=True):
        image_id = path.relative_to(folder).with_suffix("").as_posix()
        writer.writerow([image_id, predicted.decode(), *probabilities])
