// Rendered by tfgreen. No printf, no heap.
#include "golden_test.h"

#include <cmath>
#include <cstddef>
#include <cstring>

#include "golden_data.h"
#include "inference.h"
#include "model_data.h"

namespace @ID@ {
namespace {

// Collects text and prints it in pieces.
class Line {
 public:
  explicit Line(PrintFunction print) : print_(print) {}

  void Text(const char* text) {
    while (*text != '\0') Put(*text++);
  }

  void Number(std::uint32_t value) {
    char digits[11];
    std::size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (count != 0) Put(digits[--count]);
  }

  void Hex(const void* data, std::size_t bytes) {
    const unsigned char* next = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) {
      Put("0123456789abcdef"[next[i] >> 4]);
      Put("0123456789abcdef"[next[i] & 15]);
    }
  }

  void Numbers(const std::size_t* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      Text(i == 0 ? "[" : ",");
      Number(static_cast<std::uint32_t>(values[i]));
    }
    Text("]");
  }

  void Flush() {
    piece_[used_] = '\0';
    if (used_ != 0) print_(piece_);
    used_ = 0;
  }

 private:
  void Put(char character) {
    if (used_ + 1 == sizeof(piece_)) Flush();
    piece_[used_++] = character;
  }

  PrintFunction print_;
  char piece_[64] = {};
  std::size_t used_ = 0;
};

// Of the model as it lies in this board's memory.
std::uint32_t ModelCrc32() {
  std::uint32_t crc = 0xffffffffu;
  for (unsigned int i = 0; i < g_@ID@_data_len; ++i) {
    crc ^= g_@ID@_data[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

void BigEndianHex(Line& line, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    const unsigned char byte = static_cast<unsigned char>(value >> shift);
    line.Hex(&byte, 1);
  }
}

template <typename Stored>
std::uint32_t MostSteps(const Stored* given, const Stored* golden, std::size_t count) {
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t one = static_cast<std::uint64_t>(given[i]);
    const std::uint64_t other = static_cast<std::uint64_t>(golden[i]);
    const std::uint64_t steps = given[i] > golden[i] ? one - other : other - one;
    if (steps > most) most = steps;
  }
  return most > 0xffffffffu ? 0xffffffffu : static_cast<std::uint32_t>(most);
}

// Less than one quantum counts as none: libraries round otherwise.
template <typename Real>
std::uint32_t MostSteps(const Real* given, const Real* golden, std::size_t count, Real quantum) {
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (given[i] == golden[i] || (std::isnan(given[i]) && std::isnan(golden[i]))) continue;
    const Real steps = std::fabs(given[i] - golden[i]) / quantum;
    if (!(steps < Real(4294967040))) return 0xffffffffu;
    if (static_cast<std::uint32_t>(steps) > most) most = static_cast<std::uint32_t>(steps);
  }
  return most;
}

constexpr std::size_t kInputBytes[] = {@INPUT_BYTES@};
constexpr std::size_t kOutputBytes[] = {@OUTPUT_BYTES@};

void Feed(std::size_t vector) {
@FEEDS@
}

// How far output `output` lies from the golden one, in quanta.
std::uint32_t Steps(std::size_t output, std::size_t vector) {
  switch (output) {
@STEP_CASES@
    default: return 0xffffffffu;
  }
}

std::uint32_t Report(Line& line, std::size_t vector) {
  std::uint32_t largest = 0;
  line.Text("\"steps\":[");
  for (std::size_t i = 0; i < kOutputCount; ++i) {
    const std::uint32_t steps = Steps(i, vector);
    if (steps > largest) largest = steps;
    if (i != 0) line.Text(",");
    line.Number(steps);
  }
  line.Text("],\"outputs\":[");
  for (std::size_t i = 0; i < kOutputCount; ++i) {
    line.Text(i == 0 ? "\"" : ",\"");
    line.Hex(OutputData(i), kOutputBytes[i]);
    line.Text("\"");
  }
  line.Text("]");
  return largest;
}

void Begin(Line& line) {
  line.Text("\n{\"tfgreen\":\"golden-test\",\"version\":@LINE_VERSION@,\"model\":\"");
  line.Text(kGoldenModelSha256);
  line.Text("\",\"crc32\":\"");
  BigEndianHex(line, ModelCrc32());
  line.Text("\",\"golden\":\"");
  line.Text(kGoldenId);
  line.Text("\",\"input_bytes\":");
  line.Numbers(kInputBytes, kInputCount);
  line.Text(",\"output_bytes\":");
  line.Numbers(kOutputBytes, kOutputCount);
  line.Text(",\"runs\":[");
}

}  // namespace

bool RunGoldenTest(PrintFunction print, ClockFunction clock) {
  Line line(print);
  Begin(line);
  Status status = Setup();
  std::uint32_t largest = 0;
  for (std::size_t vector = 0; vector < kGoldenVectors && status == Status::kOk; ++vector) {
    Feed(vector);
    const std::uint32_t start = clock == nullptr ? 0 : clock();
    status = Invoke();
    const std::uint32_t end = clock == nullptr ? 0 : clock();
    if (status != Status::kOk) break;
    line.Text(vector == 0 ? "{" : ",{");
    const std::uint32_t steps = Report(line, vector);
    if (steps > largest) largest = steps;
    if (clock != nullptr) {
      line.Text(",\"microseconds\":");
      line.Number(end - start);
    }
    line.Text("}");
  }
  line.Text("],\"arena_bytes\":");
  line.Number(static_cast<std::uint32_t>(ArenaUsedBytes()));
  line.Text(",\"max_steps\":");
  line.Number(largest);
  line.Text(",\"status\":\"");
  line.Text(Describe(status));
  line.Text("\"}\n");
  line.Flush();
  return status == Status::kOk && largest == 0;
}

}  // namespace @ID@
