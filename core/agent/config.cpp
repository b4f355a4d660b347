#include "agent/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "base/nearest.h"

namespace vxmesh {
namespace {

tl::unexpected<Error> bad(const Setting& setting, const std::string& why) {
  return fail(ErrorCode::InvalidInput, setting.source + ": " + why);
}

Result<std::uint64_t> parse_number(const Setting& setting, std::uint64_t min, std::uint64_t max) {
  std::uint64_t number = 0;
  const char* end = setting.value.data() + setting.value.size();
  const auto [stop, error] = std::from_chars(setting.value.data(), end, number);
  if (error != std::errc{} || stop != end || number < min || number > max) {
    return bad(setting, "'" + setting.value + "' is not a whole number from " +
                            std::to_string(min) + " to " + std::to_string(max));
  }
  return number;
}

Result<bool> parse_bool(const Setting& setting) {
  if (setting.value == "true" || setting.value == "false") {
    return setting.value == "true";
  }
  return bad(setting, "'" + setting.value + "' is neither true nor false");
}

Result<void> require_text(const Setting& setting, std::string& target) {
  if (setting.value.empty()) {
    return bad(setting, "must not be empty");
  }
  target = setting.value;
  return {};
}

template <typename Number>
Result<void> set_number(const Setting& setting, std::uint64_t min, std::uint64_t max,
                        Number& target) {
  return parse_number(setting, min, max).map([&](std::uint64_t number) {
    target = static_cast<Number>(number);
  });
}

Result<void> add_overlay(const Setting& setting, AgentConfig& config) {
  const Result<IpPrefix> prefix = IpPrefix::parse(setting.value);
  if (!prefix) {
    return bad(setting, prefix.error().context);
  }
  for (const IpPrefix& other : config.overlay.cidrs) {
    if (other.overlaps(*prefix)) {
      return bad(setting, format(*prefix) + " overlaps " + format(other));
    }
  }
  // 96: a PodCIDR must be longer than the overlay, and its MAC encodes 32 bits behind it.
  if (prefix->length() == 0 || (prefix->family() == Family::V6 && prefix->length() > 96) ||
      (prefix->family() == Family::V4 && prefix->length() > 30)) {
    return bad(setting, format(*prefix) + " leaves no room for PodCIDRs inside it");
  }
  config.overlay.cidrs.push_back(*prefix);
  return {};
}

Result<void> set_device(const Setting& setting, std::string& device) {
  constexpr std::size_t kMaxName = 15;  // IFNAMSIZ - 1, linux/if.h
  const bool forbidden = std::ranges::any_of(setting.value, [](char c) {
    return c == '/' || c == ':' || c == '"' || static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
  });
  if (setting.value.empty() || setting.value.size() > kMaxName || forbidden ||
      setting.value == "." || setting.value == "..") {
    return bad(setting, "'" + setting.value +
                            "' is not a device name (1 to 15 characters, without "
                            "slash, colon, quote or space)");
  }
  device = setting.value;
  return {};
}

// "127.0.0.1:9809" or "[::1]:9809"
Result<void> set_listen(const Setting& setting, AgentConfig& config) {
  const std::size_t colon = setting.value.rfind(':');
  std::string host = setting.value.substr(0, colon);
  if (colon != std::string::npos && host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (colon == std::string::npos || !IpAddress::parse(host)) {
    return bad(setting, "'" + setting.value + "' is not ADDRESS:PORT, such as 127.0.0.1:9809");
  }
  config.listen_address = host;
  const Setting port{
      .name = setting.name, .value = setting.value.substr(colon + 1), .source = setting.source};
  return set_number(port, 0, 65535, config.listen_port);
}

Result<void> set_log_format(const Setting& setting, bool& json) {
  if (setting.value != "text" && setting.value != "json") {
    return bad(setting, "'" + setting.value + "' is neither text nor json");
  }
  json = setting.value == "json";
  return {};
}

Result<void> set_log_level(const Setting& setting, LogLevel& level) {
  const std::map<std::string, LogLevel> levels{{"debug", LogLevel::Debug},
                                               {"info", LogLevel::Info},
                                               {"warning", LogLevel::Warning},
                                               {"error", LogLevel::Error}};
  const auto found = levels.find(setting.value);
  if (found == levels.end()) {
    return bad(setting, "'" + setting.value + "' is not one of debug, info, warning, error");
  }
  level = found->second;
  return {};
}

struct Known {
  SettingHelp help;
  bool list = false;
  std::function<Result<void>(const Setting&, AgentConfig&)> set;
};

// clang-format off
const std::vector<Known>& settings_table() {
  using S = const Setting&;
  using C = AgentConfig&;
  constexpr std::uint64_t kMaxSeconds = 86400;
  static const std::vector<Known> table{
      {{"node-name", "NAME", "name of this host's Node object (required)"}, false,
       [](S s, C c) { return require_text(s, c.node_name); }},
      {{"overlay", "CIDR", "the overlay, which contains every PodCIDR; once for each (required)"},
       true,
       [](S s, C c) { return add_overlay(s, c); }},
      {{"server", "URL", "API server, such as http://127.0.0.1:8080 (in-cluster)"}, false,
       [](S s, C c) { return require_text(s, c.server); }},
      {{"kubeconfig", "FILE", "how to reach the API server (in-cluster)"}, false,
       [](S s, C c) { return require_text(s, c.kubeconfig); }},
      {{"device", "NAME", "the vxlan device (vxlan1)"}, false,
       [](S s, C c) { return set_device(s, c.overlay.device); }},
      {{"vni", "NUMBER", "VXLAN network identifier (1)"}, false,
       [](S s, C c) { return set_number(s, 0, kMaxVni, c.overlay.vni.value); }},
      {{"port", "NUMBER", "UDP port of the tunnel (4789)"}, false,
       [](S s, C c) { return set_number(s, 1, 65535, c.overlay.port); }},
      {{"mtu", "BYTES", "MTU of the device (that of the underlay less 50)"}, false,
       [](S s, C c) { return set_number(s, 576, 65535, c.overlay.mtu.emplace()); }},
      {{"max-neighbours", "NUMBER", "on-demand neighbours to keep, each family (16384)"}, false,
       [](S s, C c) { return set_number(s, 16, 1U << 20U, c.reconciler.max_neighbours); }},
      {{"resync-interval", "SECONDS", "between full passes (60)"}, false,
       [](S s, C c) { return parse_number(s, 1, kMaxSeconds).map([&](std::uint64_t n) {
          c.reconciler.resync_interval = std::chrono::seconds{n}; }); }},
      {{"masquerade", "BOOL", "set the two masquerade rules (true)"}, false,
       [](S s, C c) { return parse_bool(s).map([&](bool b) { c.masquerade = b; }); }},
      {{"listen", "ADDRESS:PORT", "for /healthz, /readyz and /metrics (127.0.0.1:9809)"}, false,
       [](S s, C c) { return set_listen(s, c); }},
      {{"lock-file", "FILE", "held while running (/run/vxmesh/agent.lock)"}, false,
       [](S s, C c) { return require_text(s, c.lock_file); }},
      {{"log-format", "FORMAT", "text or json (text)"}, false,
       [](S s, C c) { return set_log_format(s, c.log_json); }},
      {{"log-level", "LEVEL", "debug, info, warning or error (info)"}, false,
       [](S s, C c) { return set_log_level(s, c.log_level); }},
  };
  return table;
}
// clang-format on

std::string at_line(const std::string& file_name, const YAML::Mark& mark) {
  return file_name + ":" + std::to_string(mark.line + 1);
}

Result<void> read_value(const std::string& name, const YAML::Node& value,
                        const std::string& file_name, std::vector<Setting>& settings) {
  const std::string source = at_line(file_name, value.Mark());
  if (value.IsScalar()) {
    settings.push_back({.name = name, .value = value.Scalar(), .source = source + " " + name});
    return {};
  }
  if (value.IsSequence()) {
    for (const YAML::Node& item : value) {
      if (!item.IsScalar()) {
        return fail(ErrorCode::InvalidInput, source + ": a list of more than text");
      }
      settings.push_back({.name = name,
                          .value = item.Scalar(),
                          .source = at_line(file_name, item.Mark()) + " " + name});
    }
    return {};
  }
  return fail(ErrorCode::InvalidInput, source + ": " + name + " must be a value or a list of them");
}

}  // namespace

const std::vector<SettingHelp>& known_settings() {
  static const std::vector<SettingHelp> helps = [] {
    std::vector<SettingHelp> all;
    std::ranges::transform(settings_table(), std::back_inserter(all), &Known::help);
    return all;
  }();
  return helps;
}

Result<std::vector<Setting>> read_config_file(std::string_view yaml, const std::string& file_name) {
  std::vector<Setting> settings;
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (root.IsNull()) {
      return settings;
    }
    if (!root.IsMap()) {
      return fail(ErrorCode::InvalidInput,
                  at_line(file_name, root.Mark()) + ": not a mapping of settings to values");
    }
    for (const auto& entry : root) {
      const Result<void> read =
          read_value(entry.first.as<std::string>(), entry.second, file_name, settings);
      if (!read) {
        return tl::unexpected(read.error());
      }
    }
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::InvalidInput, at_line(file_name, error.mark) + ": " + error.msg);
  }
  return settings;
}

