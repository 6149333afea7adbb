/**
 * A test is a sentence and a function; what does not hold is printed with its line, and the test goes on.
 */
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace parentfs::test {

/** Results of one test. Threads of a test may check too. */
class Checks {
 public:
  void hold(bool holds, const char* what, const char* file, int line) {
    if (holds) return;
    failed_ = true;
    std::printf("  %s:%d: %s\n", file, line, what);
  }
  /** The test cannot run here: say why. */
  void skip(const char* why) {
    skipped_ = true;
    std::printf("  skipped: %s\n", why);
  }
  [[nodiscard]] bool failed() const { return failed_; }
  /** It did not run, or not all of it. */
  [[nodiscard]] bool skipped() const { return skipped_; }

 private:
  std::atomic<bool> failed_{false};
  std::atomic<bool> skipped_{false};
};

#define CHECK(condition) t.hold(static_cast<bool>(condition), #condition, __FILE__, __LINE__)

struct Test {
  const char* name;
  std::function<void(Checks& t)> run;
};

using Tests = std::vector<Test>;

/** Wait for a condition, with a deadline. @returns whether it came */
template <class Condition>
bool until(Condition&& condition, std::chrono::milliseconds deadline = std::chrono::seconds(60)) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/** A directory of its own, removed with what is in it. */
class Directory {
 public:
  Directory() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/parentfs-native-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~Directory() {
    for (const std::string& name : names_) ::unlink(name.c_str());
    ::rmdir(path_.c_str());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  /** The path of a file in it, which is removed at the end. */
  std::string file(const std::string& name) { return names_.emplace_back(path_ + "/" + name); }

 private:
  std::string path_;
  std::vector<std::string> names_;
};

}  // namespace parentfs::test
