// Readers of the counting files' formats. Internal to cgroup_usage.cc; apart for their test.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "plan/usage.h"

namespace caisson::linux {

// "some avg10=0.12 avg60=1.00 avg300=0.00 total=345\nfull ...". None when nothing of it is there.
std::optional<plan::Pressure> parse_pressure(std::string_view text);
// "0-3,7".
std::vector<std::uint16_t> parse_number_list(std::string_view text);
// Lines "8:0 Read 4096" and "8:0 4096"; the sum over all devices is left out.
std::vector<plan::IoEntry> parse_blkio(std::string_view text);
// Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
void parse_io_stat(std::string_view text, plan::IoUsage& out);
// Lines "0 111 222" below a heading: the column of every processor.
std::vector<std::uint64_t> parse_column(std::string_view text, std::size_t column);

}  // namespace caisson::linux
