"""What PyTorch does with a checkpoint written here.

    torch_round_trip.py MODEL.th TRAINED.th LEGACY.th VISION.pth TEXT.bin
        loads MODEL.th with weights_only, checks its form, takes one AdamW step on its tensors and saves the result in
        both formats; and the encoders alone, as the files look that pre-training starts from.
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


def train_step(state):
    unique = {}
    for name, tensor in state.items():
        unique.setdefault(tensor.data_ptr(), torch.nn.Parameter(tensor.clone()))
    optimizer = torch.optim.AdamW(unique.values(), lr=1e-3)
    sum((parameter.square().sum() for parameter in unique.values())).backward()
    optimizer.step()
    return {name: unique[tensor.data_ptr()].data for name, tensor in state.items()}


def encoder(state, prefix, rename=lambda name: name):
    return {rename(name[len(prefix):]): tensor for name, tensor in state.items() if name.startswith(prefix)}


def old_names(name):
    """Norms as BERT's first files call them."""
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def round_trip(model, trained, legacy, vision, text):
    checkpoint = torch.load(model, weights_only=True)
    state = check_form(checkpoint)
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
        assert entry["dtype"] == "F32", name
        yield name, torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).reshape(entry["shape"])


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
