// The ops of this model, and no others. Rendered by tfgreen.
#ifndef @GUARD@_OP_RESOLVER_H_
#define @GUARD@_OP_RESOLVER_H_

// How TensorFlow Lite Micro (TFLM) itself is compiled; it decides the layout of a tensor.
#ifndef TF_LITE_STATIC_MEMORY
#define TF_LITE_STATIC_MEMORY
#endif

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

// TFLM's names lie in `tflite`, from 2026 on in `tflite::micro`: both are looked into.
namespace tflite {
namespace micro {}
}  // namespace tflite

namespace @ID@ {
namespace tflm {
using namespace ::tflite;
using namespace ::tflite::micro;
}  // namespace tflm

using OpResolver = tflm::MicroMutableOpResolver<@OP_COUNT@>;

// kTfLiteOk is 0 in every release.
template <typename TfliteStatus>
bool IsOk(TfliteStatus status) {
  return static_cast<int>(status) == 0;
}

inline bool RegisterOps(OpResolver& resolver) {
  return @OP_CALLS@;
}

}  // namespace @ID@

#endif  // @GUARD@_OP_RESOLVER_H_
