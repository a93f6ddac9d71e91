// What the stand-in headers share: statuses, tensors, and what the fake interpreter answers.
// With STAND_IN_OF_2026 everything lies in tflite::micro, as in releases from 2026 on.
#ifndef STAND_IN_H_
#define STAND_IN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#ifdef STAND_IN_OF_2026
#define STAND_IN_NAMESPACE_BEGIN namespace tflite { namespace micro {
#define STAND_IN_NAMESPACE_END } }
#define STAND_IN_TYPES_BEGIN STAND_IN_NAMESPACE_BEGIN
#define STAND_IN_TYPES_END STAND_IN_NAMESPACE_END
#else
#define STAND_IN_NAMESPACE_BEGIN namespace tflite {
#define STAND_IN_NAMESPACE_END }
#define STAND_IN_TYPES_BEGIN
#define STAND_IN_TYPES_END
#endif

#ifndef TF_LITE_STATIC_MEMORY
#error "TFLM's headers are read without TF_LITE_STATIC_MEMORY."
#endif

STAND_IN_TYPES_BEGIN

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

union TfLitePtrUnion {
  std::int8_t* int8;
  float* f;
  char* raw;
  void* data;
};

struct TfLiteTensor {
  TfLitePtrUnion data;
  std::size_t bytes;
};

STAND_IN_TYPES_END

namespace stand_in {

using Bytes = std::vector<unsigned char>;

// Set by the test: sizes of the tensors, the arena that is needed, and what Invoke computes.
struct Board {
  std::vector<std::size_t> input_bytes, output_bytes;
  std::size_t arena_bytes;
  bool (*invoke)(const std::vector<Bytes>& inputs, std::vector<Bytes>& outputs);
};

extern const Board board;

}  // namespace stand_in

#endif  // STAND_IN_H_
