// Arduino: the golden test, once at every reset, over the serial port at 115,200 baud.
// This include lets Arduino find TensorFlow Lite Micro: name the header of the library that you
// installed, <Chirale_TensorFlowLite.h> for example.
#include <TensorFlowLite.h>

#include <@ID@.h>

void Print(const char* text) { Serial.print(text); }
std::uint32_t Microseconds() { return micros(); }

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  @ID@::RunGoldenTest(Print, Microseconds);
}

void loop() {}
