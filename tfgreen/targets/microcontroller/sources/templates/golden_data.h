// Inputs and the answers that they have to get, as @TRUTH@ gave them on the exporting machine.
// Rendered by tfgreen.
#ifndef @GUARD@_GOLDEN_DATA_H_
#define @GUARD@_GOLDEN_DATA_H_

#include <cstddef>
#include <cstdint>

namespace @ID@ {

constexpr std::size_t kGoldenVectors = @VECTORS@;
constexpr char kGoldenModelSha256[] = "@SHA256@";
constexpr char kGoldenId[] = "@GOLDEN_ID@";

// Vector after vector, each as the file stores the tensor.
@GOLDEN_DECLARATIONS@

}  // namespace @ID@

#endif  // @GUARD@_GOLDEN_DATA_H_
