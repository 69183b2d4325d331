"""X-VLM's pre-training model (Swin and BERT) for whole images, in plain PyTorch.

The peer that the generated program is timed against: the same step written as a PyTorch user writes it, one eager
operation after the other. Parameters carry the official names, so that the recorded cases of tests/replay check it
(`torch_step.py --check CASE`). Shapes: B pairs, T text tokens, S visual tokens, N tokens of a window.
"""

import torch
import torch.nn.functional as F
from torch import nn


def split_heads(x, heads):
    """[B, N, C] -> [B, heads, N, C / heads]"""
    batch, tokens, width = x.shape
    return x.view(batch, tokens, heads, width // heads).transpose(1, 2)


def join_heads(x):
    """[B, heads, N, D] -> [B, N, heads * D]"""
    batch, heads, tokens, width = x.shape
    return x.transpose(1, 2).reshape(batch, tokens, heads * width)


def attend(query, key, value, bias, dropout, is_fused):
    """softmax(q k^T / sqrt(D) + bias) v; `is_fused` uses PyTorch's own kernel instead of single operations."""
    if is_fused:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    weights = scores.softmax(-1)
    if dropout > 0:
        weights = F.dropout(weights, dropout)
    return weights @ value


def drop_path(x, rate, is_training):
    """Drops whole samples of a residual branch and scales the others up."""
    if rate == 0 or not is_training:
        return x
    keep = torch.empty(x.shape[0], 1, 1, device=x.device).bernoulli_(1 - rate)
    return x * (keep / (1 - rate))


class WindowAttention(nn.Module):
    def __init__(self, width, heads, window, is_fused):
        super().__init__()
        self.heads, self.window, self.is_fused = heads, window, is_fused
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        row, column = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        row, column = row.flatten(), column.flatten()
        index = (row[:, None] - row[None] + window - 1) * (2 * window - 1) + column[:, None] - column[None] + window - 1
        self.register_buffer("relative_position_index", index, persistent=False)

    def forward(self, x, mask):
        """x: [images * windows, N, C]; mask: [windows, N, N] or None"""
        rows, tokens, width = x.shape
        query, key, value = self.qkv(x).view(rows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(rows // mask.shape[0], 1, 1, 1)
        return self.proj(join_heads(attend(query, key, value, bias, 0.0, self.is_fused)))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


def shift_mask(grid, window, shift):
    """[windows, N, N]: -100 between tokens that were not neighbours before the roll, else 0."""
    region = torch.zeros(grid)
    region[grid - window:grid - shift] = 1
    region[grid - shift:] = 2
    label = region[:, None] * 3 + region[None]
    label = label.view(grid // window, window, grid // window, window).transpose(1, 2).reshape(-1, window * window)
    return (label[:, :, None] != label[:, None, :]).float() * -100.0


class SwinBlock(nn.Module):
    def __init__(self, width, heads, grid, window, is_odd, drop, is_fused):
        super().__init__()
        is_whole = grid <= window
        self.grid, self.window = grid, grid if is_whole else window
        self.shift = window // 2 if is_odd and not is_whole else 0
        self.drop = drop
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, self.window, is_fused)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        mask = shift_mask(grid, self.window, self.shift) if self.shift else None
        self.register_buffer("attn_mask", mask, persistent=False)

    def attention(self, x):
        batch, _, width = x.shape
        grid, window, side = self.grid, self.window, self.grid // self.window
        x = x.view(batch, grid, grid, width)
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = x.view(batch, side, window, side, window, width).transpose(2, 3).reshape(-1, window * window, width)
        x = self.attn(x, self.attn_mask)
        x = x.view(batch, side, side, window, window, width).transpose(2, 3).reshape(batch, grid, grid, width)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), (1, 2))
        return x.view(batch, grid * grid, width)

    def forward(self, x):
        x = x + drop_path(self.attention(self.norm1(x)), self.drop, self.training)
        return x + drop_path(self.mlp(self.norm2(x)), self.drop, self.training)


class PatchMerging(nn.Module):
    def __init__(self, width, grid):
        super().__init__()
        self.grid = grid
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x):
        batch, tokens, width = x.shape
        x = x.view(batch, self.grid, self.grid, width)
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(corners, -1).view(batch, tokens // 4, 4 * width)))


class SwinStage(nn.Module):
    def __init__(self, blocks, downsample):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.downsample(x) if self.downsample else x


class PatchEmbed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, image):
        return self.norm(self.proj(image).flatten(2).transpose(1, 2))


