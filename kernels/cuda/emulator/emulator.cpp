#include "emulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {
unsigned char* dynamic;

namespace {
constexpr size_t STACK = 1 << 16;

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[STACK]};
  bool done = true;
};

// Where threads wait for one another.
struct Barrier {
  unsigned size = 0, arrived = 0, passed = 0;
};

struct Warp {
  Barrier barrier;
  uint64_t exchanged[32];
};

struct Known {
  size_t arguments;
  Body body;
};

std::map<std::string, Known>& kernels() {
  static std::map<std::string, Known> all;
  return all;
}

std::vector<Thread> threads;
std::vector<Warp> warps;
Barrier all;
ucontext_t scheduler;
Body running;
const void* running_arguments;
bool moved;

void enter() {
  running(running_arguments);
  threads[threadIdx.x].done = true;
  moved = true;
}

void wait(Barrier& barrier) {
  unsigned passed = barrier.passed;
  if (++barrier.arrived == barrier.size) {
    barrier.arrived = 0;
    barrier.passed++;
    moved = true;
    return;
  }
  unsigned me = threadIdx.x;
  while (barrier.passed == passed) swapcontext(&threads[me].context, &scheduler);
}

void run_block(unsigned count) {
  all = {count};
  for (unsigned w = 0; w < warps.size(); w++) warps[w].barrier = {count - w * 32 < 32 ? count - w * 32 : 32};
  for (unsigned t = 0; t < count; t++) {
    Thread& thread = threads[t];
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = STACK;
    thread.context.uc_link = &scheduler;
    thread.done = false;
    makecontext(&thread.context, enter, 0);
  }
  for (bool waiting = true; waiting;) {
    waiting = moved = false;
    for (unsigned t = 0; t < count; t++) {
      if (threads[t].done) continue;
      threadIdx = {t, 0, 0};
      swapcontext(&scheduler, &threads[t].context);
      waiting |= !threads[t].done;
    }
    if (waiting && !moved) {
      fprintf(stderr, "threads wait at a barrier that others have not come to\n");
      abort();
    }
  }
}
}  // namespace

Kernel::Kernel(const char* name, size_t arguments, Body body) { kernels()[name] = {arguments, body}; }

uint64_t exchange(uint64_t mine, int distance) {
  unsigned me = threadIdx.x;
  Warp& warp = warps[me / 32];
  warp.exchanged[me % 32] = mine;
  wait(warp.barrier);
  uint64_t other = warp.exchanged[me % 32 ^ distance];
  wait(warp.barrier);
  return other;
}
}  // namespace emulator

void __syncthreads() { emulator::wait(emulator::all); }
void __syncwarp() { emulator::wait(emulator::warps[threadIdx.x / 32].barrier); }

// Runs a kernel. Gives 1 if there is none of this name, 2 if its arguments are of another size.
extern "C" int swift_emulate(const char* name, const unsigned* grid, unsigned block, size_t shared, const void* arguments,
                             size_t size) {
  using namespace emulator;
  static std::mutex one;
  std::lock_guard<std::mutex> guard(one);
  auto known = kernels().find(name);
  if (known == kernels().end()) return 1;
  if (known->second.arguments != size) return 2;
  running = known->second.body;
  running_arguments = arguments;
  if (threads.size() < block) threads = std::vector<Thread>(block);
  warps.resize((block + 31) / 32);
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block, 1, 1};
  for (unsigned z = 0; z < grid[2]; z++)
    for (unsigned y = 0; y < grid[1]; y++)
      for (unsigned x = 0; x < grid[0]; x++) {
        // What a block finds in its memory is no number.
        std::vector<unsigned char> memory(shared + 1, 0xff);
        dynamic = memory.data();
        blockIdx = {x, y, z};
        run_block(block);
      }
  return 0;
}
