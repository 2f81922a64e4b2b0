#include "sandbox/fs/tty/line_discipline.h"

#include <algorithm>
#include <csignal>

namespace caisson::sandbox::fs {
namespace {

constexpr char kOrdinary = ' ', kLineEnd = 'l', kEndOfFile = 'e';
constexpr unsigned kTab = 8;

bool is_control(unsigned char letter) { return letter < 32 || letter == 127; }

// isalnum() of Linux, which takes letters for Latin-1, and the underscore.
bool is_word(unsigned char letter) {
  bool alphabetic = ((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z') ||
                    (letter >= 0xc0 && letter != 0xd7 && letter != 0xf7);
  return alphabetic || (letter >= '0' && letter <= '9') || letter == '_';
}

}  // namespace

Termios default_termios() {
  Termios termios{};
  termios.c_iflag = ICRNL | IXON;
  termios.c_oflag = OPOST | ONLCR;
  termios.c_cflag = std::uint32_t{B38400} | CS8 | CREAD;
  termios.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  termios.c_ispeed = termios.c_ospeed = 38400;
  constexpr unsigned char kCharacters[] = {3,  28, 127, 21, 4,  0,  1,  0,
                                           17, 19, 26,  0,  18, 15, 23, 22};
  static_assert(VINTR == 0 && VQUIT == 1 && VERASE == 2 && VKILL == 3 && VEOF == 4 && VTIME == 5 &&
                VMIN == 6 && VSTART == 8 && VSTOP == 9 && VSUSP == 10 && VREPRINT == 12 &&
                VDISCARD == 13 && VWERASE == 14 && VLNEXT == 15);
  std::copy(std::begin(kCharacters), std::end(kCharacters), termios.c_cc);
  return termios;
}

// A character that is set to 0 is disabled.
bool LineDiscipline::is(unsigned char letter, unsigned index) const {
  return termios_.c_cc[index] != 0 && termios_.c_cc[index] == letter;
}

void LineDiscipline::set_termios(const Termios& termios) {
  bool was_canonical = is_canonical();
  termios_ = termios;
  if (was_canonical == is_canonical()) return;
  // Without lines all is readable; and what was readable is then a line, without an end of its own.
  ready_ += typed_;
  ends_.append(typed_.size(), kOrdinary);
  typed_.clear();
  literal_next_ = false;
  if (!is_canonical()) {
    std::string kept;
    for (std::size_t i = 0; i < ready_.size(); ++i)
      if (ends_[i] != kEndOfFile) kept += ready_[i];
    ready_ = std::move(kept);
    ends_.assign(ready_.size(), kOrdinary);
  } else if (!ends_.empty()) {
    ends_.back() = kLineEnd;
  }
}

std::size_t LineDiscipline::room() const {
  std::size_t used = ready_.size() + typed_.size();
  std::size_t left = kInputLimit - 1 - std::min(used, kInputLimit - 1);
  // A line that is too long goes on being read, so that it can be ended; its surplus is dropped.
  if (left == 0 && is_canonical() && ready_.empty()) return 1;
  return left;
}

std::size_t LineDiscipline::receive(std::string_view bytes, Effects& effects) {
  std::size_t taken = 0;
  while (taken < bytes.size() && room() > 0)
    receive_one(static_cast<unsigned char>(bytes[taken++]), effects);
  if (!is_canonical() && !ready_.empty()) effects.readable = true;
  return taken;
}

void LineDiscipline::receive_one(unsigned char letter, Effects& effects) {
  if (input_has(ISTRIP)) letter &= 0x7f;
  if (input_has(IUCLC) && has(IEXTEN) && letter >= 'A' && letter <= 'Z') letter |= 0x20;
  if (literal_next_) {
    literal_next_ = false;
    return receive_plain(letter, false, effects);
  }
  bool was_return = letter == '\r';
  if (receive_flow(letter, effects)) return;
  if (receive_signal(letter, effects)) return;
  if (letter == '\r') {
    if (input_has(IGNCR)) return;
    if (input_has(ICRNL)) letter = '\n';
  } else if (letter == '\n' && input_has(INLCR)) {
    letter = '\r';
  }
  if (is_canonical()) {
    if (receive_editing(letter, effects)) return;
    if (receive_line_end(letter, effects)) return;
  }
  receive_plain(letter, was_return, effects);
}

bool LineDiscipline::receive_flow(unsigned char letter, Effects& effects) {
  if (!input_has(IXON)) return false;
  if (is(letter, VSTART)) {
    effects.start_output = true;
    stopped = false;
    return true;
  }
  if (is(letter, VSTOP)) {
    effects.stop_output = true;
    stopped = true;
    return true;
  }
  if (stopped && input_has(IXANY)) {
    effects.start_output = true;
    stopped = false;
  }
  return false;
}

bool LineDiscipline::receive_signal(unsigned char letter, Effects& effects) {
  if (!has(ISIG)) return false;
  int signal = 0;
  if (is(letter, VINTR)) signal = SIGINT;
  if (is(letter, VQUIT)) signal = SIGQUIT;
  if (is(letter, VSUSP)) signal = SIGTSTP;
  if (signal == 0) return false;
  effects.signals |= 1U << signal;
  if (!has(NOFLSH)) {
    flush_input();
    effects.flush_output = true;
    effects.echo.clear();
  }
  if (input_has(IXON)) {
    effects.start_output = true;
    stopped = false;
  }
  if (has(ECHO)) echo(letter, effects);
  return true;
}

bool LineDiscipline::receive_editing(unsigned char letter, Effects& effects) {
  bool word = is(letter, VWERASE) && has(IEXTEN);
  if (is(letter, VERASE) || is(letter, VKILL) || word) {
    erase(letter, effects);
    return true;
  }
  if (is(letter, VLNEXT) && has(IEXTEN)) {
    literal_next_ = true;
    if (has(ECHO) && has(ECHOCTL)) {
      echo_raw('^', effects);
      echo_raw('\b', effects);
    }
    return true;
  }
  if (is(letter, VREPRINT) && has(ECHO) && has(IEXTEN)) {
    echo(letter, effects);
    echo_raw('\n', effects);
    reprint(effects);
    return true;
  }
  return false;
}

bool LineDiscipline::receive_line_end(unsigned char letter, Effects& effects) {
  if (letter == '\n') {
    if (has(ECHO) || has(ECHONL)) echo_raw('\n', effects);
    end_line(letter, false, effects);
    return true;
  }
  if (is(letter, VEOF)) {
    end_line(0, true, effects);
    return true;
  }
  if (is(letter, VEOL) || (is(letter, VEOL2) && has(IEXTEN))) {
    if (has(ECHO)) echo(letter, effects);
    end_line(letter, false, effects);
    return true;
  }
  return false;
}

// A newline that is none of a line's end is echoed as what it is only if it was a return.
void LineDiscipline::receive_plain(unsigned char letter, bool was_return, Effects& effects) {
  bool full = ready_.size() + typed_.size() >= kInputLimit - 1;
  if (full && is_canonical()) {
    if (input_has(IMAXBEL)) effects.echo += '\a';
    return;
  }
  if (has(ECHO)) {
    if (typed_.empty()) typed_column_ = column_;
    if (letter == '\n' && was_return)
      echo_raw('\n', effects);
    else
      echo(letter, effects);
  }
  keep(letter);
  if (letter == 0xff && input_has(PARMRK)) keep(letter);
}

void LineDiscipline::keep(unsigned char letter) {
  if (is_canonical()) {
    typed_ += static_cast<char>(letter);
    return;
  }
  ready_ += static_cast<char>(letter);
  ends_ += kOrdinary;
}

void LineDiscipline::end_line(unsigned char letter, bool end_of_file, Effects& effects) {
  ready_ += typed_;
  ends_.append(typed_.size(), kOrdinary);
  typed_.clear();
  ready_ += static_cast<char>(letter);
  ends_ += end_of_file ? kEndOfFile : kLineEnd;
  effects.readable = true;
}

// --- erasing

bool LineDiscipline::is_continuation(unsigned char letter) const {
  return input_has(IUTF8) && (letter & 0xc0) == 0x80;
}

void LineDiscipline::erase(unsigned char by, Effects& effects) {
  if (typed_.empty()) return;
  bool whole_line = is(by, VKILL), word = is(by, VWERASE) && has(IEXTEN);
  if (whole_line && !has(ECHO)) return typed_.clear();
  if (whole_line && !(has(ECHOK) && has(ECHOKE) && has(ECHOE))) {
    typed_.clear();
    echo(by, effects);
    if (has(ECHOK)) echo_raw('\n', effects);
    return;
  }
  bool seen_word = false;
  while (!typed_.empty()) {
    std::size_t begin = typed_.size() - 1;
    while (begin > 0 && is_continuation(static_cast<unsigned char>(typed_[begin]))) --begin;
    auto letter = static_cast<unsigned char>(typed_[begin]);
    if (is_continuation(letter)) return;  // not the end of a character: left alone
    if (word && is_word(letter)) seen_word = true;
    if (word && !is_word(letter) && seen_word) return;
    typed_.resize(begin);
    if (has(ECHO)) erase_letter(letter, by, effects);
    if (!whole_line && !word) return;
  }
}

void LineDiscipline::erase_letter(unsigned char letter, unsigned char by, Effects& effects) {
  if (is(by, VERASE) && !has(ECHOE)) return echo(by, effects);
  if (letter == '\t') return erase_tab(effects);
  auto back = [&] {
    for (char each : {'\b', ' ', '\b'}) echo_raw(static_cast<unsigned char>(each), effects);
  };
  if (is_control(letter) && has(ECHOCTL)) back();
  if (!is_control(letter) || has(ECHOCTL)) back();
}

// As many steps back as the tab took: it depends on what stands before it.
void LineDiscipline::erase_tab(Effects& effects) {
  unsigned width = 0;
  bool after_tab = false;
  for (std::size_t i = typed_.size(); i-- > 0;) {
    auto letter = static_cast<unsigned char>(typed_[i]);
    if (letter == '\t') {
      after_tab = true;
      break;
    }
    if (is_control(letter)) {
      if (has(ECHOCTL)) width += 2;
    } else if (!is_continuation(letter)) {
      ++width;
    }
  }
  if (!after_tab) width += typed_column_;
  for (unsigned steps = kTab - width % kTab; steps > 0; --steps) {
    effects.echo += '\b';
    if (column_ > 0) --column_;
  }
}

void LineDiscipline::reprint(Effects& effects) {
  for (char letter : typed_) echo(static_cast<unsigned char>(letter), effects);
}

// --- reading

bool LineDiscipline::has_input(bool for_poll) const {
  if (is_canonical()) return std::ranges::any_of(ends_, [](char end) { return end != kOrdinary; });
  std::size_t enough = 1;
  if (for_poll && termios_.c_cc[VTIME] == 0 && termios_.c_cc[VMIN] > 0)
    enough = termios_.c_cc[VMIN];
  return ready_.size() >= enough;
}

std::size_t LineDiscipline::available() const {
  if (!is_canonical()) return ready_.size();
  std::size_t last = ends_.find_last_not_of(kOrdinary);
  if (last == std::string::npos) return 0;
  auto marks =
      std::count(ends_.begin(), ends_.begin() + static_cast<std::ptrdiff_t>(last) + 1, kEndOfFile);
  return last + 1 - static_cast<std::size_t>(marks);
}

std::string LineDiscipline::read(std::size_t size) {
  std::size_t count = std::min(size, ready_.size());
  std::size_t consumed = count;
  if (is_canonical()) {
    // One more is looked at: a mark of an end right behind what is read goes with it.
    std::size_t end = ends_.find_first_not_of(kOrdinary);
    if (end == std::string::npos) return {};
    bool mark = ends_[end] == kEndOfFile;
    count = std::min(size, mark ? end : end + 1);
    consumed = mark && count == end ? end + 1 : count;
  }
  std::string bytes = ready_.substr(0, count);
  ready_.erase(0, consumed);
  ends_.erase(0, consumed);
  return bytes;
}

void LineDiscipline::flush_input() {
  ready_.clear();
  ends_.clear();
  typed_.clear();
  literal_next_ = false;
}

// --- output

void LineDiscipline::echo(unsigned char letter, Effects& effects) {
  if (has(ECHOCTL) && is_control(letter) && letter != '\t') {
    effects.echo += '^';
    effects.echo += static_cast<char>(letter ^ 0x40);
    column_ += 2;  // without OPOST as well
    return;
  }
  echo_raw(letter, effects);
}

void LineDiscipline::echo_raw(unsigned char letter, Effects& effects) {
  put_output(letter, effects.echo);
}

void LineDiscipline::put_output(unsigned char letter, std::string& out) {
  tcflag_t flags = termios_.c_oflag;
  if ((flags & OPOST) == 0) {
    out += static_cast<char>(letter);
    return;
  }
  switch (letter) {
    case '\n':
      if ((flags & ONLRET) != 0) column_ = 0;
      if ((flags & ONLCR) != 0) {
        column_ = 0;
        out += '\r';
      }
      typed_column_ = column_;
      break;
    case '\r':
      if ((flags & ONOCR) != 0 && column_ == 0) return;
      if ((flags & OCRNL) != 0) {
        letter = '\n';
        if ((flags & ONLRET) != 0) column_ = typed_column_ = 0;
      } else {
        column_ = typed_column_ = 0;
      }
      break;
    case '\t': {
      unsigned spaces = kTab - column_ % kTab;
      column_ += spaces;
      if ((flags & TABDLY) != XTABS) break;
      out.append(spaces, ' ');
      return;
    }
    case '\b':
      if (column_ > 0) --column_;
      break;
    default:
      if (is_control(letter)) break;
      if ((flags & OLCUC) != 0 && letter >= 'a' && letter <= 'z') letter &= 0xdf;
      if (!is_continuation(letter)) ++column_;
  }
  out += static_cast<char>(letter);
}

std::string LineDiscipline::process_output(std::string_view bytes) {
  if ((termios_.c_oflag & OPOST) == 0) return std::string(bytes);
  std::string out;
  out.reserve(bytes.size() + 16);
  for (char letter : bytes) put_output(static_cast<unsigned char>(letter), out);
  return out;
}

}  // namespace caisson::sandbox::fs