class Swin(nn.Module):
    def __init__(self, config, is_fused):
        super().__init__()
        width, grid, depths = config["embed_dim"], config["image_res"] // 4, config["depths"]
        drops = torch.linspace(0, config.get("drop_path_rate", 0.0), sum(depths)).tolist()
        self.patch_embed = PatchEmbed(width)
        self.layers = nn.ModuleList()
        for stage, (depth, heads) in enumerate(zip(depths, config["num_heads"])):
            blocks = [SwinBlock(width, heads, grid, config["window_size"], i % 2 == 1, drops.pop(0), is_fused)
                      for i in range(depth)]
            is_last = stage == len(depths) - 1
            self.layers.append(SwinStage(blocks, None if is_last else PatchMerging(width, grid)))
            width, grid = (width, grid) if is_last else (2 * width, grid // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, image):
        """[B, 3, R, R] -> [B, S, D]; token 0 is the mean of the others"""
        x = self.patch_embed(image)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return torch.cat([x.mean(1, keepdim=True), x], 1)


class AttentionProjections(nn.Module):
    def __init__(self, width, memory_width):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(memory_width, width)
        self.value = nn.Linear(memory_width, width)


class AttentionOutput(nn.Module):
    """Projection, dropout, residual, norm: the end of every part of a layer."""

    def __init__(self, config, width_in):
        super().__init__()
        self.dropout = config["hidden_dropout_prob"]
        self.dense = nn.Linear(width_in, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])

    def forward(self, x, residual):
        return self.LayerNorm(F.dropout(self.dense(x), self.dropout, self.training) + residual)


class BertAttention(nn.Module):
    def __init__(self, config, memory_width, is_fused):
        super().__init__()
        self.heads, self.is_fused = config["num_attention_heads"], is_fused
        self.dropout = config["attention_probs_dropout_prob"]
        self.self = AttentionProjections(config["hidden_size"], memory_width)
        self.output = AttentionOutput(config, config["hidden_size"])

    def forward(self, x, memory, bias):
        query, key, value = self.self.query(x), self.self.key(memory), self.self.value(memory)
        query, key, value = (split_heads(part, self.heads) for part in (query, key, value))
        dropout = self.dropout if self.training else 0.0
        return self.output(join_heads(attend(query, key, value, bias, dropout, self.is_fused)), x)


class BertIntermediate(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config["hidden_size"], config["intermediate_size"])

    def forward(self, x):
        return F.gelu(self.dense(x))


class BertLayer(nn.Module):
    def __init__(self, config, vision_width, is_fused):
        super().__init__()
        self.attention = BertAttention(config, config["hidden_size"], is_fused)
        self.crossattention = BertAttention(config, vision_width, is_fused) if vision_width else None
        self.intermediate = BertIntermediate(config)
        self.output = AttentionOutput(config, config["intermediate_size"])

    def forward(self, x, text_bias, image, image_bias):
        x = self.attention(x, x, text_bias)
        if self.crossattention:
            x = self.crossattention(x, image, image_bias)
        return self.output(self.intermediate(x), x)


class BertEmbeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.dropout = config["hidden_dropout_prob"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width, padding_idx=config["pad_token_id"])
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=config["layer_norm_eps"])

    def forward(self, ids):
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.word_embeddings(ids) + self.token_type_embeddings(torch.zeros_like(ids))
        x = self.LayerNorm(x + self.position_embeddings(positions))
        return F.dropout(x, self.dropout, self.training)


