#include "sim/cli/retelling.h"

#include <string_view>
#include <vector>

#include "base/nearest.h"
#include "sim/cli/output.h"

namespace vxmesh::cli {
namespace {

SimulationOptions with_texts(SimulationOptions options) {
  options.keep_texts = true;
  return options;
}

// "12.345678", also negative.
std::string format_micros(Duration time) {
  const bool negative = time < Duration{};
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(negative ? -time : time);
  const std::string fraction = std::to_string(1'000'000 + micros.count() % 1'000'000);
  return (negative ? "-" : "") + std::to_string(micros.count() / 1'000'000) + "." +
         fraction.substr(1);
}

}  // namespace

Retelling::Retelling(const PlannedRun& run, std::optional<MonotonicTime> until,
                     std::optional<MonotonicTime> zero)
    : simulation_(run.scenario, with_texts(run.options)), zero_(zero) {
  simulation_.cluster().observe(*this);
  outcome_ = simulation_.run(until);
}

Result<void> Retelling::known(const std::string& node) const {
  std::vector<std::string> names;
  for (const auto& [number, name] : names_) {
    if (name == node) {
      return {};
    }
    names.push_back(name);
  }
  return fail(ErrorCode::InvalidInput, "no node '" + node + "' by that moment" +
                                           did_you_mean(node, names) + "; there are " +
                                           joined(names));
}

const std::vector<Trace::Entry>& Retelling::entries() {
  return cluster().trace().entries();
}

std::string Retelling::name_of(HostNumber host) const {
  const auto place = names_.find(host);
  return place == names_.end() ? "world" : place->second;
}

std::string Retelling::line(const Trace::Entry& entry) const {
  return format_micros(entry.time - zero()) + " " + name_of(entry.host) + " " +
         std::string(format(entry.kind)) + " " + entry.text;
}

void Retelling::on_host(const Host& host, bool there) {
  if (there) {
    names_.emplace(host.number(), host.name());
  }
}

std::string trace_text(Retelling& retelling, const std::string& node) {
  std::string text;
  for (const Trace::Entry& entry : retelling.entries()) {
    const bool is_asked =
        node.empty() || entry.host == kWorld || retelling.name_of(entry.host) == node;
    if (is_asked) {
      text += retelling.line(entry) + "\n";
    }
  }
  return text;
}

}  // namespace vxmesh::cli
