/**
 * Errors as values: a function gives what was asked for, or the errno that says why not.
 */
#pragma once

#include <utility>
#include <variant>

namespace parentfs {

/** An errno, positive. */
struct Failure {
  int error;
};

template <class Value>
class Result {
 public:
  Result(Value value) : outcome_(std::move(value)) {}  // NOLINT(google-explicit-constructor): reads as a return value
  Result(Failure failure) : outcome_(failure) {}       // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return std::holds_alternative<Value>(outcome_); }
  /** Only when `ok()`. */
  [[nodiscard]] Value& value() & { return std::get<Value>(outcome_); }
  [[nodiscard]] Value&& value() && { return std::get<Value>(std::move(outcome_)); }
  [[nodiscard]] const Value& value() const& { return std::get<Value>(outcome_); }
  /** 0 when `ok()`. */
  [[nodiscard]] int error() const { return ok() ? 0 : std::get<Failure>(outcome_).error; }

 private:
  std::variant<Value, Failure> outcome_;
};

}  // namespace parentfs