class BertEncoder(nn.Module):
    def __init__(self, config, vision_width, is_fused):
        super().__init__()
        self.layer = nn.ModuleList(
            BertLayer(config, vision_width if i >= config["fusion_layer"] else 0, is_fused)
            for i in range(config["num_hidden_layers"]))


class Bert(nn.Module):
    def __init__(self, config, vision_width, is_fused):
        super().__init__()
        self.fusion_layer = config["fusion_layer"]
        self.embeddings = BertEmbeddings(config)
        self.encoder = BertEncoder(config, vision_width, is_fused)

    @staticmethod
    def text_bias(mask):
        return (1.0 - mask[:, None, None, :].float()) * -10000.0

    def text(self, ids, mask):
        x, bias = self.embeddings(ids), self.text_bias(mask)
        for layer in self.encoder.layer[:self.fusion_layer]:
            x = layer(x, bias, None, None)
        return x

    def fusion(self, x, mask, image, image_mask):
        bias, image_bias = self.text_bias(mask), (1.0 - image_mask[:, None, None, :].float()) * -1e9
        for layer in self.encoder.layer[self.fusion_layer:]:
            x = layer(x, bias, image, image_bias)
        return x


class WordTransform(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config["hidden_size"], config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])

    def forward(self, x):
        return self.LayerNorm(F.gelu(self.dense(x)))


class WordPredictions(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(config["vocab_size"]))
        self.transform = WordTransform(config)


class WordHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.predictions = WordPredictions(config)


class BertForMaskedLM(nn.Module):
    def __init__(self, config, vision_width, is_fused):
        super().__init__()
        self.bert = Bert(config, vision_width, is_fused)
        self.cls = WordHead(config)

    def words(self, x):
        predictions = self.cls.predictions
        return F.linear(predictions.transform(x), self.bert.embeddings.word_embeddings.weight, predictions.bias)


def mlp_head(width, outputs):
    return nn.Sequential(nn.Linear(width, 2 * width), nn.LayerNorm(2 * width), nn.GELU(), nn.Linear(2 * width, outputs))


