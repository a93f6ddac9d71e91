// ESP-IDF: the golden test, once at every reset. Copy this file into your project's main/ folder.
#include <cstdio>

#include "@ID@.h"
#include "esp_timer.h"

namespace {

void Print(const char* text) {
  std::fputs(text, stdout);
  std::fflush(stdout);
}

std::uint32_t Microseconds() { return static_cast<std::uint32_t>(esp_timer_get_time()); }

}  // namespace

extern "C" void app_main(void) { @ID@::RunGoldenTest(Print, Microseconds); }
