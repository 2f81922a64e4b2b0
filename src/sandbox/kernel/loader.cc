#include "sandbox/kernel/loader.h"

#include <elf.h>
#include <sys/auxv.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "sandbox/kernel/loader_credentials.h"
#include "sandbox/kernel/loader_image.h"
#include "sandbox/kernel/loader_script.h"
#include "sandbox/kernel/program_stack.h"
#include "sandbox/mm/random.h"
#include "sandbox/vfs/permission.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr std::size_t kStartSize = 4096;         // of a file: holds its program headers mostly
constexpr std::uint64_t kStackStep = 128 << 10;  // room below the stack pointer from the start
constexpr std::uint64_t kBreakRandom = 1ULL << 30;
constexpr std::uint64_t kStackSlack = 8192;
constexpr std::uint64_t kClockTicks = 100;  // USER_HZ
// PER_CLEAR_ON_SETID of <linux/personality.h>, as bits of <sys/personality.h>.
constexpr std::uint32_t kClearedOnSetId =
    READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO;

// What is to be run in the end: the request with scripts replaced by their interpreters.
struct Program {
  Ref<vfs::File> file;
  Ref<vfs::RunningProgram> running;
  std::vector<std::byte> start;  // its first bytes
  std::vector<std::string> args;
};

std::vector<std::byte> zeroes(std::size_t size) { return std::vector<std::byte>(size); }

ErrnoOr<std::vector<std::byte>> read_start(const LoadContext& context, vfs::File& file) {
  std::vector<std::byte> start = zeroes(kStartSize);
  start.resize(TRY(read_program(file, 0, start, *context.walk.caller)));
  return start;
}

ErrnoOr<> enter_script(const LoadContext& context, Program& program, std::string& path) {
  std::size_t looked_at = std::min(program.start.size(), kScriptLineLimit);
  ScriptLine line = TRY(parse_script(std::span(program.start).first(looked_at)));
  std::vector<std::string> args{line.interpreter};
  if (line.argument) args.push_back(*std::move(line.argument));
  args.push_back(path);
  args.insert(args.end(), std::next(program.args.begin()), program.args.end());
  program.args = std::move(args);
  program.file = TRY(open_program(context.walk, line.interpreter));
  path = std::move(line.interpreter);
  return {};
}

ErrnoOr<Program> find_program(const LoadContext& context, ExecRequest& request) {
  Program program{std::move(request.file), nullptr, {}, std::move(request.args)};
  if (!program.file) program.file = TRY(open_program(context.walk, request.path));
  // A program never sees an empty vector: its first argument is then "".
  if (program.args.empty()) program.args.emplace_back();
  std::string path = request.path;
  for (int depth = 0;; ++depth) {
    program.running = TRY(vfs::RunningProgram::of(*program.file->inode()));
    program.start = TRY(read_start(context, *program.file));
    if (!has_script_magic(program.start)) return program;
    if (depth == kScriptDepth) return std::unexpected(Errno{ELOOP});
    if (request.path_closes && depth == 0) return std::unexpected(Errno{ENOENT});
    TRY(enter_script(context, program, path));
  }
}

ErrnoOr<ExecCredentials> find_credentials(const LoadContext& context, vfs::File& file) {
  ExecutedFile executed;
  const vfs::Path& path = file.path();
  bool counts = path.mount && (path.mount->flags() & MS_NOSUID) == 0;
  if (counts && file.inode() != nullptr) {
    vfs::Attributes attributes = TRY(file.attributes());
    executed.mode = attributes.mode;
    executed.uid = attributes.uid;
    executed.gid = attributes.gid;
    if (auto value = file.inode()->get_attribute("security.capability"))
      executed.capabilities = TRY(parse_file_capabilities(*value));
  }
  return credentials_after_exec(*context.walk.credentials, executed);
}

// The program interpreter that an image asks for.
struct Interpreter {
  Ref<vfs::File> file;
  ElfImage image;
};

