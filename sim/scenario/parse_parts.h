// The parts of parse_scenario(), one for each section of a file, and what they share.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "model/ip_address.h"
#include "model/ip_prefix.h"
#include "model/mac_address.h"
#include "sim/scenario/cast.h"
#include "sim/scenario/fields.h"
#include "sim/scenario/scenario.h"
#include "sim/scenario/yaml_value.h"

namespace vxmesh {

// A file on its way to a scenario.
struct Reading {
  Problem problem;
  Cast cast{};
  IpPrefix overlay{};
  std::size_t nodes = 0;  // names of nodes seen so far: the position of the next, less one
  std::size_t pairs = 0;  // of pods, in all expectations
  std::set<std::string> hostile{};  // names of Node objects without a host
};

// --- Values (parse_values.cpp). `what` names the value in errors. ---

[[nodiscard]] Duration read_time(Reading& reading, const YamlValue& value, std::string_view what,
                                 bool signed_time = false);
// A name that is free to be given: is_name(), and not "api", which is an end of the network.
[[nodiscard]] std::string read_new_name(Reading& reading, const std::string& name,
                                        std::uint32_t line, std::string_view what);
// Names of nodes and pods that are in the cast.
[[nodiscard]] std::string read_node_name(Reading& reading, const YamlValue& value);
[[nodiscard]] std::string read_pod_name(Reading& reading, const YamlValue& value);
void check_node_name(Reading& reading, const std::string& name, std::uint32_t line);
void check_pod_name(Reading& reading, const std::string& name, std::uint32_t line);
// "172.20.0.11", or ip(NODE) or addr(POD) as they are at `at`; and so on.
[[nodiscard]] IpAddress read_address(Reading& reading, const YamlValue& value,
                                     std::string_view what, Duration at);
[[nodiscard]] IpPrefix read_pod_cidr(Reading& reading, const YamlValue& value,
                                     std::string_view what, Duration at);
[[nodiscard]] MacAddress read_mac(Reading& reading, const YamlValue& value, std::string_view what,
                                  Duration at);

// --- The cluster (parse_cluster.cpp) ---

[[nodiscard]] ClusterSpec read_cluster(Reading& reading, const YamlValue& value);
// What `ip` and `podCIDR` of a node say; what they do not say is absent.
struct NodeChange {
  std::optional<IpAddress> ip;
  std::optional<IpPrefix> pod_cidr;
};
[[nodiscard]] NodeChange read_node_change(Reading& reading, const YamlValue& value,
                                          const std::string& name, Duration at);
// A node that joins: what `change` leaves out is as it was in its last life, and else a default.
[[nodiscard]] NodeSpec complete_node(Reading& reading, const std::string& name,
                                     const NodeChange& change, Duration at, std::uint32_t line);
// Where a pod runs, and its address if the file says it: "n1", or {node: n1, address: ...}.
struct PodPlace {
  std::string node;
  std::optional<IpAddress> address;
  std::uint64_t count = 0;  // 0: one, without a number behind its name
};
[[nodiscard]] PodPlace read_pod_place(Reading& reading, const YamlValue& value,
                                      const std::string& name, Duration at, bool may_count);
// Gives the pod an address if it has none, and puts it into the cast.
[[nodiscard]] PodSpec complete_pod(Reading& reading, const std::string& name, const PodPlace& place,
                                   Duration at, std::uint32_t line);

// --- Steps (parse_steps.cpp) ---

// A step that is an expectation, and the moment that it counts from.
struct StepExpectation {
  const YamlValue* value;
  Duration from;
};
// Gives the steps in order of time, and the expectations among them to read when all is in the
// cast.
[[nodiscard]] std::vector<Step> read_steps(Reading& reading, const YamlValue& value,
                                           std::vector<StepExpectation>& expectations);

// --- Expectations (parse_expectations.cpp) ---

// `from`: what it counts from, of an expectation in a step. `end`: end_of() the scenario.
void read_expectation(Reading& reading, const YamlValue& value, std::optional<Duration> from,
                      Duration end, std::vector<Expectation>& expectations);

}  // namespace vxmesh
