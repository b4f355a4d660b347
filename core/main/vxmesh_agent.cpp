// vxmesh-agent: flags, wiring, signals, and nothing else.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "adapters/http/metrics_text.h"
#include "adapters/http/server.h"
#include "adapters/kube/kubeconfig.h"
#include "adapters/kube/kubernetes_http.h"
#include "adapters/libnl/netlink_libnl.h"
#include "adapters/nftables/firewall_nft.h"
#include "adapters/posix/capability.h"
#include "adapters/posix/clock_posix.h"
#include "adapters/posix/event_loop_asio.h"
#include "adapters/posix/lock_file.h"
#include "adapters/posix/log_spdlog.h"
#include "adapters/posix/random_posix.h"
#include "agent/agent.h"
#include "agent/cleanup.h"
#include "agent/config.h"
#include "agent/health.h"
#include "base/nearest.h"

namespace vxmesh {
namespace {

// Exit statuses of every program of the project.
enum ExitStatus : int { kPass = 0, kFailed = 1, kUsage = 2, kMissingCapability = 4 };

constexpr std::string_view kExamples = R"(Examples:
  vxmesh-agent --node-name n1 --overlay 100.96.0.0/12 --kubeconfig /etc/kubernetes/kubelet.conf
  vxmesh-agent run --config /etc/vxmesh/agent.yaml --log-format json
  vxmesh-agent check-config --config /etc/vxmesh/agent.yaml
  vxmesh-agent cleanup --device vxlan1

The configuration file is YAML: the names above without the dashes, lists where a flag may be
repeated. Flags win over the file. SIGTERM ends the agent and leaves the data plane; only `cleanup`
removes it.

Exit status: 0 done, 1 failed, 2 usage, 4 a capability is missing.
)";

int report(const Error& error, ExitStatus status) {
  std::cerr << "vxmesh-agent: " << error.context << "\n";
  return status;
}

int report(const Error& error) {
  switch (error.code) {
    case ErrorCode::InvalidInput: return report(error, kUsage);
    case ErrorCode::NoPermission: return report(error, kMissingCapability);
    default: return report(error, kFailed);
  }
}

enum class Command { Run, Cleanup, CheckConfig };

struct CommandLine {
  Command command = Command::Run;
  std::string config_file;
  std::vector<Setting> settings;
};

// Either what to do, or the exit status if there is nothing more to do.
using ParsedCommandLine = tl::expected<CommandLine, int>;

int unknown_argument(const std::string& argument) {
  std::vector<std::string> names{"--config", "--help",  "--version",
                                 "run",      "cleanup", "check-config"};
  for (const SettingHelp& help : known_settings()) {
    names.push_back("--" + std::string(help.name));
  }
  const std::string flag = argument.substr(0, argument.find('='));
  return report({.code = ErrorCode::InvalidInput,
                 .context = "unknown argument '" + flag + "'; the nearest is '" +
                            nearest_name(flag, names) + "'"});
}

ParsedCommandLine parse_command_line(int argc, char** argv) {
  CLI::App app{"Connects this node's pods with those of every other node over VXLAN.",
               "vxmesh-agent"};
  app.footer(std::string(kExamples));
  app.set_version_flag("--version", std::string("vxmesh-agent ") + VXMESH_VERSION);
  app.allow_extras();
  app.require_subcommand(0, 1);
  CommandLine line;
  app.add_option("--config", line.config_file, "configuration file")->type_name("FILE");
  std::vector<std::pair<std::string, std::vector<std::string>>> values;
  values.reserve(known_settings().size());  // CLI11 keeps references to the elements
  for (const SettingHelp& help : known_settings()) {
    auto& [name, target] = values.emplace_back(std::string(help.name), std::vector<std::string>{});
    app.add_option("--" + name, target, std::string(help.help))
        ->type_name(std::string(help.argument))
        ->allow_extra_args(false);
  }
  app.add_subcommand("run", "keep the kernel as the cluster's nodes ask (the default)")
      ->fallthrough();
  const CLI::App* cleanup =
      app.add_subcommand("cleanup", "remove the data plane: what is ours and nothing else")
          ->fallthrough();
  const CLI::App* check_config =
      app.add_subcommand("check-config", "say whether the settings are right")->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return tl::unexpected(app.exit(help));
  } catch (const CLI::CallForVersion& version) {
    return tl::unexpected(app.exit(version));
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(report({.code = ErrorCode::InvalidInput, .context = error.what()}));
  }
  if (!app.remaining(true).empty()) {
    return tl::unexpected(unknown_argument(app.remaining(true).front()));
  }
  for (const auto& [name, given] : values) {
    for (const std::string& value : given) {
      line.settings.push_back({.name = name, .value = value, .source = "--" + name});
    }
  }
  line.command = cleanup->parsed()        ? Command::Cleanup
                 : check_config->parsed() ? Command::CheckConfig
                                          : Command::Run;
  return line;
}

Result<std::vector<Setting>> read_settings(const CommandLine& line) {
  if (line.config_file.empty()) {
    return line.settings;
  }
  std::ifstream file(line.config_file);
  std::ostringstream text;
  if (!(text << file.rdbuf())) {
    return fail(ErrorCode::InvalidInput, "cannot read the configuration " + line.config_file);
  }
  return read_config_file(text.str(), line.config_file)
      .map([&](const std::vector<Setting>& in_file) {
        return override_settings(in_file, line.settings);
      });
}

