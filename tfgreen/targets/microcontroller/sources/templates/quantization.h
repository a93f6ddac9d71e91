// Real numbers, and the integers that stand for them: real = scale * (stored - zero_point).
// Needs nothing but C++11. Rendered by tfgreen.
#ifndef @GUARD@_QUANTIZATION_H_
#define @GUARD@_QUANTIZATION_H_

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace @ID@ {

struct Quantization {
  float scale;
  std::int32_t zero_point;
};

// Divides in float32, rounds halves to even (the default rounding mode), clips. NaN: the lowest.
// Do not compile with -ffast-math, which may multiply by 1 / scale instead.
template <typename Stored>
Stored Quantize(float value, const Quantization& quantization) {
  const float low = static_cast<float>(std::numeric_limits<Stored>::min());
  const float high = static_cast<float>(std::numeric_limits<Stored>::max());
  const float stored =
      nearbyintf(value / quantization.scale) + static_cast<float>(quantization.zero_point);
  if (!(stored > low)) return std::numeric_limits<Stored>::min();
  if (stored >= high) return std::numeric_limits<Stored>::max();
  return static_cast<Stored>(stored);
}

template <typename Stored>
float Dequantize(Stored stored, const Quantization& quantization) {
  return quantization.scale *
         static_cast<float>(static_cast<std::int32_t>(stored) - quantization.zero_point);
}

// Store: `count` real numbers as a tensor holds them. Load: the way back.
template <typename Stored>
void Store(const float* values, std::size_t count, const Quantization& quantization,
           Stored* stored) {
  for (std::size_t i = 0; i < count; ++i) stored[i] = Quantize<Stored>(values[i], quantization);
}

template <typename Stored>
void Load(const Stored* stored, std::size_t count, const Quantization& quantization,
          float* values) {
  for (std::size_t i = 0; i < count; ++i) values[i] = Dequantize(stored[i], quantization);
}

// Tensors that are not quantized: floats, and whole numbers (exact up to 16,777,216).
template <typename Stored>
void Store(const float* values, std::size_t count, Stored* stored) {
  for (std::size_t i = 0; i < count; ++i) stored[i] = static_cast<Stored>(values[i]);
}

template <typename Stored>
void Load(const Stored* stored, std::size_t count, float* values) {
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(stored[i]);
}

}  // namespace @ID@

#endif  // @GUARD@_QUANTIZATION_H_
