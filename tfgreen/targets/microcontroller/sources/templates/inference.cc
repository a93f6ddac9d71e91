// Rendered by tfgreen; needs TensorFlow Lite Micro (TFLM), of November 2022 or later.
#include "op_resolver.h"

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

#include "inference.h"
#include "model_data.h"

namespace @ID@ {
namespace {

constexpr unsigned kSchemaVersion = 3;
constexpr std::size_t kInputBytes[] = {@INPUT_BYTES@};
constexpr std::size_t kOutputBytes[] = {@OUTPUT_BYTES@};

alignas(16) std::uint8_t g_arena[@GUARD@_ARENA_BYTES];
tflm::MicroInterpreter* g_interpreter = nullptr;

bool HasTheseTensors(tflm::MicroInterpreter& interpreter) {
  if (interpreter.inputs_size() != kInputCount) return false;
  if (interpreter.outputs_size() != kOutputCount) return false;
  for (std::size_t i = 0; i < kInputCount; ++i) {
    if (interpreter.input(i)->bytes != kInputBytes[i]) return false;
  }
  for (std::size_t i = 0; i < kOutputCount; ++i) {
    if (interpreter.output(i)->bytes != kOutputBytes[i]) return false;
  }
  return true;
}

Status LoadModel() {
  const auto* model = ::tflite::GetModel(g_@ID@_data);
  if (model->version() != kSchemaVersion) return Status::kOtherSchema;
  static OpResolver resolver;
  if (!RegisterOps(resolver)) return Status::kOpsNotRegistered;
  static tflm::MicroInterpreter interpreter(model, resolver, g_arena, sizeof(g_arena));
  if (!IsOk(interpreter.AllocateTensors())) return Status::kAllocationFailed;
  if (!HasTheseTensors(interpreter)) return Status::kOtherTensors;
  g_interpreter = &interpreter;
  return Status::kOk;
}

}  // namespace

const char* Describe(Status status) {
  switch (status) {
    case Status::kOk: return "ok";
    case Status::kNotSetUp: return "not-set-up";
    case Status::kOtherSchema: return "other-schema";
    case Status::kOpsNotRegistered: return "ops-not-registered";
    case Status::kAllocationFailed: return "allocation-failed";
    case Status::kOtherTensors: return "other-tensors";
    case Status::kInvokeFailed: return "invoke-failed";
  }
  return "unknown";
}

Status Setup() {
  static const Status status = LoadModel();
  return status;
}

Status Run(const float* const* inputs, float* const* outputs) {
  if (g_interpreter == nullptr) return Status::kNotSetUp;
@STORES@
  const Status status = Invoke();
  if (status != Status::kOk) return status;
@LOADS@
  return Status::kOk;
}

void* InputData(std::size_t index) {
  if (g_interpreter == nullptr || index >= kInputCount) return nullptr;
  return g_interpreter->input(index)->data.data;
}

const void* OutputData(std::size_t index) {
  if (g_interpreter == nullptr || index >= kOutputCount) return nullptr;
  return g_interpreter->output(index)->data.data;
}

Status Invoke() {
  if (g_interpreter == nullptr) return Status::kNotSetUp;
  return IsOk(g_interpreter->Invoke()) ? Status::kOk : Status::kInvokeFailed;
}

std::size_t ArenaUsedBytes() {
  return g_interpreter == nullptr ? 0 : g_interpreter->arena_used_bytes();
}

}  // namespace @ID@
