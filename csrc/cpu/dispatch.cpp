#include "dispatch.h"

#include <stdexcept>

namespace pf {

inline namespace PF_ISA {
extern const Kernels kernels;
}
#if defined(PF_HAVE_X86_SIMD)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

std::vector<const Kernels*> built_kernels() {
#if defined(PF_HAVE_X86_SIMD)
  return {&kernels, &avx2::kernels, &avx512::kernels};
#else
  return {&kernels};
#endif
}

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> result = {&kernels};
#if defined(PF_HAVE_X86_SIMD)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) result.push_back(&avx2::kernels);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    result.push_back(&avx512::kernels);
#endif
  return result;
}

const Kernels& choose_kernels(const std::string& isa) {
  const auto available = available_kernels();
  if (isa.empty()) return *available.back();
  std::string names;
  for (const Kernels* one : available) {
    if (isa == one->isa) return *one;
    names += std::string(names.empty() ? "" : ", ") + one->isa;
  }
  throw std::invalid_argument("PTYCHO_FAST_ISA: '" + isa +
                              "' given, expected one that this build and processor have: " + names);
}

}  // namespace pf
