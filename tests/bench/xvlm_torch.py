"""The X-VLM pre-training step on whole images in PyTorch: what the generated program is timed against.

It computes what tasks/pretrain.dsl computes in the entry `images` (Swin, BERT, contrast, matching with hard negatives,
masked words), under the official parameter names, with the kernels that PyTorch offers: fused attention where the bias
has no gradient, multi-tensor optimizer. Nothing of the compiler's tests depends on it.

    python xvlm_torch.py CASE [WEIGHTS INPUTS]

compares it with a recorded case of tests/replay first, so that a race is run over the same course.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

NO_DECAY = ("bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight")


# Vision ---------------------------------------------------------------------------------------------------------


def windows(x, side):
    """[B, H, W, C] to [B * windows, side * side, C], windows and tokens row by row."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, side * side, channels)


def unwindowed(x, side, height, width):
    """The way back."""
    channels = x.shape[-1]
    x = x.reshape(-1, height // side, width // side, side, side, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, channels)


class WindowAttention(nn.Module):
    def __init__(self, width, heads, side):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * side - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        row = torch.arange(side).repeat_interleave(side)
        column = torch.arange(side).repeat(side)
        rows = row[:, None] - row[None, :] + side - 1
        columns = column[:, None] - column[None, :] + side - 1
        self.register_buffer("place", rows * (2 * side - 1) + columns, persistent=False)

    def forward(self, x, mask):
        count, tokens, width = x.shape
        size = width // self.heads
        q, k, v = self.qkv(x).reshape(count, tokens, 3, self.heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * size**-0.5) @ k.transpose(-2, -1) + self.relative_position_bias_table[self.place].permute(2, 0, 1)
        if mask is not None:
            each = mask.shape[0]
            scores = scores.view(-1, each, self.heads, tokens, tokens) + mask[:, None]
            scores = scores.view(-1, self.heads, tokens, tokens)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(count, tokens, width))


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


def shift_mask(grid, side, shift):
    """0 inside a region of the rolled map, -100 between regions: [windows, side^2, side^2]."""
    part = torch.zeros(grid, dtype=torch.long)
    part[grid - side : grid - shift] = 1
    part[grid - shift :] = 2
    region = windows((3 * part[:, None] + part[None, :])[None, :, :, None], side)[:, :, 0]
    return torch.where(region[:, :, None] == region[:, None, :], 0.0, -100.0)


class SwinBlock(nn.Module):
    def __init__(self, width, heads, grid, side, is_shifted, drop_path):
        super().__init__()
        self.grid = grid
        self.side = min(side, grid)
        self.shift = side // 2 if is_shifted and grid > side else 0
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, self.side)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width)
        self.register_buffer("mask", shift_mask(grid, self.side, self.shift) if self.shift else None, persistent=False)

    def kept(self, branch):
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * (torch.rand(branch.shape[0], 1, 1, device=branch.device) < keep) / keep

    def attended(self, x):
        batch, tokens, width = x.shape
        x = self.norm1(x).view(batch, self.grid, self.grid, width)
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        x = unwindowed(self.attn(windows(x, self.side), self.mask), self.side, self.grid, self.grid)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x.reshape(batch, tokens, width)

    def forward(self, x):
        x = x + self.kept(self.attended(x))
        return x + self.kept(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    def __init__(self, width, grid):
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x):
        batch, _, width = x.shape
        x = x.view(batch, self.grid // 2, 2, self.grid // 2, 2, width)
        x = x.permute(0, 1, 3, 4, 2, 5)  # column parity outside row parity: (0,0), (1,0), (0,1), (1,1)
        return self.reduction(self.norm(x.reshape(batch, -1, 4 * width)))


class SwinStage(nn.Module):
    def __init__(self, width, heads, grid, side, drop_paths, is_last):
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(width, heads, grid, side, j % 2 == 1, rate) for j, rate in enumerate(drop_paths)
        )
        self.downsample = None if is_last else PatchMerging(width, grid)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class PatchEmbedding(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, image):
        return self.norm(self.proj(image).flatten(2).transpose(1, 2))


