// A stand-in of ours: the version is read where a .tflite file of tfgreen has its identifier.
#ifndef STAND_IN_SCHEMA_GENERATED_H_
#define STAND_IN_SCHEMA_GENERATED_H_

#include <cstring>

namespace tflite {

struct Model {
  char content[8];
  unsigned version() const { return std::memcmp(content + 4, "TFL3", 4) == 0 ? 3 : 0; }
};

inline const Model* GetModel(const void* buffer) { return static_cast<const Model*>(buffer); }

}  // namespace tflite

#endif  // STAND_IN_SCHEMA_GENERATED_H_