// The HTTP answers: probes and metrics.
HttpResponse answer(const HttpRequest& request, const Agent& agent, const Metrics& metrics) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  if (request.method != "GET" && request.method != "HEAD") {
    return {.status = 405, .headers = {{"Allow", "GET, HEAD"}}, .body = "method not allowed\n"};
  }
  if (path == "/metrics") {
    return {.status = 200,
            .headers = {{"Content-Type", kMetricsContentType}},
            .body = metrics_text(metrics.snapshot())};
  }
  const std::optional<HealthAnswer> probe = answer_probe(path, agent.readiness());
  return {.status = probe ? probe->status : std::uint16_t{404},
          .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
          .body = probe ? probe->body : "not found: try /healthz, /readyz or /metrics\n"};
}

// What `run` and `cleanup` need before they may write.
Result<LockFile> enter(const AgentConfig& config) {
  const Result<void> permitted = require_kernel().and_then(require_net_admin);
  if (!permitted) {
    return tl::unexpected(permitted.error());
  }
  return LockFile::acquire(config.lock_file);
}

Result<KubernetesAccess> kubernetes_access(const AgentConfig& config) {
  if (!config.server.empty()) {
    return KubernetesAccess{.server = config.server};
  }
  if (!config.kubeconfig.empty()) {
    return load_kubeconfig(config.kubeconfig);
  }
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  return in_cluster_access(
      {.host = variable("KUBERNETES_SERVICE_HOST"), .port = variable("KUBERNETES_SERVICE_PORT")});
}

int run(const AgentConfig& config) {
  const Result<LockFile> lock = enter(config);
  if (!lock) {
    return report(lock.error());
  }
  LogSpdlog log(config.log_json ? LogFormat::Json : LogFormat::Text, config.log_level);
  EventLoopAsio loop;
  ClockPosix clock;
  RandomPosix random;
  Metrics metrics;
  declare_agent_metrics(metrics);
  Result<std::unique_ptr<NetlinkLibnl>> netlink = NetlinkLibnl::open(loop.context(), {});
  if (!netlink) {
    return report(netlink.error());
  }
  const Result<std::unique_ptr<Kubernetes>> kubernetes =
      kubernetes_access(config).and_then([&](const KubernetesAccess& access) {
        return make_kubernetes_http(
            loop.context(), clock, access,
            {.user_agent = std::string("vxmesh-agent/") + VXMESH_VERSION, .on_skipped_event = {}});
      });
  if (!kubernetes) {
    return report(kubernetes.error());
  }
  FirewallNft firewall(loop.context());
  Agent agent({.node_name = config.node_name,
               .overlay = config.overlay,
               .reconciler = config.reconciler,
               .watch = {},
               .masquerade = config.masquerade},
              {.netlink = **netlink,
               .kubernetes = **kubernetes,
               .firewall = firewall,
               .loop = loop,
               .clock = clock,
               .random = random,
               .metrics = metrics,
               .log = log});
  const Result<std::unique_ptr<HttpServer>> server = HttpServer::listen(
      loop.context(), {.address = config.listen_address, .port = config.listen_port},
      [&](const HttpRequest& request, const HttpExchangePtr& exchange) {
        exchange->respond(answer(request, agent, metrics));
      });
  if (!server) {
    return report(server.error());
  }
  log.info("started",
           {{"version", VXMESH_VERSION}, {"node", config.node_name}, {"probes", (*server)->url()}});
  boost::asio::signal_set signals(loop.context(), SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code&, int signal) {
    log.info("ending, the data plane stays", {{"signal", std::to_string(signal)}});
    loop.stop();
  });
  agent.start();
  loop.run();
  return kPass;
}

int cleanup(const AgentConfig& config) {
  const Result<LockFile> lock = enter(config);
  if (!lock) {
    return report(lock.error());
  }
  EventLoopAsio loop;
  const Result<std::unique_ptr<NetlinkLibnl>> netlink = NetlinkLibnl::open(loop.context(), {});
  if (!netlink) {
    return report(netlink.error());
  }
  const Result<std::vector<std::string>> removed = cleanup_kernel(**netlink, config.overlay.device);
  if (!removed) {
    return report(removed.error());
  }
  for (const std::string& what : *removed) {
    std::cout << what << "\n";
  }
  FirewallNft firewall(loop.context());
  Result<void> table_removed;
  firewall.remove([&](const Result<void>& result) {
    table_removed = result;
    loop.stop();
  });
  loop.run();
  if (!table_removed) {
    return report(table_removed.error());
  }
  std::cout << "cleanup: nothing of ours is left\n";
  return kPass;
}

int main(int argc, char** argv) {
  const ParsedCommandLine line = parse_command_line(argc, argv);
  if (!line) {
    return line.error();
  }
  const Result<AgentConfig> config = read_settings(*line).and_then(parse_settings);
  if (!config) {
    return report(config.error());
  }
  if (line->command == Command::Cleanup) {
    return cleanup(*config);
  }
  const Result<void> complete = require_complete(*config);
  if (!complete) {
    return report(complete.error());
  }
  if (line->command == Command::CheckConfig) {
    std::cout << "the settings are right\n";
    return kPass;
  }
  return run(*config);
}

}  // namespace
}  // namespace vxmesh

int main(int argc, char** argv) {
  return vxmesh::main(argc, argv);
}