class Swin(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, depths = config["embed_dim"], config["depths"]
        rates = torch.linspace(0, config.get("drop_path_rate", 0.0), sum(depths)).tolist()
        self.patch_embed = PatchEmbedding(width)
        self.layers = nn.ModuleList()
        for i, depth in enumerate(depths):
            first = sum(depths[:i])
            self.layers.append(
                SwinStage(
                    width << i,
                    config["num_heads"][i],
                    (config["image_res"] // 4) >> i,
                    config["window_size"],
                    rates[first : first + depth],
                    i == len(depths) - 1,
                )
            )
        self.norm = nn.LayerNorm(width << (len(depths) - 1))

    def forward(self, image):
        x = self.patch_embed(image)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return torch.cat([x.mean(1, keepdim=True), x], 1)

    def regions(self, image, which, atts):
        """For each text the patches of its picture behind their mean within the region; and the picture's rows."""
        whole = self(image)[which]
        patches, inside = whole[:, 1:], atts[:, 1:, None].to(whole.dtype)
        mean = (inside * patches).sum(1, keepdim=True) / inside.sum(1, keepdim=True)
        return torch.cat([mean, patches], 1), whole


# Text -----------------------------------------------------------------------------------------------------------


class Projections(nn.Module):
    def __init__(self, width, memory_width):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(memory_width, width)
        self.value = nn.Linear(memory_width, width)


class Residual(nn.Module):
    """LayerNorm(residual + dropout(dense(x)))."""

    def __init__(self, width_in, config):
        super().__init__()
        self.dense = nn.Linear(width_in, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        self.rate = config["hidden_dropout_prob"]

    def forward(self, x, residual):
        return self.LayerNorm(residual + F.dropout(self.dense(x), self.rate, self.training))


class Attention(nn.Module):
    def __init__(self, config, memory_width):
        super().__init__()
        self.heads = config["num_attention_heads"]
        self.rate = config["attention_probs_dropout_prob"]
        self.self = Projections(config["hidden_size"], memory_width)
        self.output = Residual(config["hidden_size"], config)

    def forward(self, x, memory, bias):
        def split(y):
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        q, k, v = split(self.self.query(x)), split(self.self.key(memory)), split(self.self.value(memory))
        y = F.scaled_dot_product_attention(q, k, v, bias, self.rate if self.training else 0.0)
        return self.output(y.transpose(1, 2).flatten(2), x)


class Intermediate(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config["hidden_size"], config["intermediate_size"])

    def forward(self, x):
        return F.gelu(self.dense(x))


class TextLayer(nn.Module):
    def __init__(self, config, image_width, is_fusion):
        super().__init__()
        self.attention = Attention(config, config["hidden_size"])
        if is_fusion:
            self.crossattention = Attention(config, image_width)
        self.intermediate = Intermediate(config)
        self.output = Residual(config["intermediate_size"], config)

    def forward(self, x, text_bias, image, image_bias):
        x = self.attention(x, x, text_bias)
        if image is not None:
            x = self.crossattention(x, image, image_bias)
        return self.output(self.intermediate(x), x)


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width, padding_idx=config["pad_token_id"])
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self.rate = config["hidden_dropout_prob"]

    def forward(self, ids):
        x = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        x = x + self.position_embeddings.weight[: ids.shape[1]]
        return F.dropout(self.LayerNorm(x), self.rate, self.training)


class Encoder(nn.Module):
    def __init__(self, config, image_width):
        super().__init__()
        self.layer = nn.ModuleList(
            TextLayer(config, image_width, i >= config["fusion_layer"]) for i in range(config["num_hidden_layers"])
        )


class Bert(nn.Module):
    def __init__(self, config, image_width):
        super().__init__()
        self.fusion_layer = config["fusion_layer"]
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config, image_width)

    def text(self, ids, atts):
        """The layers below fusion_layer, from token ids."""
        bias = (1.0 - atts[:, None, None, :].float()) * -10000.0
        x = self.embeddings(ids)
        for layer in self.encoder.layer[: self.fusion_layer]:
            x = layer(x, bias, None, None)
        return x

    def fusion(self, x, atts, image, image_atts=None):
        """The other layers, from the output of the first; every image token is seen unless told otherwise."""
        bias = (1.0 - atts[:, None, None, :].float()) * -10000.0
        image_bias = None if image_atts is None else (1.0 - image_atts[:, None, None, :].float()) * -10000.0
        for layer in self.encoder.layer[self.fusion_layer :]:
            x = layer(x, bias, image, image_bias)
        return x


class Transform(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config["hidden_size"], config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])

    def forward(self, x):
        return self.LayerNorm(F.gelu(self.dense(x)))


class Predictions(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(config["vocab_size"]))
        self.transform = Transform(config)


class MaskedLM(nn.Module):
    def __init__(self, config, image_width):
        super().__init__()
        self.bert = Bert(config, image_width)
        self.cls = nn.Module()
        self.cls.predictions = Predictions(config)

    def scores(self, x):
        head = self.cls.predictions
        return F.linear(head.transform(x), self.bert.embeddings.word_embeddings.weight, head.bias)


# The whole model ------------------------------------------------------------------------------------------------


