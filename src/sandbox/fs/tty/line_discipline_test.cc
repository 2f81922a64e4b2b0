#include "sandbox/fs/tty/line_discipline.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "sys/file.h"

namespace caisson::sandbox::fs {
namespace {

struct Row {
  const char* name;
  std::string_view typed, echoed, read;
  tcflag_t local_on = 0, local_off = 0, input_on = 0, input_off = 0, output_on = 0, output_off = 0;
};

class Table : public testing::TestWithParam<Row> {};

TEST_P(Table, EchoesAndReads) {
  const Row& row = GetParam();
  LineDiscipline line;
  Termios termios = default_termios();
  termios.c_lflag = (termios.c_lflag | row.local_on) & ~row.local_off;
  termios.c_iflag = (termios.c_iflag | row.input_on) & ~row.input_off;
  termios.c_oflag = (termios.c_oflag | row.output_on) & ~row.output_off;
  line.set_termios(termios);
  LineDiscipline::Effects effects;
  EXPECT_EQ(line.receive(row.typed, effects), row.typed.size());
  EXPECT_EQ(effects.echo, row.echoed);
  EXPECT_EQ(line.read(4096), row.read);
}

using std::literals::operator""sv;

INSTANTIATE_TEST_SUITE_P(
    Canonical, Table,
    testing::Values(
        Row{"LineIsReadAfterItsEnd", "abc\n", "abc\r\n", "abc\n"},
        Row{"LineIsNotReadBefore", "abc", "abc", ""},
        Row{"ReturnBecomesNewline", "abc\r", "abc\r\n", "abc\n"},
        Row{"ReturnStaysWithoutIcrnl", "a\r\n", "a^M\r\n", "a\r\n", 0, 0, 0, ICRNL},
        Row{"ReturnIsIgnored", "a\rb\n", "ab\r\n", "ab\n", 0, 0, IGNCR, 0},
        Row{"NewlineBecomesReturn", "a\n\r", "a^M\r\n", "a\r\n", 0, 0, INLCR, 0},
        Row{"OneLineAtATime", "a\nb\n", "a\r\nb\r\n", "a\n"},
        Row{"EraseTakesTheLastLetter",
            "ab\x7f"
            "c\n",
            "ab\b \bc\r\n", "ac\n"},
        Row{"EraseOfNothingIsSilent", "\x7f\n", "\r\n", "\n"},
        Row{"EraseOfControlTakesTwo", "\x01\x7f\n", "^A\b \b\b \b\r\n", "\n"},
        Row{"EraseOfTabGoesBack", "ab\t\x7f\n", "ab\t\b\b\b\b\b\b\r\n", "ab\n"},
        Row{"EraseOfTabBehindTab", "\t\t\x7f\n", "\t\t\b\b\b\b\b\b\b\b\r\n", "\t\n"},
        Row{"EraseWithoutEchoeEchoesTheKey", "ab\x7f\n", "ab^?\r\n", "a\n", 0, ECHOE},
        Row{"EraseWithoutEchoIsSilent", "ab\x7f\n", "", "a\n", 0, ECHO},
        Row{"EraseOfMultiByteLetter", "a\xc3\xa4\x7f\n", "a\xc3\xa4\b \b\r\n", "a\n", 0, 0, IUTF8},
        Row{"EraseOfBytesWithoutIutf8", "\xc3\xa4\x7f\n", "\xc3\xa4\b \b\r\n", "\xc3\n"},
        Row{"WordErase", "one two\x17\n", "one two\b \b\b \b\b \b\r\n", "one \n"},
        Row{"WordEraseTakesBlanksBehind", "one  \x17\n", "one  \b \b\b \b\b \b\b \b\b \b\r\n",
            "\n"},
        Row{"WordEraseNeedsIexten", "a\x17\n", "a^W\r\n", "a\x17\n", 0, IEXTEN},
        Row{"KillErasesTheLine", "abc\x15x\n", "abc\b \b\b \b\b \bx\r\n", "x\n"},
        Row{"KillWithoutEchokeEchoesTheKey", "abc\x15x\n", "abc^U\r\nx\r\n", "x\n", 0, ECHOKE},
        Row{"KillWithoutEchokAsWell", "abc\x15x\n", "abc^Ux\r\n", "x\n", 0, ECHOK},
        Row{"KillWithoutEcho", "abc\x15x\n", "", "x\n", 0, ECHO},
        Row{"ReprintShowsTheLineAgain", "ab\x12\n", "ab^R\r\nab\r\n", "ab\n"},
        Row{"LiteralNext", "\x16\x03\n", "^\b^C\r\n", "\x03\n"},
        Row{"LiteralNextTakesNewline", "\x16\nx\n", "^\b^Jx\r\n", "\nx\n"},
        Row{"EndOfFileGivesTheRest", "ab\x04", "ab", "ab"},
        Row{"EndOfFileAloneIsEmpty", "\x04", "", ""},
        Row{"EchoOfControl", "\x01\n", "^A\r\n", "\x01\n"},
        Row{"EchoOfControlRaw", "\x01\n", "\x01\r\n", "\x01\n", 0, ECHOCTL},
        Row{"NoEcho", "ab\n", "", "ab\n", 0, ECHO},
        Row{"NewlineEchoAlone", "ab\n", "\r\n", "ab\n", ECHONL, ECHO},
        Row{"StripTakesTheHighBit", "\xe1\n", "a\r\n", "a\n", 0, 0, ISTRIP},
        Row{"UpperBecomesLower", "AB\n", "ab\r\n", "ab\n", 0, 0, IUCLC},
        Row{"SignalsAreOffWithoutIsig", "\x03\n", "^C\r\n", "\x03\n", 0, ISIG},
        Row{"FlowIsOffWithoutIxon", "\x13\n", "^S\r\n", "\x13\n", 0, 0, 0, IXON},
        Row{"EchoWithoutPost", "a\n", "a\n", "a\n", 0, 0, 0, 0, 0, OPOST},
        Row{"TabsAreExpanded", "a\tb\n", "a       b\r\n", "a\tb\n", 0, 0, 0, 0, XTABS}),
    [](const auto& tested) { return std::string(tested.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Raw, Table,
    testing::Values(Row{"AllIsReadAtOnce", "ab\ncd", "ab^Jcd", "ab\ncd", 0, ICANON},
                    Row{"NothingIsEdited", "ab\x7f\x15", "ab^?^U", "ab\x7f\x15", 0, ICANON},
                    Row{"EndOfFileIsALetter", "\x04", "^D", "\x04", 0, ICANON},
                    Row{"LettersAreStillTranslated", "\r", "\r\n", "\n", 0, ICANON}),
    [](const auto& tested) { return std::string(tested.param.name); });

class Discipline : public testing::Test {
 protected:
  void type(std::string_view bytes) {
    effects_ = {};
    (void)line_.receive(bytes, effects_);
  }
  void change(tcflag_t local_on, tcflag_t local_off) {
    Termios termios = line_.termios();
    termios.c_lflag = (termios.c_lflag | local_on) & ~local_off;
    line_.set_termios(termios);
  }
  LineDiscipline line_;
  LineDiscipline::Effects effects_;
};

TEST_F(Discipline, KeysBecomeSignals) {
  type("abc\x03");
  EXPECT_EQ(effects_.signals, 1U << SIGINT);
  EXPECT_EQ(effects_.echo, "^C");
  EXPECT_TRUE(effects_.flush_output);
  type("\n");
  EXPECT_EQ(line_.read(10), "\n");
  type("\x1c\x1a");
  EXPECT_EQ(effects_.signals, 1U << SIGQUIT | 1U << SIGTSTP);
}

TEST_F(Discipline, NoflshKeepsWhatWasTyped) {
  change(NOFLSH, 0);
  type("abc\x03\n");
  EXPECT_EQ(effects_.echo, "abc^C\r\n");
  EXPECT_FALSE(effects_.flush_output);
  EXPECT_EQ(line_.read(10), "abc\n");
}

TEST_F(Discipline, FlowControlStopsAndStarts) {
  type("\x13");
  EXPECT_TRUE(line_.stopped);
  EXPECT_TRUE(effects_.stop_output);
  type("x");
  EXPECT_TRUE(line_.stopped);
  type("\x11");
  EXPECT_FALSE(line_.stopped);
  EXPECT_TRUE(effects_.start_output);
}

TEST_F(Discipline, AShortReadLeavesTheRestOfTheLine) {
  type("abcdef\n");
  EXPECT_EQ(line_.available(), 7U);
  EXPECT_EQ(line_.read(3), "abc");
  EXPECT_TRUE(line_.has_input(true));
  EXPECT_EQ(line_.read(10), "def\n");
  EXPECT_FALSE(line_.has_input(true));
}

TEST_F(Discipline, AnEndOfFileIsReadOnce) {
  type("\x04");
  EXPECT_TRUE(line_.has_input(true));
  EXPECT_EQ(line_.read(10), "");
  EXPECT_FALSE(line_.has_input(true));
}

TEST_F(Discipline, AnEndOfFileRightBehindGoesWithTheRead) {
  type("abc\x04");
  EXPECT_EQ(line_.read(3), "abc");
  EXPECT_FALSE(line_.has_input(true));
}

TEST_F(Discipline, ATooLongLineIsCutButCanBeEnded) {
  type(std::string(5000, 'x'));
  type("\n");
  std::string text = line_.read(10000);
  EXPECT_EQ(text.size(), LineDiscipline::kInputLimit);
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(Discipline, RawInputStopsWhenItIsFull) {
  change(0, ICANON);
  LineDiscipline::Effects effects;
  EXPECT_EQ(line_.receive(std::string(5000, 'x'), effects), LineDiscipline::kInputLimit - 1);
  EXPECT_EQ(line_.room(), 0U);
  EXPECT_EQ(line_.read(1), "x");
  EXPECT_EQ(line_.room(), 1U);
}

TEST_F(Discipline, WhatWasTypedIsReadableWithoutLines) {
  type("abc");
  EXPECT_FALSE(line_.has_input(true));
  change(0, ICANON);
  EXPECT_TRUE(line_.has_input(true));
  EXPECT_EQ(line_.read(10), "abc");
}

TEST_F(Discipline, VminCountsForPoll) {
  Termios termios = line_.termios();
  termios.c_lflag &= ~static_cast<tcflag_t>(ICANON);
  termios.c_cc[VMIN] = 3;
  line_.set_termios(termios);
  type("ab");
  EXPECT_FALSE(line_.has_input(true));
  EXPECT_TRUE(line_.has_input(false));
  type("c");
  EXPECT_TRUE(line_.has_input(true));
}

TEST_F(Discipline, OutputIsProcessed) {
  EXPECT_EQ(line_.process_output("a\nb\r\n"), "a\r\nb\r\r\n");
  Termios termios = line_.termios();
  termios.c_oflag = OPOST | OCRNL;
  line_.set_termios(termios);
  EXPECT_EQ(line_.process_output("a\rb"), "a\nb");
  termios.c_oflag = OPOST | ONOCR;
  line_.set_termios(termios);
  EXPECT_EQ(line_.process_output("\rb"), "\rb");
  termios.c_oflag = OPOST | OLCUC;
  line_.set_termios(termios);
  EXPECT_EQ(line_.process_output("ab"), "AB");
}

// The same keys on a pty of this host have to give the same echo and the same reads.
bool wait_for(FdRef fd) {
  pollfd polled{fd.number(), POLLIN, 0};
  return ::poll(&polled, 1, 5000) == 1;
}

// The host's worker may be late: what is expected is waited for.
std::string read_until(FdRef master, std::size_t size) {
  std::string text;
  do {
    if (text.size() < size && !wait_for(master)) break;
    char bytes[4096];
    ssize_t got = ::read(master.number(), bytes, sizeof bytes);
    if (got > 0) text.append(bytes, static_cast<std::size_t>(got));
  } while (text.size() < size);
  return text;
}

void wait_for_input(FdRef slave, std::size_t size) {
  std::int64_t end = monotonic_ns() + std::int64_t{5'000'000'000};
  int there = -1;
  while (monotonic_ns() < end && there != static_cast<int>(size)) {
    ASSERT_EQ(::ioctl(slave.number(), FIONREAD, &there), 0);
    (void)::sched_yield();
  }
}

class HostPty : public testing::TestWithParam<unsigned> {};

TEST_P(HostPty, AgreesOnRandomKeys) {
  auto master = sys::openat(sys::kCwd, "/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (!master) GTEST_SKIP() << "no /dev/ptmx";
  int unlocked = 0;
  ASSERT_EQ(::ioctl(master->number(), TIOCSPTLCK, &unlocked), 0);
  Fd slave(::ioctl(master->number(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(slave.valid());
  MUST(sys::set_nonblocking(slave, true));
  std::mt19937 random(GetParam());
  auto pick = [&](std::size_t count) { return random() % count; };
  constexpr tcflag_t kLocal[] = {ECHO, ECHOE, ECHOK, ECHOKE, ECHOCTL, ECHONL, IEXTEN, NOFLSH};
  constexpr tcflag_t kInput[] = {ICRNL, INLCR, IGNCR, IUTF8, ISTRIP};
  constexpr tcflag_t kOutput[] = {OPOST, ONLCR, OCRNL, ONOCR, ONLRET};
  constexpr std::string_view kKeys = "ab \t\n\r\x7f\x15\x17\x12\x16\x04\x01\xc3\xa4_9.Z";
  Termios termios = default_termios();
  for (tcflag_t flag : kLocal)
    if (pick(4) == 0) termios.c_lflag ^= flag;
  for (tcflag_t flag : kInput)
    if (pick(4) == 0) termios.c_iflag ^= flag;
  for (tcflag_t flag : kOutput)
    if (pick(4) == 0) termios.c_oflag ^= flag;
  if (pick(4) == 0) termios.c_lflag &= ~static_cast<tcflag_t>(ICANON);
  ASSERT_EQ(::ioctl(slave.number(), _IOC(_IOC_WRITE, 'T', 0x2b, sizeof termios), &termios), 0);
  LineDiscipline line;
  line.set_termios(termios);
  std::string log;
  for (int step = 0; step < 60; ++step) {
    std::string keys;
    for (std::size_t count = pick(6) + 1; count > 0; --count) keys += kKeys[pick(kKeys.size())];
    log += keys;
    ASSERT_EQ(::write(master->number(), keys.data(), keys.size()),
              static_cast<ssize_t>(keys.size()));
    LineDiscipline::Effects effects;
    ASSERT_EQ(line.receive(keys, effects), keys.size());
    std::string echoed = read_until(*master, effects.echo.size());
    ASSERT_EQ(effects.echo, echoed) << "behind " << testing::PrintToString(log);
    if (pick(3) != 0) continue;
    std::size_t size = pick(8) + 1;
    bool readable = line.has_input(false);
    std::string theirs(size, '\0');
    wait_for_input(slave, line.available());
    ssize_t got = ::read(slave.number(), theirs.data(), size);
    ASSERT_EQ(got >= 0, readable) << "behind " << testing::PrintToString(log);
    theirs.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    ASSERT_EQ(readable ? line.read(size) : "", theirs) << "behind " << testing::PrintToString(log);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, HostPty, testing::Range(1U, 41U));

}  // namespace
}  // namespace caisson::sandbox::fs
