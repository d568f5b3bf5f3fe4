"""Training speed beside a tuned PyTorch script: same network, photo size, batch and processors.

    pip install "torch == 2.13.0" "transformers >= 5.23, < 6" efficientnet-lite-pytorch
    python benchmarks/against_torch.py

PyTorch gets the better part: batches that lie in memory as floats, nothing augmented, no metric, no
log, the fastest of its memory layouts, and `torch.compile` where it works. Ours is `fit` as `train`
runs it, with all of its augmentation. Every layer trains but for the BatchNormalization, which
holds still in both. Each measurement has a process of its own, in turn, several rounds; a figure
is the median over epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ajl_tf.errors import UserError, run_verb

NETWORKS = ("efficientnet_lite0", "mobilenet_v2", "resnet50")
LAYOUTS = ("contiguous", "channels_last", "channels_last, compiled")
CLASSES = 21


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)  # what a child measures
    options = parser.parse_args(argv)
    if options.way:
        measure = ours if options.way == "ours" else theirs
        print(json.dumps(measure(options)))
        return 0
    for network in options.networks:
        taken: dict[str, list[float]] = {way: [] for way in ("ours", *LAYOUTS)}
        for _ in range(options.rounds):
            for way, speeds in taken.items():
                speeds += _child(network, way, options)
        medians = {way: statistics.median(speeds) for way, speeds in taken.items() if speeds}
        if set(medians) <= {"ours"}:
            raise UserError("PyTorch ran in no layout; what it said stands above.")
        best = max((way for way in medians if way != "ours"), key=medians.__getitem__)
        print(
            f"{network}: {medians['ours']:.1f} images/s; PyTorch "
            + ", ".join(f"{medians[way]:.1f} {way}" for way in LAYOUTS if way in medians)
            + f"; {medians['ours'] / medians[best]:.2f} of the fastest",
            flush=True,
        )
    return 0


def _child(network: str, way: str, options: argparse.Namespace) -> list[float]:
    """Images a second of some epochs; none where PyTorch cannot compile here, which is told."""
    numbers = ("size", "batch_size", "batches")
    command = [sys.executable, __file__, "--networks", network, "--way", way]
    for name in numbers:
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        speeds: list[float] = json.loads(done.stdout.splitlines()[-1])
        return speeds
    print(f"{network}, {way}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return []


def ours(options: argparse.Namespace) -> list[float]:
    """Images a second of whole epochs of `fit`, all augmentation on."""
    sys.path.insert(0, str(Path(__file__).parent))
    from training_speed import ALL, epochs, noise

    from ajl_tf.config import Phase

    options.backbone = options.networks[0]
    photos = options.batches * options.batch_size
    phase = Phase(name="all", epochs=4, unfreeze=1.0, learning_rate=1e-4)
    taken = epochs(noise(photos, round(options.size * 8 / 7)), options, phase, ALL)
    return [photos / seconds for seconds in taken[1:]]  # the first traces


def theirs(options: argparse.Namespace) -> list[float]:
    """Images a second of a PyTorch loop over batches in memory."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layout = torch.channels_last if "channels_last" in options.way else torch.contiguous_format
    model = _torch_network(options.networks[0]).to(memory_format=layout).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
            module.requires_grad_(requires_grad=False)
    images = torch.rand(options.batches, options.batch_size, 3, options.size, options.size)
    batches = [batch.contiguous(memory_format=layout) for batch in images]
    labels = torch.randint(CLASSES, (options.batches, options.batch_size))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    forward: Callable[[Any], Any] = model
    if "compiled" in options.way:
        forward = torch.compile(model)

    def epoch() -> float:
        start = time.perf_counter()
        for batch, answer in zip(batches, labels, strict=True):
            optimizer.zero_grad(set_to_none=True)
            criterion(forward(batch), answer).backward()
            optimizer.step()
        return options.batches * options.batch_size / (time.perf_counter() - start)

    return [epoch() for _ in range(4)][1:]


def _torch_network(name: str) -> Any:
    if name == "efficientnet_lite0":
        from efficientnet_lite_pytorch import EfficientNet

        return EfficientNet.from_name("efficientnet-lite0", num_classes=CLASSES)
    import torch
    import transformers

    class Logits(torch.nn.Module):
        def __init__(self, network: Any):
            super().__init__()
            self.network = network

        def forward(self, images: Any) -> Any:
            return self.network(images).logits

    if name == "mobilenet_v2":
        # TensorFlow's way to pad would be a step of its own; other libraries of PyTorch have none.
        config = transformers.MobileNetV2Config(num_labels=CLASSES, tf_padding=False)
        return Logits(transformers.MobileNetV2ForImageClassification(config))
    # Keras' ResNet50 is the first version, whose strides are in the first convolution of a block.
    config = transformers.ResNetConfig(num_labels=CLASSES, downsample_in_bottleneck=True)
    return Logits(transformers.ResNetForImageClassification(config))


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
