"""Times the pre-training step on whole images or on regions in PyTorch: forward, backward, clipping, official AdamW.

    python torch_step.py [--batch 8] [--threads 2] [--steps 5] [--config FILE.json] [--compile] [--json]
                         [--device cuda] [--autocast] [--fused] [--regions PICTURES]

Without --config the sizes are those of models/xvlm_base.dsl, dropout and stochastic depth included; tiny.json has those
of models/xvlm_tiny.dsl without its absolute positions (--tokens 16 --masks 4). Pictures and tokens are random: no
operation of the step depends on their values. The first step, which allocates, is not counted.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode
from xvlm_torch import XVLM, OfficialAdamW

BASE = {
    "config": {"embed_dim": 256, "temp": 0.07},
    "vision_config": {
        "vision_width": 1024,
        "image_res": 224,
        "window_size": 7,
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
        "drop_path_rate": 0.1,
    },
    "text_config": {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "fusion_layer": 6,
        "intermediate_size": 3072,
        "vocab_size": 30522,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    },
}


def random_batch(config, batch, tokens, masks):
    side, words = config["vision_config"]["image_res"], config["text_config"]["vocab_size"]
    positions = torch.stack([1 + torch.randperm(tokens - 1)[:masks] for _ in range(batch)])
    return {
        "image": torch.randn(batch, 3, side, side),
        "text_ids": torch.randint(1, words, (batch, tokens)),
        "text_atts": torch.ones(batch, tokens, dtype=torch.long),
        "text_ids_masked": torch.randint(1, words, (batch, tokens)),
        "masked_pos": positions,
        "masked_ids": torch.randint(1, words, (batch, masks)),
    }


def random_regions(config, batch, pictures, tokens, masks):
    """`batch` texts of `pictures` pictures: a fifth about a whole one, the others about a region of random patches."""
    vision = config["vision_config"]
    patches = (vision["image_res"] // (4 << (len(vision["depths"]) - 1))) ** 2
    made = random_batch(config, batch, tokens, masks)
    is_image = (torch.arange(batch) % 5 == 0).long()
    inside = (torch.rand(batch, patches) < 0.3).long()
    inside[:, 0] = 1
    inside[is_image == 1] = 1
    made["image"] = made["image"][:pictures]
    made["idx_to_group_img"] = torch.arange(batch) * pictures // batch
    made["image_atts"] = torch.cat([torch.ones(batch, 1, dtype=torch.long), inside], 1)
    made["is_image"] = is_image
    made["target_bbox"] = torch.rand(batch, 4) * 0.5 + 0.25
    return made


class FusedAdamW:
    """PyTorch's own AdamW, one kernel for many parameters, with clipping by the global norm."""

    def __init__(self, model, lr=1e-4):
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def step(self, factor, clip):
        torch.nn.utils.clip_grad_norm_(self.parameters, clip)
        self.optimizer.step()


class Step:
    """One call is one step; it returns the seconds that it took."""

    def __init__(self, config, batch, tokens=40, masks=8, is_compiled=False, device="cpu", is_autocast=False,
                 is_fused=False, pictures=0):
        torch.manual_seed(1)
        self.device, self.is_autocast = device, is_autocast
        self.model = XVLM(config).initialise().train().to(device)
        self.run = torch.compile(self.model) if is_compiled else self.model
        self.optimizer = FusedAdamW(self.model) if is_fused else OfficialAdamW(self.model)
        made = random_regions(config, batch, pictures, tokens, masks) if pictures else random_batch(
            config, batch, tokens, masks)
        self.batch = {name: value.to(device) for name, value in made.items()}

    def __call__(self):
        start = time.perf_counter()
        self.model.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.is_autocast):
            losses = self.run(self.batch)
        losses["loss_total"].backward()
        self.optimizer.step(factor=1.0, clip=1.0)
        losses["loss_total"].item()
        return time.perf_counter() - start


def add_options(parser):
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--masks", type=int, default=8, help="masked words of a text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--config", help="JSON with the groups config, vision_config and text_config")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--autocast", action="store_true", help="bf16 where autocast has it")
    parser.add_argument("--regions", type=int, default=0, help="the step on regions, of so many pictures")
    parser.add_argument("--fused", action="store_true", help="PyTorch's fused AdamW instead of the official one")


def make_step(options):
    torch.set_num_threads(options.threads)
    config = BASE
    if options.config:
        with open(options.config) as file:
            config = json.load(file)
    return Step(config, options.batch, options.tokens, options.masks, options.compile, options.device,
                options.autocast, options.fused, options.regions)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    step = make_step(options)
    with FlopCounterMode(display=False) as counter:  # matrix products and convolutions, two per multiply-add
        step()
    seconds = [step() for _ in range(options.steps)]
    gflop = counter.get_total_flops() / 1e9
    result = {
        "program": "torch " + torch.__version__ + (" compiled" if options.compile else ""),
        "batch": options.batch,
        "threads": options.threads,
        "steps": options.steps,
        "seconds": statistics.median(seconds),
        "seconds_min": min(seconds),
        "pairs_per_second": options.batch / statistics.median(seconds),
        "gflop_per_step": gflop,
        "gflops": gflop / statistics.median(seconds),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    if options.json:
        print(json.dumps(result))
    else:
        print("{program}: {seconds:.3f} s a step of {batch} pairs on {threads} threads (best {seconds_min:.3f}), "
              "{gflops:.0f} GFLOP/s".format(**result))


if __name__ == "__main__":
    main()
