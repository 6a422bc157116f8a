"""The peer of kernels/examples/gemm.rs: the same products by torch, asked for in the same way."""

import sys
import time

import torch

WHILE = 0.02

torch.set_num_threads(int(sys.argv[1]))
with torch.inference_mode():
    for line in sys.stdin:
        if words := line.split():
            dtype = getattr(torch, words[0])
            m, k, n = map(int, words[2:])
            if words[1] == "forward":
                a, b = torch.randn(m, k, dtype=dtype), torch.randn(n, k, dtype=dtype).t()
            elif words[1] == "dgrad":
                a, b = torch.randn(m, k, dtype=dtype), torch.randn(k, n, dtype=dtype)
            else:
                a, b = torch.randn(k, m, dtype=dtype).t(), torch.randn(k, n, dtype=dtype)
            torch.mm(a, b)
        started, times = time.perf_counter(), []
        while not times or time.perf_counter() - started < WHILE:
            before = time.perf_counter()
            torch.mm(a, b)
            times.append(time.perf_counter() - before)
        print(*times, flush=True)
