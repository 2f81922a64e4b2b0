#include "formats/criu.h"

#include "formats/protobuf.h"

namespace caisson::formats::criu {
namespace {

using protobuf::Field;
using protobuf::Reader;
using protobuf::Writer;

struct Flag {
  std::uint32_t field;
  bool Options::* value;
};
constexpr Flag kFlags[] = {
    {3, &Options::leave_running},       {4, &Options::ext_unix_sk},
    {5, &Options::tcp_established},     {6, &Options::evasive_devices},
    {7, &Options::shell_job},           {8, &Options::file_locks},
    {12, &Options::notify_scripts},     {15, &Options::track_mem},
    {16, &Options::auto_dedup},         {18, &Options::link_remap},
    {26, &Options::rst_sibling},        {66, &Options::skip_file_rwx_check},
    {46, &Options::tcp_skip_in_flight}, {48, &Options::lazy_pages},
    {50, &Options::orphan_pts_master},  {52, &Options::tcp_close},
};

struct Text {
  std::uint32_t field;
  std::string Options::* value;
};
constexpr Text kTexts[] = {
    {10, &Options::log_file},          {13, &Options::root},        {14, &Options::parent_img},
    {44, &Options::freeze_cgroup},     {51, &Options::config_file}, {53, &Options::lsm_profile},
    {63, &Options::lsm_mount_context},
};

struct Pairs {
  std::uint32_t field;
  std::vector<KeyValue> Options::* value;
};
constexpr Pairs kPairs[] = {
    {23, &Options::ext_mnt},
    {25, &Options::cg_root},
    {39, &Options::join_ns},
};

void write_page_server(Writer& out, const Options& options) {
  if (options.page_server_address.empty()) return;
  Writer server;
  server.bytes(1, options.page_server_address);
  server.number(2, options.page_server_port);
  out.message(11, server);
}

void write_lists(Writer& out, const Options& options) {
  for (const auto& list : kPairs) {
    for (const auto& pair : options.*list.value) {
      Writer entry;
      entry.bytes(1, pair.key);
      entry.bytes(2, pair.value);
      out.message(list.field, entry);
    }
  }
  for (const auto& inherited : options.inherit_fd) {
    Writer entry;
    entry.bytes(1, inherited.key);
    entry.number(2, inherited.fd);
    out.message(27, entry);
  }
  for (const auto& external : options.external) out.bytes(37, external);
}

Writer options_message(const Options& options) {
  Writer out;
  out.number(1, options.images_dir_fd);
  if (options.pid != 0) out.number(2, options.pid);
  for (const auto& flag : kFlags) {
    if (options.*flag.value) out.boolean(flag.field, true);
  }
  if (options.log_level != 0) out.number(9, options.log_level);
  for (const auto& text : kTexts) {
    if (!(options.*text.value).empty()) out.bytes(text.field, options.*text.value);
  }
  write_page_server(out, options);
  if (options.work_dir_fd >= 0) out.number(17, options.work_dir_fd);
  write_lists(out, options);
  if (auto mode = options.manage_cgroups_mode) {
    out.boolean(24, true);  // what versions before the mode look at
    out.number(34, static_cast<int>(*mode));
  }
  if (options.empty_ns != 0) out.number(38, options.empty_ns);
  if (options.status_fd >= 0) out.number(49, options.status_fd);
  if (options.network_lock != NetworkLock::kDefault) {
    out.number(64, static_cast<int>(options.network_lock));
  }
  return out;
}

// Calls `take` with every field; false when the bytes are no message.
template <typename Take>
bool each_field(std::string_view bytes, Take take) {
  Reader in(bytes);
  while (auto field = in.next()) take(*field);
  return in.good();
}

bool read_version(std::string_view bytes, Reply& reply) {
  int parts[3] = {};  // major, minor, sublevel
  bool good = each_field(bytes, [&](const Field& field) {
    constexpr std::uint32_t kFields[] = {1, 2, 4};
    for (std::size_t i = 0; i < 3; ++i) {
      bool small = field.value < 1000;
      if (field.number == kFields[i] && small) parts[i] = static_cast<int>(field.value);
    }
  });
  reply.version = parts[0] * 10000 + parts[1] * 100 + parts[2];
  return good;
}

bool read_features(std::string_view bytes, Reply& reply) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 1) reply.memory_tracking = field.boolean();
    if (field.number == 2) reply.lazy_pages = field.boolean();
  });
}

bool read_notify(std::string_view bytes, Reply& reply) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 1) reply.script = field.bytes;
    if (field.number == 2) reply.notify_pid = field.int32();
  });
}

bool read_restored(std::string_view bytes, Reply& reply) {
  return each_field(bytes, [&](const Field& field) {
    if (field.number == 1) reply.restored_pid = field.int32();
  });
}

bool read_part(const Field& field, Reply& reply) {
  switch (field.number) {
    case 4: return read_restored(field.bytes, reply);
    case 5: return read_notify(field.bytes, reply);
    case 7: reply.error_number = field.int32(); return true;
    case 8: return read_features(field.bytes, reply);
    case 9: reply.error_message = field.bytes; return true;
    case 10: return read_version(field.bytes, reply);
    default: return true;
  }
}

}  // namespace

std::string encode(const Request& request) {
  Writer out;
  out.number(1, static_cast<int>(request.kind));
  if (request.options) out.message(2, options_message(*request.options));
  if (request.notify_success) out.boolean(3, *request.notify_success);
  if (request.ask_memory_tracking || request.ask_lazy_pages) {
    Writer features;
    if (request.ask_memory_tracking) features.boolean(1, true);
    if (request.ask_lazy_pages) features.boolean(2, true);
    out.message(5, features);
  }
  return out.bytes();
}

std::optional<Reply> decode(std::string_view bytes) {
  Reply reply;
  bool has_kind = false, has_success = false, parts = true;
  bool good = each_field(bytes, [&](const Field& field) {
    if (field.number == 1) {
      has_kind = true;
      reply.kind = static_cast<Kind>(field.value < 256 ? field.value : 0);
    } else if (field.number == 2) {
      has_success = true;
      reply.success = field.boolean();
    } else {
      parts = parts && read_part(field, reply);
    }
  });
  if (!good || !parts || !has_kind || !has_success) return std::nullopt;
  return reply;
}

}  // namespace caisson::formats::criu
