"""Times a generated program and PyTorch in turns on the images step, so that both see the same machine.

    python side_by_side.py PROGRAM [--rounds 5] [options of torch_step.py]

PROGRAM is a compiled pretrain task (build/bench/pretrain of `make bench`) with the same batch and sizes. A round is one
timed stretch of the program (`bench --entry images --json`), then as many steps of PyTorch; prints the rounds, both
medians and their ratio. Nothing else should run on the machine.
"""

import argparse
import json
import os
import statistics
import subprocess

# Threads of the one must not spin while the other is timed; OpenMP reads this when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from torch_step import add_options, make_step  # noqa: E402

STEPS = 3  # timed steps of each side in a round


def program_seconds(options):
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    command = [options.program, "bench", "--entry", "images", "--steps", str(STEPS), "--json"]
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    add_options(parser)
    options = parser.parse_args()
    step = make_step(options)
    step()
    ours, theirs = [], []
    for i in range(options.rounds):
        ours.append(program_seconds(options)["seconds"])
        theirs.append(statistics.median(step() for _ in range(STEPS)))
        print(f"round {i + 1}: program {ours[-1]:.3f} s, PyTorch {theirs[-1]:.3f} s", flush=True)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"median of {options.rounds} rounds, {options.batch} pairs, {options.threads} threads: "
          f"program {a:.3f} s, PyTorch {b:.3f} s, {b / a:.2f} times as fast")


if __name__ == "__main__":
    main()
