#include "base/clock.h"

#include <algorithm>
#include <ctime>

#include "base/text.h"

namespace caisson {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
}

void append_padded(std::string& out, std::int64_t value, std::size_t width) {
  std::string digits = cat(value);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

}  // namespace

std::int64_t monotonic_ns() { return now_ns(CLOCK_MONOTONIC); }
std::int64_t realtime_ns() { return now_ns(CLOCK_REALTIME); }

std::string rfc3339(std::int64_t epoch_ns) {
  // Days to civil date without libc: gmtime(3) pulls in the time zone machinery.
  std::int64_t seconds = epoch_ns / kNsPerSecond;
  std::int64_t days = seconds / 86400;
  std::int64_t second_of_day = seconds % 86400;
  std::int64_t z = days + 719468;
  std::int64_t era = z / 146097;
  std::int64_t day_of_era = z - era * 146097;
  std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
  std::int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  std::int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);

  std::string out;
  append_padded(out, year, 4);
  out += '-';
  append_padded(out, month, 2);
  out += '-';
  append_padded(out, day, 2);
  out += 'T';
  append_padded(out, second_of_day / 3600, 2);
  out += ':';
  append_padded(out, second_of_day / 60 % 60, 2);
  out += ':';
  append_padded(out, second_of_day % 60, 2);
  out += '.';
  append_padded(out, epoch_ns % kNsPerSecond, 9);
  out += 'Z';
  return out;
}

int Deadline::left_ms() const {
  std::int64_t left = (at_ns_ - monotonic_ns() + 999'999) / 1'000'000;
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

}  // namespace caisson