std::vector<Setting> override_settings(const std::vector<Setting>& file,
                                       const std::vector<Setting>& command_line) {
  std::set<std::string> overridden;
  for (const Setting& setting : command_line) {
    overridden.insert(setting.name);
  }
  std::vector<Setting> merged;
  std::ranges::copy_if(file, std::back_inserter(merged),
                       [&](const Setting& setting) { return !overridden.contains(setting.name); });
  merged.insert(merged.end(), command_line.begin(), command_line.end());
  return merged;
}

Result<AgentConfig> parse_settings(const std::vector<Setting>& settings) {
  AgentConfig config;
  std::set<std::string> seen;
  for (const Setting& setting : settings) {
    const auto known = std::ranges::find_if(
        settings_table(), [&](const Known& k) { return k.help.name == setting.name; });
    if (known == settings_table().end()) {
      std::vector<std::string> names;
      for (const SettingHelp& help : known_settings()) {
        names.emplace_back(help.name);
      }
      return bad(setting, "unknown setting '" + setting.name + "'; the nearest is '" +
                              nearest_name(setting.name, names) + "'");
    }
    if (!seen.insert(setting.name).second && !known->list) {
      return bad(setting, setting.name + " is given twice");
    }
    const Result<void> set = known->set(setting, config);
    if (!set) {
      return tl::unexpected(set.error());
    }
  }
  return config;
}

Result<void> require_complete(const AgentConfig& config) {
  if (config.node_name.empty()) {
    return fail(ErrorCode::InvalidInput, "--node-name is missing: the name of this host's Node");
  }
  if (config.overlay.cidrs.empty()) {
    return fail(
        ErrorCode::InvalidInput,
        "--overlay is missing: the CIDR that contains every PodCIDR, such as 100.96.0.0/12");
  }
  if (!config.server.empty() && !config.kubeconfig.empty()) {
    return fail(ErrorCode::InvalidInput, "--server and --kubeconfig exclude each other");
  }
  return {};
}

}  // namespace vxmesh
