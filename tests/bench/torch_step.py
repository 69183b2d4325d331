"""Times one pre-training step on whole images in PyTorch (eager, float32, CPU) and prints one line of JSON.

    python tests/bench/torch_step.py --config tests/bench/base.json --batch 8 --threads 2
    python tests/bench/torch_step.py --check tests/replay/pretrain_swin_bert_images

A step is forward, backward, clipping to 1.0 and the official AdamW, with the dropout and stochastic depth of the
configuration. `--check` compares losses, gradients and the 20-step curve with a recorded case instead.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from xvlm_torch import AdamW, XVLM, clip


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="tests/bench/base.json", help="sizes (JSON, official names)")
    parser.add_argument("--batch", type=int, default=8, help="pairs per step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="steps that count")
    parser.add_argument("--warmup", type=int, default=1, help="steps before")
    parser.add_argument("--tokens", type=int, help="text length (config.max_tokens)")
    parser.add_argument("--masks", type=int, help="masked words per text (config.max_masks)")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager",
                        help="single operations as the official code, or PyTorch's fused kernel")
    parser.add_argument("--serve", action="store_true", help="one step for every line on stdin (side_by_side.py)")
    parser.add_argument("--check", metavar="CASE", help="compare with a recorded case")
    return parser.parse_args()


def set_weights(model):
    """Sensible magnitudes; the time does not depend on them."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.02)


def make_batch(config, batch, tokens, masks):
    size, words = config["vision_config"]["image_res"], config["text_config"]["vocab_size"]
    ids = torch.randint(1, words, (batch, tokens))
    return {
        "image": torch.randn(batch, 3, size, size),
        "text_ids": ids,
        "text_ids_masked": ids.clone(),
        "text_atts": torch.ones(batch, tokens, dtype=torch.long),
        "masked_pos": torch.randint(1, tokens, (batch, masks)),
        "masked_ids": torch.randint(1, words, (batch, masks)),
    }


def make_step(model, optimizer, batch):
    def step():
        model.zero_grad(set_to_none=True)
        losses = model(batch)
        losses["loss_total"].backward()
        clip(model, 1.0)
        optimizer.step()
        return losses
    return step


def timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def count_flops(step):
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def report(seconds, flops, options):
    median = statistics.median(seconds)
    return {
        "framework": f"torch {torch.__version__}", "attention": options.attention, "config": options.config,
        "batch": options.batch, "threads": options.threads, "steps": len(seconds),
        "median_step_seconds": median, "fastest_step_seconds": min(seconds),
        "gflop_per_step": flops / 1e9, "gflops": flops / 1e9 / median, "pairs_per_second": options.batch / median,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def bench(options):
    with open(options.config) as file:
        config = json.load(file)
    torch.manual_seed(1)
    model = XVLM(config, options.attention == "sdpa").train()
    set_weights(model)
    tokens = options.tokens or config["config"]["max_tokens"]
    masks = options.masks or config["config"]["max_masks"]
    batch = make_batch(config, options.batch, tokens, masks)
    step = make_step(model, AdamW(model, 1e-4, 0.01, 2), batch)
    flops = count_flops(step)
    for _ in range(options.warmup):
        step()
    if options.serve:
        print("ready", flush=True)
        seconds = []
        for line in sys.stdin:
            seconds.append(timed(step))
            print(seconds[-1], flush=True)
    else:
        seconds = [timed(step) for _ in range(options.steps)]
    print(json.dumps(report(seconds, flops, options)))


def schedule(step, warmup, total):
    return step / warmup if step < warmup else max(0.0, (total - step) / (total - warmup))


def check(folder, is_fused):
    """Exits with 1 when the model is not the recorded one, by the tolerances of tests/replay/README.md."""
    from safetensors.torch import load_file
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    weights, batch = load_file(f"{folder}/weights.safetensors"), load_file(f"{folder}/inputs.safetensors")
    expected = load_file(f"{folder}/grads.safetensors")
    model = XVLM(config, is_fused).train()
    missing = model.load_state_dict(weights, strict=False).missing_keys
    losses = model(batch)
    losses["loss_total"].backward()
    worst_loss = max(abs(float(losses[name].detach()) / value - 1) for name, value in config["losses_fp64"].items())
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    zero = config["grad_fp32_vs_fp64"]["near_zero_grads"]
    worst_gradient = max(float((gradients[name] - value).norm() / value.norm())
                         for name, value in expected.items() if name not in zero)
    worst_curve = [0.0, 0.0]
    if "train20" in config:
        settings = config["train20"]["spec"]
        model.load_state_dict(weights, strict=False)
        optimizer = AdamW(model, settings["lr"], settings["weight_decay"], settings["lr_mult"])
        for i, row in enumerate(config["train20"]["log_fp64"]):
            model.zero_grad(set_to_none=True)
            losses = model(batch)
            losses["loss_total"].backward()
            clip(model, settings["clip_grad_norm"])
            optimizer.step(schedule(i, settings["num_warmup_steps"], settings["num_training_steps"]))
            error = max(abs(float(losses[name].detach()) / value - 1) for name, value in row["losses"].items())
            worst_curve[i >= 6] = max(worst_curve[i >= 6], error)
    print(f"missing {missing}, losses {worst_loss:.2g}, gradients {worst_gradient:.2g}, "
          f"curve {worst_curve[0]:.2g} then {worst_curve[1]:.2g}")
    is_same = (not missing and gradients.keys() == expected.keys() and worst_loss <= 1e-5 and worst_gradient <= 1e-4
               and worst_curve[0] <= 1e-5 and worst_curve[1] <= 1e-3)
    return 0 if is_same else 1


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.check:
        return check(options.check, options.attention == "sdpa")
    bench(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
