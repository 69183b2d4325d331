"""What PyTorch does with a checkpoint written here.

    torch_round_trip.py MODEL.th INFO.json TRAINED.th LEGACY.th VISION.pth TEXT.bin
        loads MODEL.th with weights_only, checks its form and that it holds the state dict of the program's
        `info --json`, so that load_state_dict(strict=True) takes it, takes one AdamW step on its tensors and saves the
        result in both formats; and the encoders alone, as the files look that pre-training starts from.
    torch_round_trip.py --compare MODEL.th FILE.safetensors
        the same tensors with the same values?
"""
import json
import struct
import sys

import torch


def check_form(checkpoint):
    assert isinstance(checkpoint["config"], dict) and checkpoint["config"]["embed_dim"] == 64
    assert isinstance(checkpoint["config"]["embed_dim"], int)
    assert isinstance(checkpoint["config"]["text_config"]["layer_norm_eps"], float)
    state = checkpoint["model"]
    words = state["text_encoder.bert.embeddings.word_embeddings.weight"]
    tied = state["text_encoder.cls.predictions.decoder.weight"]
    assert words.data_ptr() == tied.data_ptr(), "tied weights are stored twice"
    return state


def check_names(state, info):
    """Every entry of the official state dict, and no other, with its shape and type."""
    types = {"F32": torch.float32, "I64": torch.int64}
    with open(info) as file:
        entries = {entry["name"]: entry for entry in json.load(file)["state_dict"]}
    assert state.keys() == entries.keys(), state.keys() ^ entries.keys()
    for name, entry in entries.items():
        assert list(state[name].shape) == entry["shape"] and state[name].dtype == types[entry["dtype"]], name
    module = torch.nn.Module()
    for name, tensor in state.items():  # a module with those names, as load_state_dict sees one
        module.register_buffer(name.replace(".", "_"), torch.full_like(tensor, 7))
    module.load_state_dict({name.replace(".", "_"): tensor for name, tensor in state.items()}, strict=True)


def check_buffers(state):
    """Tables and masks as the modules of Swin and BERT register them."""
    buffers = [name for name in state if is_buffer(name)]
    assert buffers
    for name in buffers:
        tensor = state[name]
        if name.endswith("position_ids"):
            expected = torch.arange(tensor.shape[1]).expand(1, -1)
        elif name.endswith("relative_position_index"):
            window = round(tensor.shape[0] ** 0.5)
            at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
            relative = at[:, :, None] - at[:, None, :] + window - 1
            expected = relative[0] * (2 * window - 1) + relative[1]
        else:
            expected = shift_mask(round(tensor.shape[0] ** 0.5), round(tensor.shape[1] ** 0.5))
        assert torch.equal(tensor, expected), name


def shift_mask(across, window):
    side, shift = across * window, window // 2
    regions = torch.zeros(side, side)
    cuts = (slice(0, side - window), slice(side - window, side - shift), slice(side - shift, side))
    for i, rows in enumerate(cuts):
        for j, columns in enumerate(cuts):
            regions[rows, columns] = 3 * i + j
    regions = regions.reshape(across, window, across, window).transpose(1, 2).reshape(-1, window * window)
    return torch.where(regions[:, None, :] == regions[:, :, None], 0.0, -100.0)


def is_buffer(name):
    return name.rsplit(".", 1)[-1] in ("position_ids", "relative_position_index", "attn_mask")


def train_step(state):
    unique = {}
    for name, tensor in state.items():
        if is_buffer(name):
            continue
        unique.setdefault(tensor.data_ptr(), torch.nn.Parameter(tensor.clone()))
    optimizer = torch.optim.AdamW(unique.values(), lr=1e-3)
    sum((parameter.square().sum() for parameter in unique.values())).backward()
    optimizer.step()
    return {name: tensor if is_buffer(name) else unique[tensor.data_ptr()].data for name, tensor in state.items()}


def encoder(state, prefix, rename=lambda name: name):
    return {rename(name[len(prefix):]): tensor for name, tensor in state.items() if name.startswith(prefix)}


def old_names(name):
    """Norms as BERT's first files call them."""
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def round_trip(model, info, trained, legacy, vision, text):
    checkpoint = torch.load(model, weights_only=True)
    state = check_form(checkpoint)
    check_names(state, info)
    check_buffers(state)
    after = train_step(state)
    assert any(not torch.equal(state[name], after[name]) for name in state)
    result = {"model": after, "config": checkpoint["config"], "epoch": 1}
    torch.save(result, trained)
    torch.save(result, legacy, _use_new_zipfile_serialization=False)
    torch.save({"model": encoder(after, "vision_encoder.")}, vision)
    torch.save(encoder(after, "text_encoder.", old_names), text)


def read_safetensors(path):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(length)), file.read()
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = {"F32": torch.float32, "I64": torch.int64}[entry["dtype"]]
        yield name, torch.frombuffer(bytearray(data[begin:end]), dtype=dtype).reshape(entry["shape"])


def compare(model, path):
    expected = torch.load(model, weights_only=True)["model"]
    found = dict(read_safetensors(path))
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        compare(*sys.argv[2:])
    else:
        round_trip(*sys.argv[1:])
