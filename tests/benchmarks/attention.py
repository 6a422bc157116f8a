"""The peer of attention.rs: scaled_dot_product_attention of torch, asked in the same way."""

import sys
import time

import torch
from torch.nn.functional import scaled_dot_product_attention

TOKENS, MOST, HEADS, KV_HEADS, HEAD_DIM = 4096, 64, 14, 2, 64


def there_and_back(length, dtype):
    def random(heads):
        shape = (min(TOKENS // length, MOST), length, heads, HEAD_DIM)
        return torch.randn(shape, dtype=dtype, requires_grad=True)

    q, k, v, slope = random(HEADS), random(KV_HEADS), random(KV_HEADS), random(HEADS).detach()
    started = time.perf_counter()
    out = scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), is_causal=True, enable_gqa=True)
    (out.transpose(1, 2) * slope).sum().backward()
    return time.perf_counter() - started


for line in sys.stdin:
    length, dtype = line.split()
    print(there_and_back(int(length), getattr(torch, dtype)), flush=True)
