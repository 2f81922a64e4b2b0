// N_TTY: what stands between the bytes of a terminal's cable and those that programs read and write
// (termios(3), drivers/tty/n_tty.c of Linux). Pure: no lock, no clock, no task; its owner
// (terminal.h) does what it asks for.
#pragma once

#include <termios.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace caisson::sandbox::fs {

// struct termios2 of the kernel; its beginning is struct termios there, which is not that of glibc.
struct Termios {
  tcflag_t c_iflag = 0, c_oflag = 0, c_cflag = 0, c_lflag = 0;
  unsigned char c_line = 0, c_cc[19] = {};
  unsigned c_ispeed = 0, c_ospeed = 0;
};
Termios default_termios();  // of a pty (pty.c of Linux)

class LineDiscipline {
 public:
  static constexpr std::size_t kInputLimit = 4096;

  // What input asked for beside being kept.
  struct Effects {
    std::string echo;       // for the cable, processed
    unsigned signals = 0;   // bit n: signal n for the foreground group
    bool readable = false;  // there may be something to be read now
    bool flush_output = false;
    bool stop_output = false, start_output = false;
  };

  const Termios& termios() const { return termios_; }
  // What was typed becomes readable when ICANON goes off, a line when it comes on.
  void set_termios(const Termios& termios);

  // Takes bytes from the cable, at most as many as fit; returns how many.
  std::size_t receive(std::string_view bytes, Effects& effects);
  std::size_t room() const;

  // Canonical: up to one line; else what is there.
  std::string read(std::size_t size);
  bool has_input(bool for_poll) const;  // canonical: a line or an end of file
  std::size_t available() const;        // bytes that reads would give: FIONREAD
  bool is_canonical() const { return (termios_.c_lflag & ICANON) != 0; }
  void flush_input();

  // What programs write, as it goes to the cable.
  std::string process_output(std::string_view bytes);

  // Output is stopped by VSTOP or TCOOFF.
  bool stopped = false;

 private:
  bool has(tcflag_t flag) const { return (termios_.c_lflag & flag) != 0; }
  bool input_has(tcflag_t flag) const { return (termios_.c_iflag & flag) != 0; }
  bool is(unsigned char letter, unsigned index) const;
  void receive_one(unsigned char letter, Effects& effects);
  bool receive_flow(unsigned char letter, Effects& effects);
  bool receive_signal(unsigned char letter, Effects& effects);
  bool receive_editing(unsigned char letter, Effects& effects);
  bool receive_line_end(unsigned char letter, Effects& effects);
  void receive_plain(unsigned char letter, bool was_return, Effects& effects);
  void keep(unsigned char letter);
  void end_line(unsigned char letter, bool end_of_file, Effects& effects);

  void erase(unsigned char by, Effects& effects);
  void erase_letter(unsigned char letter, unsigned char by, Effects& effects);
  void erase_tab(Effects& effects);
  void reprint(Effects& effects);
  bool is_continuation(unsigned char letter) const;

  void echo(unsigned char letter, Effects& effects);      // with ECHOCTL
  void echo_raw(unsigned char letter, Effects& effects);  // by OPOST only
  void put_output(unsigned char letter, std::string& out);

  Termios termios_ = default_termios();
  // Complete lines (or, not canonical, all that came), then the line being typed. An end of file in
  // the middle is a mark of its own: kEndOfFile where ends_ has it.
  std::string ready_;
  std::string ends_;  // beside ready_: 'l' ends a line, 'e' is the mark of an end of file
  std::string typed_;
  bool literal_next_ = false;
  unsigned column_ = 0, typed_column_ = 0;  // of the cable's cursor; where the typed line began
};

}  // namespace caisson::sandbox::fs