ErrnoOr<std::optional<Interpreter>> find_interpreter(const LoadContext& context, vfs::File& file,
                                                     const ElfImage& image) {
  if (!image.interpreter) return std::nullopt;
  std::vector<std::byte> path = zeroes(image.interpreter->size);
  std::size_t got = TRY(read_program(file, image.interpreter->offset, path, *context.walk.caller));
  if (got != path.size() || path.back() != std::byte{0}) return std::unexpected(Errno{ENOEXEC});
  Interpreter interpreter;
  interpreter.file =
      TRY(open_program(context.walk, std::string_view(reinterpret_cast<const char*>(path.data()))));
  std::vector<std::byte> start = TRY(read_start(context, *interpreter.file));
  ErrnoOr<ElfImage> parsed = read_image(*interpreter.file, start, *context.walk.caller);
  if (!parsed) return std::unexpected(Errno{ELIBBAD});
  interpreter.image = *std::move(parsed);
  return interpreter;
}

// Builds the new address space, step by step.
class Builder {
 public:
  Builder(const LoadContext& context, std::uint32_t personality)
      : context_(context), randomize_((personality & ADDR_NO_RANDOMIZE) == 0) {
    compat_layout_ = (personality & ADDR_COMPAT_LAYOUT) != 0;
  }

  ErrnoOr<> begin();
  ErrnoOr<> place(const Program& program, const ElfImage& image,
                  const std::optional<Interpreter>& interpreter);
  ErrnoOr<> place_stack(const Program& program, const ExecRequest& request,
                        const ExecCredentials& credentials, bool executable);
  platform::Registers registers() const;
  Ref<mm::MemoryMap> take() {
    memory_->set_layout(std::move(layout_));
    return std::move(memory_);
  }

 private:
  // A random number of pages below `bytes`, in bytes.
  std::uint64_t random_pages(std::uint64_t bytes) const;
  ErrnoOr<std::uint64_t> choose_bias(const ElfImage& image, bool has_interpreter);
  void begin_break(const ElfImage& image, bool has_interpreter);
  std::vector<AuxiliaryEntry> entries(const ExecCredentials& credentials) const;
  ErrnoOr<> map_stack(std::uint64_t pointer, bool executable);

  const LoadContext& context_;
  bool randomize_, compat_layout_ = false;
  Ref<mm::MemoryMap> memory_;
  mm::ProgramLayout layout_;
  PlacedImage program_, interpreter_;
  bool has_interpreter_ = false;
  std::uint16_t header_count_ = 0;
  std::uint64_t stack_pointer_ = 0;
};

std::uint64_t Builder::random_pages(std::uint64_t bytes) const {
  return randomize_ ? mm::page_down(mm::random_u64() % bytes) : 0;
}

ErrnoOr<> Builder::begin() {
  memory_ = TRY(mm::MemoryMap::create(context_.platform, context_.figures));
  mm::LayoutRequest layout;
  layout.limit = memory_->space().limit();
  layout.stack_limit = context_.limits.stack;
  layout.bottom_up = compat_layout_;
  if (randomize_) {
    layout.random_stack = mm::random_u64();
    layout.random_map = mm::random_u64();
  }
  memory_->set_address_layout(mm::make_layout(layout));
  memory_->set_limits(context_.limits);
  return {};
}

// Linux: ELF_ET_DYN_BASE for programs with an interpreter; an interpreter that is run by itself
// goes where mappings go, out of the way of what it will load.
ErrnoOr<std::uint64_t> Builder::choose_bias(const ElfImage& image, bool has_interpreter) {
  if (!image.header.position_independent) return std::uint64_t{0};
  std::uint64_t size = image.end() - image.begin();
  std::uint64_t at = 0;
  if (has_interpreter) {
    std::uint64_t limit = memory_->space().limit();
    at = mm::page_down(limit / 3 * 2) + random_pages(limit / 16);
    at &= ~(image.alignment - 1);
  } else {
    at = TRY(memory_->find_place(size, image.alignment));
  }
  // The first segment's address modulo the alignment is kept.
  return at - (image.begin() & ~(image.alignment - 1));
}

