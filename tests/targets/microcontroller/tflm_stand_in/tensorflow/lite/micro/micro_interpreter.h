// A stand-in of ours: TensorFlow Lite Micro's interpreter, which asks stand_in::board.
#ifndef STAND_IN_MICRO_INTERPRETER_H_
#define STAND_IN_MICRO_INTERPRETER_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/stand_in.h"
#include "tensorflow/lite/schema/schema_generated.h"

STAND_IN_NAMESPACE_BEGIN

class MicroResourceVariables;
class MicroProfilerInterface;

class MicroInterpreter {
 public:
  MicroInterpreter(const ::tflite::Model* model, const MicroOpResolver& op_resolver,
                   std::uint8_t* tensor_arena, std::size_t tensor_arena_size,
                   MicroResourceVariables* resource_variables = nullptr,
                   MicroProfilerInterface* profiler = nullptr, bool preserve_all_tensors = false)
      : is_sound_(model != nullptr && tensor_arena != nullptr && resource_variables == nullptr &&
                  profiler == nullptr && !preserve_all_tensors &&
                  reinterpret_cast<std::uintptr_t>(tensor_arena) % 16 == 0 &&
                  op_resolver.taken() == op_resolver.places() &&
                  tensor_arena_size >= stand_in::board.arena_bytes) {}

  TfLiteStatus AllocateTensors() {
    Allocate(stand_in::board.input_bytes, input_bytes_, inputs_);
    Allocate(stand_in::board.output_bytes, output_bytes_, outputs_);
    return is_sound_ ? kTfLiteOk : kTfLiteError;
  }

  TfLiteStatus Invoke() {
    return stand_in::board.invoke(input_bytes_, output_bytes_) ? kTfLiteOk : kTfLiteError;
  }

  TfLiteTensor* input(std::size_t index) { return &inputs_[index]; }
  TfLiteTensor* output(std::size_t index) { return &outputs_[index]; }
  std::size_t inputs_size() const { return inputs_.size(); }
  std::size_t outputs_size() const { return outputs_.size(); }
  std::size_t arena_used_bytes() const { return stand_in::board.arena_bytes; }

 private:
  static void Allocate(const std::vector<std::size_t>& sizes, std::vector<stand_in::Bytes>& bytes,
                       std::vector<TfLiteTensor>& tensors) {
    for (std::size_t size : sizes) bytes.emplace_back(size);
    for (stand_in::Bytes& one : bytes) {
      TfLiteTensor tensor;
      tensor.data.data = one.data();
      tensor.bytes = one.size();
      tensors.push_back(tensor);
    }
  }

  bool is_sound_;
  std::vector<stand_in::Bytes> input_bytes_, output_bytes_;
  std::vector<TfLiteTensor> inputs_, outputs_;
};

STAND_IN_NAMESPACE_END

#endif  // STAND_IN_MICRO_INTERPRETER_H_
