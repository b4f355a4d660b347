// What can be asked of a bundle: it is run again, and looked at.
#include <algorithm>
#include <fstream>
#include <iostream>

#include "base/nearest.h"
#include "sim/cli/bundle.h"
#include "sim/cli/commands.h"
#include "sim/cli/failure_report.h"
#include "sim/cli/isolated_run.h"
#include "sim/cli/output.h"
#include "sim/kernel/packet_codec.h"
#include "sim/kernel/pcapng.h"
#include "sim/scenario/text.h"

namespace vxmesh::cli {
namespace {

// Every frame that a host puts on the underlay, at the world's time: hosts' own clocks differ.
// Times count from `zero`, as in traces; pcapng has none before that.
class Capture final : public ClusterObserver {
 public:
  Capture(std::ostream& out, const Cluster& cluster, MonotonicTime zero)
      : writer_(out), cluster_(cluster), zero_(zero) {}

 private:
  void on_host(const Host& host, bool there) override {
    if (there) {
      interfaces_.emplace(host.number(), writer_.add_interface(host.name()));
    }
  }
  void on_frame(const Host& from, const EthernetFrame& frame) override {
    if (cluster_.now() >= zero_) {
      writer_.write(interfaces_.at(from.number()), MonotonicTime{cluster_.now() - zero_},
                    encode(frame));
    }
  }