class XVLM(nn.Module):
    """config: an object with the official names `config`, `vision_config`, `text_config`."""

    def __init__(self, config, is_fused=False):
        super().__init__()
        vision, text, embed_dim = config["vision_config"], config["text_config"], config["config"]["embed_dim"]
        width, hidden = vision["vision_width"], text["hidden_size"]
        self.vision_encoder = Swin(vision, is_fused)
        self.text_encoder = BertForMaskedLM(text, width, is_fused)
        self.vision_proj = nn.Linear(width, embed_dim)
        self.text_proj = nn.Linear(hidden, embed_dim)
        self.temp = nn.Parameter(torch.tensor(config["config"]["temp"]))
        self.itm_head = mlp_head(hidden, 2)
        self.bbox_head = mlp_head(hidden, 4)

    def contrast(self, image, text):
        """Logits [B, B] and the symmetric cross-entropy against the diagonal."""
        image_feature = F.normalize(self.vision_proj(image[:, 0]), dim=-1)
        text_feature = F.normalize(self.text_proj(text[:, 0]), dim=-1)
        logits = image_feature @ text_feature.T / self.temp
        same = torch.arange(len(logits), device=logits.device)
        return logits, (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2

    @staticmethod
    @torch.no_grad()
    def negatives(logits, batch):
        """One image and one text per row that do not belong to it, drawn by similarity unless the batch has them."""
        if "neg_image_idx" in batch:
            return batch["neg_image_idx"], batch["neg_text_idx"]
        weights = [(side.softmax(1) + 1e-5).fill_diagonal_(0) for side in (logits.T, logits)]
        return [torch.multinomial(side, 1)[:, 0] for side in weights]

    def match(self, batch, image, image_mask, text, negatives):
        bert, mask = self.text_encoder.bert, batch["text_atts"]
        other_image, other_text = negatives
        right = bert.fusion(text, mask, image, image_mask)
        wrong = bert.fusion(torch.cat([text, text[other_text]]), torch.cat([mask, mask[other_text]]),
                            torch.cat([image[other_image], image]), torch.cat([image_mask[other_image], image_mask]))
        logits = self.itm_head(torch.cat([right[:, 0], wrong[:, 0]]))
        labels = (torch.arange(len(logits), device=logits.device) < len(right)).long()
        return F.cross_entropy(logits, labels)

    def mask_words(self, batch, image, image_mask):
        bert, mask = self.text_encoder.bert, batch["text_atts"]
        x = bert.fusion(bert.text(batch["text_ids_masked"], mask), mask, image, image_mask)
        positions = batch["masked_pos"][:, :, None].expand(-1, -1, x.shape[-1])
        logits = self.text_encoder.words(x.gather(1, positions))
        return F.cross_entropy(logits.flatten(0, 1), batch["masked_ids"].flatten())

    def forward(self, batch):
        """The losses of the step on whole images, by official name."""
        with torch.no_grad():
            self.temp.clamp_(0.001, 0.5)
        image = self.vision_encoder(batch["image"])
        image_mask = torch.ones(image.shape[:2], dtype=torch.long, device=image.device)
        text = self.text_encoder.bert.text(batch["text_ids"], batch["text_atts"])
        logits, loss_itc = self.contrast(image, text)
        loss_itm = self.match(batch, image, image_mask, text, self.negatives(logits, batch))
        loss_mlm = self.mask_words(batch, image, image_mask)
        return {"loss_itc": loss_itc, "loss_itm": loss_itm, "loss_mlm": loss_mlm,
                "loss_total": loss_itc + loss_itm + loss_mlm}


NO_DECAY = ("bias", "LayerNorm.weight", "norm.weight", "norm1.weight", "norm2.weight")
FRESH = ("crossattention.", "vision_proj.", "text_proj.", "temp", "itm_head.", "bbox_head.")


class AdamW:
    """The official variant: eps is added to the uncorrected root, decay follows the step. Works on lists of tensors
    at a time, PyTorch's fastest way to do it eagerly."""

    def __init__(self, model, lr, weight_decay, lr_mult):
        self.lr, self.step_count = lr, 0
        self.groups = []
        for has_decay in (True, False):
            for is_fresh in (False, True):
                parameters = [p for n, p in model.named_parameters()
                              if any(word in n for word in NO_DECAY) != has_decay
                              and any(word in n for word in FRESH) == is_fresh]
                moments = [[torch.zeros_like(p) for p in parameters] for _ in range(2)]
                self.groups.append((parameters, moments, weight_decay if has_decay else 0.0, lr_mult if is_fresh else 1))

    @torch.no_grad()
    def step(self, factor=1.0):
        self.step_count += 1
        correction = (1 - 0.98 ** self.step_count) ** 0.5 / (1 - 0.9 ** self.step_count)
        for parameters, (first, second), decay, mult in self.groups:
            chosen = [i for i, p in enumerate(parameters) if p.grad is not None]
            values = [parameters[i] for i in chosen]
            gradients = [p.grad for p in values]
            m, v = [first[i] for i in chosen], [second[i] for i in chosen]
            rate = self.lr * factor * mult
            if not values:
                continue
            torch._foreach_lerp_(m, gradients, 0.1)
            torch._foreach_mul_(v, 0.98)
            torch._foreach_addcmul_(v, gradients, gradients, 0.02)
            root = torch._foreach_sqrt(v)
            torch._foreach_add_(root, 1e-8)
            torch._foreach_addcdiv_(values, m, root, -rate * correction)
            if decay:
                torch._foreach_mul_(values, 1 - rate * decay)


def clip(model, limit):
    """Scales all gradients so that their joint norm is at most `limit`; returns the norm before."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