ErrnoOr<> Builder::place(const Program& program, const ElfImage& image,
                         const std::optional<Interpreter>& interpreter) {
  has_interpreter_ = interpreter.has_value();
  header_count_ = image.header.segment_count;
  std::uint64_t bias = TRY(choose_bias(image, has_interpreter_));
  program_ = TRY(place_image(*memory_, image, program.file, bias, context_.limits));
  if (interpreter) {
    std::uint64_t its_bias = TRY(choose_bias(interpreter->image, false));
    interpreter_ = TRY(
        place_image(*memory_, interpreter->image, interpreter->file, its_bias, context_.limits));
  }
  layout_.code_begin = program_.code_begin;
  layout_.code_end = program_.code_end;
  layout_.data_begin = program_.data_begin;
  layout_.data_end = program_.data_end;
  layout_.executable = program.file;
  layout_.running = program.running;
  begin_break(image, has_interpreter_);
  return {};
}

void Builder::begin_break(const ElfImage& image, bool has_interpreter) {
  std::uint64_t begin = mm::page_up(program_.memory_end);
  // Beside an image in the area of mappings there is no room to grow.
  if (image.header.position_independent && !has_interpreter)
    begin = mm::page_down(memory_->space().limit() / 3 * 2);
  memory_->set_break_area(begin + random_pages(kBreakRandom));
}

std::vector<AuxiliaryEntry> Builder::entries(const ExecCredentials& credentials) const {
  constexpr std::uint64_t kLeastSignalStack = 51, kRseqSize = 27, kRseqAlignment = 28;
  std::vector<AuxiliaryEntry> entries;
  auto take_over = [&](std::uint64_t type) {  // what is the same for all programs of this host
    std::uint64_t value = getauxval(type);
    if (value != 0) entries.push_back({type, value});
  };
  std::uint64_t vdso = context_.platform.vdso_address();
  if (vdso != 0) entries.push_back({AT_SYSINFO_EHDR, vdso});
  take_over(kLeastSignalStack);
  entries.push_back({AT_HWCAP, getauxval(AT_HWCAP)});
  entries.push_back({AT_PAGESZ, mm::kPageSize});
  entries.push_back({AT_CLKTCK, kClockTicks});
  entries.push_back({AT_PHDR, program_.headers});
  entries.push_back({AT_PHENT, kElfSegmentSize});
  entries.push_back({AT_PHNUM, header_count_});
  entries.push_back({AT_BASE, interpreter_.bias});
  entries.push_back({AT_FLAGS, 0});
  entries.push_back({AT_ENTRY, program_.entry});
  const vfs::Credentials& ids = *credentials.credentials;
  entries.push_back({AT_UID, ids.uid});
  entries.push_back({AT_EUID, ids.euid});
  entries.push_back({AT_GID, ids.gid});
  entries.push_back({AT_EGID, ids.egid});
  entries.push_back({AT_SECURE, credentials.secure ? 1U : 0U});
  entries.push_back({AT_HWCAP2, getauxval(AT_HWCAP2)});
  take_over(kRseqSize);
  take_over(kRseqAlignment);
  return entries;
}

ErrnoOr<> Builder::place_stack(const Program& program, const ExecRequest& request,
                               const ExecCredentials& credentials, bool executable) {
  std::vector<AuxiliaryEntry> others = entries(credentials);
  StackContents contents;
  contents.args = program.args;
  contents.env = request.env;
  contents.path = request.path;
  if (std::uint64_t name = getauxval(AT_PLATFORM))
    contents.platform = std::string_view(reinterpret_cast<const char*>(name));
  mm::fill_random(contents.random);
  contents.entries = others;
  contents.top = memory_->address_layout().stack_top;
  if (randomize_) contents.slack = mm::random_u64() % kStackSlack;
  ProgramStack stack = build_program_stack(contents);
  TRY(map_stack(stack.pointer, executable));
  std::size_t written = TRY(memory_->write(stack.pointer, std::as_bytes(std::span(stack.bytes))));
  if (written != stack.bytes.size()) return std::unexpected(Errno{EFAULT});
  layout_.stack_begin = stack_pointer_ = stack.pointer;
  layout_.args_begin = stack.args_begin;
  layout_.args_end = stack.args_end;
  layout_.env_begin = stack.env_begin;
  layout_.env_end = stack.env_end;
  layout_.auxiliary_vector = std::move(stack.auxiliary_vector);
  return {};
}