def build_mlp(width, outputs):
    return nn.Sequential(nn.Linear(width, 2 * width), nn.LayerNorm(2 * width), nn.GELU(), nn.Linear(2 * width, outputs))


class XVLM(nn.Module):
    """`config` has the groups config, vision_config and text_config of the recorded cases."""

    def __init__(self, config):
        super().__init__()
        vision, text, top = config["vision_config"], config["text_config"], config["config"]
        self.vision_encoder = Swin(vision)
        self.text_encoder = MaskedLM(text, vision["vision_width"])
        self.vision_proj = nn.Linear(vision["vision_width"], top["embed_dim"])
        self.text_proj = nn.Linear(text["hidden_size"], top["embed_dim"])
        self.temp = nn.Parameter(torch.tensor(float(top["temp"])))
        self.itm_head = build_mlp(text["hidden_size"], 2)
        self.bbox_head = build_mlp(text["hidden_size"], 4)  # unused on whole images, as officially

    def initialise(self):
        """Normal 0.02 where the official model draws from it; biases and norms as there."""
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2 and not name.startswith(("vision_proj", "text_proj", "itm_head", "bbox_head")):
                nn.init.normal_(parameter, std=0.02)
        nn.init.zeros_(self.text_encoder.cls.predictions.bias)
        return self

    def negatives(self, logits, batch):
        with torch.no_grad():
            own = torch.eye(logits.shape[0], dtype=torch.bool, device=logits.device)
            of_text = (logits.t().softmax(1) + 1e-5).masked_fill(own, 0.0)
            of_image = (logits.softmax(1) + 1e-5).masked_fill(own, 0.0)
            images = batch.get("neg_image_idx")
            texts = batch.get("neg_text_idx")
            images = torch.multinomial(of_text, 1)[:, 0] if images is None else images
            texts = torch.multinomial(of_image, 1)[:, 0] if texts is None else texts
        return images, texts

    def matching(self, image, image_atts, text, atts, negatives):
        bert, (images, texts) = self.text_encoder.bert, negatives
        positive = bert.fusion(text, atts, image, image_atts)
        negative_atts = None if image_atts is None else torch.cat([image_atts[images], image_atts])
        negative = bert.fusion(
            torch.cat([text, text[texts]]),
            torch.cat([atts, atts[texts]]),
            torch.cat([image[images], image]),
            negative_atts,
        )
        logits = self.itm_head(torch.cat([positive[:, 0], negative[:, 0]]))
        labels = torch.zeros(logits.shape[0], dtype=torch.long, device=logits.device)
        labels[: positive.shape[0]] = 1
        return F.cross_entropy(logits, labels)

    def masked_words(self, image, image_atts, batch):
        bert = self.text_encoder.bert
        x = bert.text(batch["text_ids_masked"], batch["text_atts"])
        x = bert.fusion(x, batch["text_atts"], image, image_atts)
        rows = x.gather(1, batch["masked_pos"][:, :, None].expand(-1, -1, x.shape[-1]))
        return F.cross_entropy(self.text_encoder.scores(rows).flatten(0, 1), batch["masked_ids"].flatten())

    def boxes(self, whole, text, batch):
        """L1 and generalised IoU of boxes (centre, size) found from the whole picture, over texts of regions."""
        x = self.text_encoder.bert.fusion(text, batch["text_atts"], whole)
        got, want = self.bbox_head(x[:, 0]).float().sigmoid(), batch["target_bbox"]
        counts = 1 - batch["is_image"].float()
        (low, high), (want_low, want_high) = corners(got), corners(want)
        both = (torch.min(high, want_high) - torch.max(low, want_low)).clamp(min=0).prod(1)
        union = (high - low).prod(1) + (want_high - want_low).prod(1) - both
        hull = (torch.max(high, want_high) - torch.min(low, want_low)).clamp(min=0).prod(1)
        return {
            "loss_bbox": ((got - want).abs() * counts[:, None]).sum() / counts.sum(),
            "loss_giou": ((1 - (both / union - (hull - union) / hull)) * counts).sum() / counts.sum(),
        }

    def forward(self, batch):
        with torch.no_grad():
            self.temp.clamp_(0.001, 0.5)
        image_atts = batch.get("image_atts")
        if image_atts is None:
            image = self.vision_encoder(batch["image"])
        else:
            image, whole = self.vision_encoder.regions(batch["image"], batch["idx_to_group_img"], image_atts)
        text = self.text_encoder.bert.text(batch["text_ids"], batch["text_atts"])
        image_feature = F.normalize(self.vision_proj(image[:, 0]), dim=-1)
        text_feature = F.normalize(self.text_proj(text[:, 0]), dim=-1)
        logits = image_feature @ text_feature.t() / self.temp
        same = torch.arange(logits.shape[0], device=logits.device)
        negatives = self.negatives(logits, batch)
        losses = {
            "loss_itc": (F.cross_entropy(logits, same) + F.cross_entropy(logits.t(), same)) / 2,
            "loss_itm": self.matching(image, image_atts, text, batch["text_atts"], negatives),
            "loss_mlm": self.masked_words(image, image_atts, batch),
        }
        if image_atts is not None:
            losses.update(self.boxes(whole, text, batch))
        losses["loss_total"] = sum(losses.values())
        return losses


