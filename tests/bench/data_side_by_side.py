"""The loader beside Pillow and torchvision-style transforms, in turns, on the same 640x480 JPEGs.

    pip install -r tests/bench/requirements_data.txt
    python tests/bench/data_side_by_side.py [--xvlm build/xvlm] [--rounds 3] [--seconds 3]

Both crop at random (0.2 to 1 of the area), resize to 224 with antialiased bicubic weights, mirror every second picture
and normalise to float32 [3, 224, 224]. The Python side is torchvision's pipeline step by step, in NumPy. Rates are
pictures per second of processor time of one thread. The same pictures are measured from a packed shard as well.
Prints one JSON object; `speedup` and `speedup_packed` are medians over the rounds.
"""
import argparse
import io
import json
import math
import os
import random
import statistics
import subprocess
import tempfile
import time

import numpy as np
from PIL import Image

SIDE = 224
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32).reshape(3, 1, 1)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32).reshape(3, 1, 1)


def crop_box(width, height, rng):
    for _ in range(10):
        area = width * height * rng.uniform(0.2, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def transform(encoded, rng):
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    image = image.crop(crop_box(*image.size, rng)).resize((SIDE, SIDE), Image.BICUBIC)
    if rng.random() < 0.5:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    pixels = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32)
    pixels /= 255
    pixels -= MEAN
    pixels /= STD
    return pixels


def python_rate(paths, seconds):
    rng = random.Random(1)
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        for path in paths:
            with open(path, "rb") as file:
                transform(file.read(), rng)
            count += 1
    return count / (time.process_time() - start)


def loader(xvlm, records, vocab, seconds, threads):
    command = [xvlm, "data", "bench", "--json", "--data", records, "--vocab", vocab, "--seconds", str(seconds),
               "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def make_set(folder):
    """Photographs of the tests, brought to 640x480, and their records."""
    source = os.path.join(os.path.dirname(__file__), "../data/mini_coco/images")
    paths = []
    for name in sorted(os.listdir(source)):
        picture = Image.open(os.path.join(source, name)).convert("RGB").resize((640, 480), Image.BICUBIC)
        grain = np.random.default_rng(1).normal(0, 4, (480, 640, 3))  # the detail that enlarging does not bring
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
        paths.append(os.path.join(folder, name))
        picture.save(paths[-1], quality=90)
    records = os.path.join(folder, "records.jsonl")
    with open(records, "w") as file:
        for path in paths:
            file.write(json.dumps({"image": path, "caption": "a picture"}) + "\n")
    vocab = os.path.join(folder, "vocab.txt")
    with open(vocab, "w") as file:
        file.write("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\npicture\n")
    return paths, records, vocab


def pack(xvlm, records, folder):
    packed = os.path.join(folder, "packed")
    subprocess.run([xvlm, "data", "pack", "--output", packed, "--image-key", "image", records], check=True,
                   capture_output=True)
    return os.path.join(packed, os.path.basename(records))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xvlm", default="build/xvlm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths, records, vocab = make_set(folder)
        shard = pack(arguments.xvlm, records, folder)
        python, ours, packed, scaling, scaling_cpu = [], [], [], [], []
        for _ in range(arguments.rounds):
            python.append(python_rate(paths, arguments.seconds))
            result = loader(arguments.xvlm, records, vocab, arguments.seconds, 2)
            ours.append(result["one_thread"]["pictures_per_cpu_second"])
            result_packed = loader(arguments.xvlm, shard, vocab, arguments.seconds, 1)
            packed.append(result_packed["one_thread"]["pictures_per_cpu_second"])
            scaling.append(result["scaling"])
            scaling_cpu.append(result["scaling_cpu"])
        print(json.dumps({
            "bytes_per_picture": round(sum(os.path.getsize(path) for path in paths) / len(paths)),
            "python_pictures_per_cpu_second": [round(rate, 1) for rate in python],
            "xvlm_pictures_per_cpu_second": [round(rate, 1) for rate in ours],
            "packed_pictures_per_cpu_second": [round(rate, 1) for rate in packed],
            "speedup": round(statistics.median(a / b for a, b in zip(ours, python)), 2),
            "speedup_packed": round(statistics.median(a / b for a, b in zip(packed, python)), 2),
            "scaling_on_2_threads": [round(x, 2) for x in scaling],
            "scaling_on_2_threads_cpu": [round(x, 2) for x in scaling_cpu],
        }, indent=1))


if __name__ == "__main__":
    main()
