#include "cli/error_report.h"

#include <unistd.h>

#include <cerrno>

#include <gtest/gtest.h>

#include "sys/file.h"

namespace caisson::cli {
namespace {

Error mount_error() {
  return Error(Errno{ENOENT})
      .doing("mount /srv/data on /data")
      .where("mounts[3]")
      .step("mounts")
      .code("mount.source")
      .cure("make /srv/data, or correct the path");
}

TEST(ErrorReport, TextHasStepObjectPlaceCauseAndCure) {
  EXPECT_EQ(error_text("caisson", mount_error()),
            "caisson: mounts: mount /srv/data on /data: mounts[3]: No such file or directory\n"
            "  cure: make /srv/data, or correct the path\n");
}

TEST(ErrorReport, TextWithoutACureIsOneLine) {
  EXPECT_EQ(error_text("runc", Error::invalid("bad")), "runc: bad\n");
}

TEST(ErrorReport, TheProgramIsNamedOnce) {
  EXPECT_EQ(error_text("caisson", Error::invalid("bad").doing("caisson run")),
            "caisson run: bad\n");
}

TEST(ErrorReport, TheStepIsNotSaidTwice) {
  Error error =
      Error::with_cause(ENOENT, "exec: \"x\": executable file not found in $PATH").step("exec");
  EXPECT_EQ(message_of(error), "exec: \"x\": executable file not found in $PATH");
}

TEST(ErrorReport, JsonIsOneLineWithEveryPart) {
  EXPECT_EQ(
      error_json("runc create failed: x", "create", mount_error(), 1'700'000'000'123'456'789),
      R"({"level":"error","msg":"runc create failed: x","time":"2023-11-14T22:13:20.123456789Z",)"
      R"("code":"mount.source","phase":"create","step":"mounts","object":"mount /srv/data on /data",)"
      R"("where":"mounts[3]","cause":"No such file or directory","errno":"ENOENT",)"
      R"("cure":"make /srv/data, or correct the path"})"
      "\n");
}

TEST(ErrorReport, JsonEscapesWhatWouldEndTheLine) {
  auto line = error_json("a\nb\"c", "", Error::invalid("x\ny"), 0);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(ErrorReport, AppendsToTheLogFile) {
  std::string path = "/tmp/caisson-report-test-" + std::to_string(::getpid());
  Reporter reporter;
  reporter.engine_face = true;
  reporter.format = LogFormat::kJson;
  reporter.log = parse_log_target(path);
  testing::internal::CaptureStderr();
  reporter.failure(Error::invalid("first"), "exec");
  reporter.failure(Error::invalid("second"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "exec failed: first\nsecond\n");
  auto text = sys::read_file(sys::kCwd, path.c_str());
  (void)sys::unlinkat(sys::kCwd, path.c_str());
  ASSERT_TRUE(text);
  EXPECT_NE(text->find(R"("msg":"exec failed: first")"), std::string::npos);
  EXPECT_NE(text->find("}\n{\"level\":\"error\",\"msg\":\"second\""), std::string::npos);
}

// What `report` writes to stderr for a failed exec, as the program of that name.
std::string stderr_of(std::string_view program, const Error& error) {
  Reporter reporter;
  reporter.program = program;
  reporter.engine_face = true;
  reporter.dialect = dialect_of(program);
  testing::internal::CaptureStderr();
  reporter.failure(error, "exec");
  return testing::internal::GetCapturedStderr();
}

TEST(ErrorReport, EnginesGetOneLineWithTheCureInIt) {
  EXPECT_EQ(stderr_of("caisson-oci", Error::invalid("bad").cure("do it")),
            "exec failed: bad (cure: do it)\n");
}

TEST(ErrorReport, AsRuncErrorsAreLogrusLinesWithGoSmallLetters) {
  EXPECT_TRUE(
      stderr_of("runc", Error(Errno{ENOENT}).doing("open x"))
          .ends_with("Z\" level=error msg=\"exec failed: open x: no such file or directory\"\n"));
}

TEST(ErrorReport, AsCrunErrorsHaveItsWords) {
  EXPECT_EQ(stderr_of("crun", mount_error()).substr(0, 8), "mounts: ");
  auto missing = Error::with_cause(ENOENT, "exec: \"x\": executable file not found in $PATH");
  EXPECT_EQ(stderr_of("crun", missing),
            "executable file `x` not found in $PATH: No such file or directory\n");
}

TEST(ErrorReport, AsRuncARefusedExecveHasGosWording) {
  auto error = Error::with_cause(ENOEXEC, "exec: \"/run.sh\": exec format error")
                   .step("exec")
                   .code("exec.format");
  EXPECT_EQ(stderr_of("caisson-oci", error),
            "exec failed: unable to start container process: exec /run.sh: exec format error\n");
}

TEST(LogTarget, KnowsThePrefixesOfCrun) {
  using Kind = LogTarget::Kind;
  EXPECT_EQ(parse_log_target("/x").kind, Kind::kFile);
  EXPECT_EQ(parse_log_target("file:/x").name, "/x");
  EXPECT_EQ(parse_log_target("journald:web").kind, Kind::kJournal);
  EXPECT_EQ(parse_log_target("syslog:web").name, "web");
  EXPECT_FALSE(parse_log_target("").given());
}

TEST(LogTarget, DatagramsFollowTheirProtocols) {
  EXPECT_EQ(journal_datagram("web", "crun", Severity::kError, "bad"),
            "PRIORITY=3\nMESSAGE=bad\nID=web\nSYSLOG_IDENTIFIER=crun\n");
  EXPECT_EQ(
      journal_datagram("w", "c", Severity::kDebug, "a\nb"),
      cat("PRIORITY=7\nMESSAGE\n\3", std::string(7, '\0'), "a\nb\nID=w\nSYSLOG_IDENTIFIER=c\n"));
  EXPECT_EQ(syslog_datagram("web", 7, Severity::kWarning, "bad"), "<28>web[7]: bad");
}

TEST(ErrorReport, JsonGoesToStderrWithoutALog) {
  Reporter reporter;
  reporter.format = LogFormat::kJson;
  testing::internal::CaptureStderr();
  reporter.failure(Error::invalid("bad"));
  EXPECT_EQ(testing::internal::GetCapturedStderr().substr(0, 31),
            R"({"level":"error","msg":"bad","t)");
}

}  // namespace
}  // namespace caisson::cli