def corners(boxes):
    return boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2


# Optimizer ------------------------------------------------------------------------------------------------------


def is_fresh(name):
    """Parameters that the official pre-training trains with the larger rate."""
    return "crossattention" in name or name == "temp" or name.split(".")[0] in (
        "vision_proj", "text_proj", "itm_head", "bbox_head")


class OfficialAdamW:
    """eps beside the uncorrected root, decay after the step, all tensors of a group at once."""

    def __init__(self, model, lr=1e-4, weight_decay=0.01, lr_mult=2.0):
        self.lr, self.weight_decay, self.lr_mult, self.time, self.groups = lr, weight_decay, lr_mult, 0, {}
        for name, parameter in model.named_parameters():
            key = (is_fresh(name), any(part in name for part in NO_DECAY))
            self.groups.setdefault(key, []).append(parameter)
        self.moments = {}

    @torch.no_grad()
    def step(self, factor=1.0, clip=1.0):
        self.time += 1
        scale = math.sqrt(1 - 0.98**self.time) / (1 - 0.9**self.time)
        everything = [p for group in self.groups.values() for p in group if p.grad is not None]
        norm = torch.stack(torch._foreach_norm([p.grad for p in everything])).norm()
        torch._foreach_mul_([p.grad for p in everything], torch.clamp(clip / (norm + 1e-6), max=1.0))
        for (fresh, undecayed), group in self.groups.items():
            group = [p for p in group if p.grad is not None]
            if not group:
                continue
            for p in group:
                if p not in self.moments:
                    self.moments[p] = (torch.zeros_like(p), torch.zeros_like(p))
            first, second = [self.moments[p][0] for p in group], [self.moments[p][1] for p in group]
            gradients = [p.grad for p in group]
            rate = self.lr * factor * (self.lr_mult if fresh else 1.0)
            torch._foreach_lerp_(first, gradients, 1 - 0.9)
            torch._foreach_mul_(second, 0.98)
            torch._foreach_addcmul_(second, gradients, gradients, 1 - 0.98)
            root = torch._foreach_sqrt(second)
            torch._foreach_add_(root, 1e-8)
            torch._foreach_addcdiv_(group, first, root, -rate * scale)
            if not undecayed:
                torch._foreach_mul_(group, 1 - rate * self.weight_decay)
        return norm


# Comparison with a recorded case --------------------------------------------------------------------------------


def compare(case, weights, inputs):
    import json
    import os

    from safetensors.torch import load_file

    with open(os.path.join(case, "config.json")) as file:
        config = json.load(file)
    model = XVLM(config).train()
    own = dict(model.named_parameters())
    values = load_file(weights)
    model.load_state_dict({name: values[name] for name in own}, strict=False)
    batch = {name: value for name, value in load_file(inputs).items()}
    losses = model(batch)
    losses["loss_total"].backward()
    worst = 0.0
    for name, wanted in config.get("losses_fp64", config["losses_fp32"]).items():
        error = abs(losses[name].item() - wanted) / abs(wanted)
        worst = max(worst, error)
        print(f"{name} {losses[name].item():.8f}, recorded {wanted:.8f}, relative error {error:.2g}")
    recorded = load_file(os.path.join(case, "grads.safetensors"))
    noise = config.get("grad_fp32_vs_fp64", {}).get("near_zero_grads", [])
    errors = [
        ((own[name].grad - wanted).norm().item() / wanted.norm().item(), name)
        for name, wanted in recorded.items()
        if name in own and name not in noise
    ]
    if errors:
        print("worst gradient: relative L2 %.2g of %s" % max(errors))
    return worst < 1e-5 and all(error < 1e-4 for error, _ in errors)


if __name__ == "__main__":
    import sys

    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    files = sys.argv[2:] or [sys.argv[1] + "/weights.safetensors", sys.argv[1] + "/inputs.safetensors"]
    sys.exit(0 if compare(sys.argv[1], *files) else 1)
