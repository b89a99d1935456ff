// How the CUDA kernels are launched: threads of a block and blocks at once, by side. Python gets these numbers from the
// extension (`_core.launch_shapes`); they are written nowhere else.
#pragma once

namespace pf {

constexpr int panel_lines = 16;    // columns or rows of a pattern that a block of a split kernel has
constexpr int item_threads = 128;  // of a block whose threads each have a line or pixels of their own

// More blocks at once leave fewer registers for each; from architecture 10.0 on, four blocks of side 64 would spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define PF_BLOCKS_64 3
#else
#define PF_BLOCKS_64 4
#endif

// Calls of X(side, threads of a block, blocks that a multiprocessor must be able to run at once). Fused: a block has a
// pattern. Split: a block has a panel of a pattern.
#define PF_FOR_FUSED(X) X(32, 128, 8) X(64, 256, PF_BLOCKS_64) X(96, 384, 2) X(128, 1024, 1)
#define PF_FOR_SPLIT(X) X(96, 64, 8) X(128, 128, 8) X(192, 128, 8) X(256, 256, 4) X(384, 256, 4) X(512, 512, 2)

#if !defined(__CUDACC__)
struct LaunchShape {
  int side, threads;
};
#define PF_LAUNCH_SHAPE(side, threads, blocks_at_once) {side, threads},
constexpr LaunchShape fused_shapes[] = {PF_FOR_FUSED(PF_LAUNCH_SHAPE)};
constexpr LaunchShape split_shapes[] = {PF_FOR_SPLIT(PF_LAUNCH_SHAPE)};
#undef PF_LAUNCH_SHAPE
#endif

}  // namespace pf
