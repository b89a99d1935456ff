// The floating-point control register. Another library, or Python code through ctypes, may have set another rounding
// mode, or flush-to-zero for small numbers, on the thread that calls us. That must not change a bit of our results.
#pragma once
#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace pf {

// While it lives, the thread rounds to nearest, keeps subnormal numbers and raises no traps. After that the register is
// as it was before.
class DefaultFloatControl {
 public:
  DefaultFloatControl() : before_(get()) { set(default_value); }
  ~DefaultFloatControl() { set(before_); }
  DefaultFloatControl(const DefaultFloatControl&) = delete;
  DefaultFloatControl& operator=(const DefaultFloatControl&) = delete;

 private:
#if defined(__SSE2__)
  using Register = unsigned;  // MXCSR
  static constexpr Register default_value = 0x1f80;
  static Register get() { return _mm_getcsr(); }
  static void set(Register value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
  using Register = uint64_t;  // FPCR
  static constexpr Register default_value = 0;
  static Register get() {
    Register value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set(Register value) { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
#error "cpu/float_control.h: the floating-point control register of this processor is not known"
#endif
  Register before_;
};

// Calls work() with the default control register. The call is not inlined: the compiler may move arithmetic past the
// instruction that sets the register, but not out of a function.
template <class Work>
__attribute__((noinline)) void call_apart(const Work& work) {
  work();
}
template <class Work>
void with_default_float_control(const Work& work) {
  const DefaultFloatControl control;
  call_apart(work);
}

}  // namespace pf
