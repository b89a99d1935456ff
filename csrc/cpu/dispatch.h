// Which kernels there are, and which of them this CPU can run.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace pf {

// Kernels of this build, one for each instruction set, and those of them that this CPU can run; the best last.
std::vector<const Kernels*> built_kernels();
std::vector<const Kernels*> available_kernels();

// The best kernels that this CPU can run, or those of the instruction set `isa`. Throws std::invalid_argument if there
// are none of that name.
const Kernels& choose_kernels(const std::string& isa);

}  // namespace pf