ErrnoOr<> Builder::map_stack(std::uint64_t pointer, bool executable) {
  std::uint64_t top = memory_->address_layout().stack_top;
  std::uint64_t begin = mm::page_down(pointer);
  std::uint64_t least = mm::page_up(top - std::min(context_.limits.stack, top));
  begin = std::min(begin, std::max(begin - kStackStep, least));
  mm::MapCall call;
  call.address = begin;
  call.length = top - begin;
  call.protection = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
  call.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN;
  TRY(memory_->map(nullptr, call, context_.limits));
  return {};
}

platform::Registers Builder::registers() const {
  platform::Registers registers;
  registers.set_instruction_pointer(has_interpreter_ ? interpreter_.entry : program_.entry);
  registers.set_stack_pointer(stack_pointer_);
  return registers;
}

// The pages of the vDSO: up to the end of its section headers, which stand last. It is the one that
// this process has too.
void show_vdso(platform::Platform& platform, mm::MemoryMap& memory) {
  std::uint64_t address = platform.vdso_address();
  const auto* own = reinterpret_cast<const Elf64_Ehdr*>(::getauxval(AT_SYSINFO_EHDR));
  if (address == 0 || own == nullptr) return;
  const Elf64_Ehdr& header = *own;
  std::uint64_t size = header.e_shoff + std::uint64_t{header.e_shnum} * header.e_shentsize;
  if (size != 0 && size < kBreakRandom) memory.show_vdso(address, mm::page_up(size));
}

std::string comm_of(std::string_view path) {
  constexpr std::size_t kLongestName = 15;
  std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  return std::string(path.substr(0, kLongestName));
}

}  // namespace

ErrnoOr<Ref<vfs::File>> open_program(const vfs::WalkContext& context, std::string_view path,
                                     vfs::WalkFlags flags) {
  vfs::Path found = TRY(vfs::walk(context, path, flags));
  vfs::Inode* inode = found.inode();
  if (inode == nullptr) return std::unexpected(Errno{ENOENT});
  if (inode->is_symlink()) return std::unexpected(Errno{ELOOP});  // AT_SYMLINK_NOFOLLOW
  bool forbidden =
      inode->type() != S_IFREG || (found.mount && (found.mount->flags() & MS_NOEXEC) != 0);
  if (forbidden) return std::unexpected(Errno{EACCES});
  TRY(vfs::may_access(*inode, *context.credentials, X_OK));
  // Who may execute a file need not be able to read it: the loader reads it for him.
  Ref<vfs::File> file = TRY(inode->open(found, vfs::OpenFlags{O_RDONLY}, *context.caller));
  vfs::tell_of(*file, IN_OPEN);
  return file;
}

ErrnoOr<LoadedProgram> load_program(const LoadContext& context, ExecRequest request) {
  TRY(check_argument_size(request.args, request.env, request.path, context.limits.stack));
  Program program = TRY(find_program(context, request));
  TRY(check_argument_size(program.args, request.env, request.path, context.limits.stack));
  ElfImage image = TRY(read_image(*program.file, program.start, *context.walk.caller));
  std::optional<Interpreter> interpreter = TRY(find_interpreter(context, *program.file, image));
  ExecCredentials credentials = TRY(find_credentials(context, *program.file));

  LoadedProgram loaded;
  loaded.personality = context.personality & ~std::uint32_t{READ_IMPLIES_EXEC};
  if (credentials.has_set_id) loaded.personality &= ~kClearedOnSetId;
  Builder builder(context, loaded.personality);
  TRY(builder.begin());
  TRY(builder.place(program, image, interpreter));
  TRY(builder.place_stack(program, request, credentials, image.executable_stack));
  loaded.registers = builder.registers();
  loaded.memory = builder.take();
  show_vdso(context.platform, *loaded.memory);
  loaded.name = comm_of(request.path);
  loaded.credentials = std::move(credentials.credentials);
  loaded.secure = credentials.secure;
  return loaded;
}

}  // namespace caisson::sandbox::kernel
