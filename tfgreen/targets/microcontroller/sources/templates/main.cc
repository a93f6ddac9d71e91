// Any board with a C library whose stdout is the serial port, or a desktop.
#include <cstdio>

#include "@ID@.h"

namespace {

void Print(const char* text) {
  std::fputs(text, stdout);
  std::fflush(stdout);
}

}  // namespace

int main() { return @ID@::RunGoldenTest(Print) ? 0 : 1; }
