// The agent's settings: one table of names for the command line and the configuration file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/agent.h"
#include "base/log.h"
#include "base/result.h"

namespace vxmesh {

// Everything that a setting can set.
struct AgentConfig {
  std::string node_name;
  std::string server;      // URL of the API server; empty: kubeconfig, or in-cluster
  std::string kubeconfig;  // path; empty: server, or in-cluster
  OverlayConfig overlay;
  ReconcilerOptions reconciler;
  bool masquerade = true;
  std::string listen_address = "127.0.0.1";  // of /healthz, /readyz, /metrics
  std::uint16_t listen_port = 9809;          // 0: any free one, which is logged
  std::string lock_file = "/run/vxmesh/agent.lock";
  bool log_json = false;
  LogLevel log_level = LogLevel::Info;
};

// A setting as somebody wrote it.
struct Setting {
  std::string name;  // as on the command line, without the dashes: "max-neighbours"
  std::string value;
  std::string source;  // for errors: "--vni" or "agent.yaml:3"
};

// What is known of a setting, for --help and for "did you mean".
struct SettingHelp {
  std::string_view name;
  std::string_view argument;  // "CIDR", "SECONDS", ...
  std::string_view help;      // one sentence, with the default
};
[[nodiscard]] const std::vector<SettingHelp>& known_settings();

// Reads a YAML mapping of setting names to values or lists of values. Errors name file, line and
// reason.
[[nodiscard]] Result<std::vector<Setting>> read_config_file(std::string_view yaml,
                                                            const std::string& file_name);

// The command line's settings, and those of the file that the command line does not give.
[[nodiscard]] std::vector<Setting> override_settings(const std::vector<Setting>& file,
                                                     const std::vector<Setting>& command_line);

// Errors name where the setting was written and what would be right; an unknown one the nearest
// known. Only lists may be given several times.
[[nodiscard]] Result<AgentConfig> parse_settings(const std::vector<Setting>& settings);

// What `run` cannot do without: node-name and overlay; and server and kubeconfig exclude each
// other.
[[nodiscard]] Result<void> require_complete(const AgentConfig& config);

}  // namespace vxmesh
