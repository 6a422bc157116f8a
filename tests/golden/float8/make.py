"""Records what torch makes of every number of bfloat16 in the two formats of 8 bits, after it was limited to their greatest number.

    pip install torch==2.15.0 safetensors numpy
    python make.py

Rounding never turns an order around, so it is enough to know, for each byte of a positive number, the first bfloat16 that becomes it;
negative numbers are the same with another sign. `values` are the numbers of all 256 bytes. A whole linear layer, both ways, is computed
as torchao does by default: a scale for each tensor, e4m3 for the input and the weight, and e5m2 for the gradient of the output.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
EPSILON = 1e-12


def rounded(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers of 8 bits of a tensor, in float64, and the scale that was put on them."""
    greatest = torch.finfo(dtype).max
    scale = (greatest / x.abs().max().double().clamp(min=EPSILON)).float()
    return (x.float() * scale).clamp(-greatest, greatest).to(dtype).double(), scale.double()


def product(a, b):
    return (a[0] @ b[0]) / (a[1] * b[1])


def main():
    golden = {}
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        name = str(dtype).removeprefix("torch.float8_")
        greatest = torch.finfo(dtype).max
        golden[f"{name}.values"] = torch.arange(256).to(torch.uint8).view(dtype).float()
        # From 0 to infinity.
        x = torch.arange(0x7F81).to(torch.int16).view(torch.bfloat16)
        codes = x.clamp(-greatest, greatest).to(dtype).view(torch.uint8).int()
        assert ((-x).clamp(-greatest, greatest).to(dtype).view(torch.uint8).int() == codes + 128).all()
        assert (codes.diff() >= 0).all() and codes.unique().equal(torch.arange(codes.max() + 1))
        golden[f"{name}.first"] = torch.searchsorted(codes, torch.arange(codes.max() + 1)).int()
    torch.manual_seed(0)
    x, weight, dy = torch.randn(19, 32), torch.randn(48, 32) / 6, torch.randn(19, 48) / 1000
    x[3] *= 20.0
    weight[:, 5] /= 5000.0
    x, weight, dy = (tensor.bfloat16() for tensor in (x, weight, dy))
    (x8, x_scale), (w8, w_scale), (dy8, dy_scale) = (
        rounded(x, torch.float8_e4m3fn), rounded(weight, torch.float8_e4m3fn), rounded(dy, torch.float8_e5m2))
    golden |= {
        "x": x, "weight": weight, "dy": dy,
        "y": product((x8, x_scale), (w8.T, w_scale)),
        "dx": product((dy8, dy_scale), (w8, w_scale)),
        "dweight": product((dy8.T, dy_scale), (x8, x_scale)),
    }
    golden = {name: tensor.contiguous() for name, tensor in golden.items()}
    save_file(golden, HERE / "golden.safetensors", metadata={"about": json.dumps({"torch": torch.__version__.split("+")[0]})})
    print({name: tuple(tensor.shape) for name, tensor in golden.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