  PcapngWriter writer_;
  const Cluster& cluster_;
  MonotonicTime zero_;
  std::map<HostNumber, PcapngWriter::Interface> interfaces_;
};

std::optional<MonotonicTime> moment(const Bundle& bundle, const BundleFlags& flags) {
  return flags.time ? std::optional(bundle.converged + *flags.time) : std::nullopt;
}

// Likewise, of who looks at it: a run that aborts is run until shortly before.
std::optional<MonotonicTime> moment_to_tell(const Bundle& bundle, const BundleFlags& flags) {
  const auto asked = moment(bundle, flags);
  if (!is_crash(bundle.violation)) {
    return asked;
  }
  return std::min(asked.value_or(bundle.violation->time), bundle.violation->time);
}

// The last line of who looks at it: what the run was, and `command` again, a time behind it.
std::string last_line(const Bundle& bundle, const BundleFlags& flags, const std::string& command,
                      const std::string& arguments) {
  return command + ": " + verdict_of(bundle.violation) + " hash=" + format_hash(bundle.hash) +
         " again: vxmesh-sim " + command + " " + shell_word(flags.folder) + arguments +
         (flags.time ? " --at " + format_time(*flags.time) : "") + "\n";
}

// Of a failure: all that is to say of it. Ends in a line break if it is not empty.
std::string report_of(const Bundle& bundle, const Outcome& outcome) {
  if (!outcome.violation) {
    return "";
  }
  Retelling retelling(bundle.run, outcome.end, outcome.converged);
  return failure_report(retelling, *outcome.violation, bundle.run.file);
}

// That it is not as recorded, and what was; empty: it is.
std::string differences(const Bundle& bundle, const Outcome& outcome) {
  const auto text_of = [](const std::optional<Violation>& violation, MonotonicTime begin) {
    return violation ? format_violation(*violation, begin, "") : "passed";
  };
  std::string text;
  const std::string then = text_of(bundle.violation, bundle.converged);
  if (then != text_of(outcome.violation, outcome.converged)) {
    text += "; recorded: " + then;
  }
  if (outcome.hash != bundle.hash) {
    text += "; recorded hash: " + format_hash(bundle.hash);
  }
  if (!text.empty() && bundle.commit != commit()) {
    text += "; recorded by commit " + bundle.commit;
  }
  return text.empty() ? "" : ", not as recorded (" + text.substr(2) + ")";
}

template <typename Rows>
std::string rows_text(const Rows& rows) {
  std::string text;
  for (const auto& row : rows) {
    text += format(row) + "\n";
  }
  return text;
}
template <typename Key, typename Row>
std::string rows_text(const std::map<Key, Row>& rows) {
  std::string text;
  for (const auto& [key, row] : rows) {
    text += format(row) + "\n";
  }
  return text;
}

std::string table_text(const Host& host, const std::string& table) {
  const KernelState state = host.kernel().tables(host.device());
  if (table == "fdb") {
    return rows_text(state.fdb);
  }
  if (table == "neigh") {
    return rows_text(state.neighbours);
  }
  return table == "routes" ? rows_text(state.routes) : rows_text(state.links);
}

Result<const Host*> host_of(Retelling& retelling, const std::string& node) {
  if (const Host* host = retelling.cluster().host(node)) {
    return host;
  }
  std::vector<std::string> names;
  for (const Host* host : retelling.cluster().hosts()) {
    names.push_back(host->name());
  }
  return fail(ErrorCode::InvalidInput, "no node '" + node + "' at that moment" +
                                           did_you_mean(node, names) + "; there are " +
                                           joined(names));
}

// What of the trace is asked for, as text, and the flags that asked.
struct Told {
  std::string text;
  std::string arguments;
};

Result<Told> told_by_capture(const Bundle& bundle, const BundleFlags& flags) {
  if (auto writable = write_file(flags.pcap, ""); !writable) {
    return tl::unexpected(writable.error());
  }
  std::ofstream file(flags.pcap, std::ios::binary);
  Simulation simulation(bundle.run.scenario, bundle.run.options);
  Capture taken(file, simulation.cluster(), bundle.converged);
  simulation.cluster().observe(taken);
  (void)simulation.run(moment_to_tell(bundle, flags));
  if (!file.flush()) {
    return fail(ErrorCode::Environment, flags.pcap + ": cannot be written");
  }
  return Told{.text = "frames of the underlay in " + flags.pcap + "\n",
              .arguments = " --pcap " + shell_word(flags.pcap)};
}

Result<Told> told_by_trace(const Bundle& bundle, const BundleFlags& flags) {
  Retelling retelling(bundle.run, moment_to_tell(bundle, flags), bundle.converged);
  std::string node = flags.node.empty() ? "" : " --node " + shell_word(flags.node);
  if (!flags.table.empty()) {
    return host_of(retelling, flags.node).map([&](const Host* host) {
      return Told{.text = table_text(*host, flags.table), .arguments = node + " " + flags.table};
    });
  }
  if (!flags.node.empty()) {
    if (auto known = retelling.known(flags.node); !known) {
      return tl::unexpected(known.error());
    }
  }
  return Told{.text = trace_text(retelling, flags.node), .arguments = std::move(node)};
}

}  // namespace

int replay(const BundleFlags& flags) {
  const auto bundle = read_bundle(flags.folder);
  if (!bundle) {
    return complain(bundle.error());
  }
  std::cout << describe(bundle->run) << "\n" << std::flush;
  const auto finished =
      execute_isolated(bundle->run.scenario, bundle->run.options, moment(*bundle, flags), true);
  if (!finished) {
    return complain(finished.error());
  }
  std::cout << report_of(*bundle, finished->outcome);
  std::optional<Violation> violation = finished->outcome.violation;
  const std::string different = flags.time ? "" : differences(*bundle, finished->outcome);
  if (!different.empty() && bundle->commit == commit()) {
    violation = Violation{.oracle = "nondeterminism"};  // one commit, one run, two results
  }
  std::cout << "replay: " << verdict_of(violation)
            << (flags.time          ? " until then"
                : different.empty() ? ", as recorded"
                                    : different)
            << " " << figures(*finished) << " again: " << bundle->run.again
            << (flags.time ? " --until " + format_time(*flags.time) : "") << "\n";
  return violation ? kFailed : kPass;
}

int trace(const BundleFlags& flags) {
  const auto bundle = read_bundle(flags.folder);
  if (!bundle) {
    return complain(bundle.error());
  }
  warn_of_other_commit(*bundle);
  const auto told =
      flags.pcap.empty() ? told_by_trace(*bundle, flags) : told_by_capture(*bundle, flags);
  if (!told) {
    return complain(told.error());
  }
  std::cout << describe(bundle->run) << "\n"
            << told->text << last_line(*bundle, flags, "trace", told->arguments);
  return kPass;
}

int explain(const BundleFlags& flags) {
  const auto bundle = read_bundle(flags.folder);
  if (!bundle) {
    return complain(bundle.error());
  }
  warn_of_other_commit(*bundle);
  Retelling retelling(bundle->run, moment_to_tell(*bundle, flags), bundle->converged);
  const auto report = walk_report(retelling, flags.from, flags.to);
  if (!report) {
    return complain(report.error());
  }
  std::cout << describe(bundle->run) << "\n"
            << *report
            << last_line(*bundle, flags, "explain",
                         " " + shell_word(flags.from) + " " + shell_word(flags.to));
  return kPass;
}

int export_scenario(const BundleFlags& flags) {
  const auto bundle = read_bundle(flags.folder);
  if (!bundle) {
    return complain(bundle.error());
  }
  if (const auto written = write_file(flags.scenario, bundle->run.yaml); !written) {
    return complain(written.error());
  }
  std::cout << "export: again: vxmesh-sim run " << shell_word(flags.scenario)
            << file_flags(bundle->run.options) << "\n";
  return kPass;
}

}  // namespace vxmesh::cli
