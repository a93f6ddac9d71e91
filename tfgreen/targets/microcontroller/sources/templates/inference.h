// @TITLE@: float numbers in, float numbers out. Rendered by tfgreen; C++11.
//
//   if (@ID@::Setup() != @ID@::Status::kOk) { ... }
@USAGE@
#ifndef @GUARD@_INFERENCE_H_
#define @GUARD@_INFERENCE_H_

#include <cstddef>
#include <cstdint>

#include "quantization.h"

// Working memory in bytes. @ARENA_ORIGIN@
// Kernels of a vendor (CMSIS-NN, ESP-NN) may ask for more: then Setup says kAllocationFailed.
#ifndef @GUARD@_ARENA_BYTES
#define @GUARD@_ARENA_BYTES @ARENA_BYTES@
#endif

namespace @ID@ {

enum class Status {
  kOk = 0,
  kNotSetUp,          // call Setup first
  kOtherSchema,       // this TFLM reads another version of the file format
  kOpsNotRegistered,  // this TFLM refused to register an op
  kAllocationFailed,  // the arena is too small, or this TFLM cannot run an op
  kOtherTensors,      // other inputs or outputs than rendered: TFLM is compiled otherwise
  kInvokeFailed,
};

// The status as a word, such as "allocation-failed".
const char* Describe(Status status);

@TENSORS@
constexpr std::size_t kInputCount = @INPUT_COUNT@;
constexpr std::size_t kOutputCount = @OUTPUT_COUNT@;

// Loads the model; call it before everything else. Later calls say again what the first one said.
Status Setup();

// Quantizes the inputs, runs the model, dequantizes the outputs. One pointer for each input and
// output, in the order above; each points to as many floats as the tensor's size says.
Status Run(const float* const* inputs, float* const* outputs);
@SHORT_RUN@
// For data that is quantized already: the tensors as the file stores them, valid after Setup.
void* InputData(std::size_t index);
const void* OutputData(std::size_t index);
Status Invoke();

// How much of the arena is in use; 0 before Setup.
std::size_t ArenaUsedBytes();

}  // namespace @ID@

#endif  // @GUARD@_INFERENCE_H_
