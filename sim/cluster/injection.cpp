#include "sim/cluster/injection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/check.h"

namespace vxmesh {
namespace {

constexpr std::array<std::pair<InjectionKind, std::string_view>, 7> kNames{{
    {InjectionKind::Crash, "crash"},
    {InjectionKind::LoseAnswer, "lose-answer"},
    {InjectionKind::LoseRequest, "lose-request"},
    {InjectionKind::DropEvent, "drop-event"},
    {InjectionKind::DelayEvent, "delay-event"},
    {InjectionKind::DuplicateEvent, "duplicate-event"},
    {InjectionKind::StaleEvent, "stale-event"},
}};
static_assert(kNames.size() == static_cast<std::size_t>(kLastInjectionKind) + 1);

}  // namespace

std::string_view format(InjectionKind kind) {
  return kNames.at(static_cast<std::size_t>(kind)).second;
}

std::optional<InjectionKind> parse_injection_kind(std::string_view text) {
  const auto* const place =
      std::ranges::find_if(kNames, [&](const auto& entry) { return entry.second == text; });
  return place == kNames.end() ? std::nullopt : std::optional(place->first);
}

bool is_at_operation(InjectionKind kind) {
  return kind <= InjectionKind::LoseRequest;
}

std::string format(const Injection& injection) {
  return std::string(format(injection.kind)) + "@" + std::to_string(injection.index);
}

std::optional<Injection> parse_injection(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  const std::optional<InjectionKind> kind = parse_injection_kind(text.substr(0, at));
  const std::string_view digits = text.substr(at + 1);
  std::uint64_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool is_number = error == std::errc() && end == digits.data() + digits.size();
  return kind && is_number ? std::optional(Injection{*kind, index}) : std::nullopt;
}

bool Injector::is_now(bool operation, std::uint64_t index) {
  const bool now =
      injection_ && is_at_operation(injection_->kind) == operation && injection_->index == index;
  happened_ |= now;
  return now;
}

std::optional<InjectionKind> Injector::at_operation(bool last) {
  const std::uint64_t index = points_.operations++;
  if (!last) {
    points_.inside_batches.insert(index);
  }
  return is_now(true, index) ? std::optional(injection_->kind) : std::nullopt;
}

std::optional<InjectionKind> Injector::at_event(HostNumber host) {
  if (!is_now(false, points_.events++)) {
    return std::nullopt;
  }
  if (injection_->kind == InjectionKind::DropEvent) {
    breaks_again_ = host;
  }
  return injection_->kind;
}

std::optional<KubernetesFault> Injector::at_call(HostNumber host, const KubernetesCall& call) {
  if (breaks_again_ != host || !std::holds_alternative<WatchRequest>(call)) {
    return std::nullopt;
  }
  breaks_again_.reset();
  return reset_after(0);
}

WatchEventFault event_fault(InjectionKind kind) {
  const ApiError expired = error_event_after(0, 410, "Expired").error;
  switch (kind) {
    case InjectionKind::DropEvent: return {.ends_with = reset_after(0).error};
    case InjectionKind::DelayEvent: return {.delay = Injector::kDelay};
    case InjectionKind::DuplicateEvent: return {.ends_with = expired, .behind = true};
    case InjectionKind::StaleEvent: return {.ends_with = expired};
    case InjectionKind::Crash:
    case InjectionKind::LoseAnswer:
    case InjectionKind::LoseRequest: break;
  }
  check(false, "it happens at an event");
  return {};
}

}  // namespace vxmesh
