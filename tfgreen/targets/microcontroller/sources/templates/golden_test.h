// Does this board compute what the exporting machine proved? Rendered by tfgreen; C++11.
//
// Runs the golden inputs, compares the answers in quanta, and prints one line of JSON. Save what
// the serial port says to a file, and hand it to
//   tfgreen verify BUNDLE --device-log FILE
// which compares the answers again, by the limits of the profile.
#ifndef @GUARD@_GOLDEN_TEST_H_
#define @GUARD@_GOLDEN_TEST_H_

#include <cstdint>

namespace @ID@ {

using PrintFunction = void (*)(const char* text);
using ClockFunction = std::uint32_t (*)();  // microseconds; may wrap around

// Calls Setup. `print` gets the line in short pieces; without `clock` it holds no times.
// Returns whether the model ran and every answer is the golden one, to the last quantum.
bool RunGoldenTest(PrintFunction print, ClockFunction clock = nullptr);

}  // namespace @ID@

#endif  // @GUARD@_GOLDEN_TEST_H_
