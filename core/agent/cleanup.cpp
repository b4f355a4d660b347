#include "agent/cleanup.h"

#include <utility>
#include <variant>

#include "agent/plan_execution.h"
#include "decide/plan.h"

namespace vxmesh {
namespace {

// All rows of one table; starts again for as long as the kernel says that the table changed
// meanwhile.
Result<std::vector<KernelReport>> read_table(Netlink& netlink, Table table) {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::unique_ptr<DumpCursor> cursor = netlink.dump({.table = table, .device = {}});
    std::vector<KernelReport> rows;
    Result<DumpCursor::Step> step = cursor->next();
    for (; step; step = cursor->next()) {
      rows.insert(rows.end(), step->rows.begin(), step->rows.end());
      if (step->finished) {
        return rows;
      }
    }
    if (step.error().code != ErrorCode::Interrupted) {
      return tl::unexpected(step.error());
    }
  }
  return fail(ErrorCode::Interrupted,
              "the kernel's " + format(table) + " changed under every attempt to read them");
}

Result<KernelState> read_state(Netlink& netlink) {
  KernelState state;
  for (const Table table : {Table::Links, Table::Routes}) {
    const Result<std::vector<KernelReport>> rows = read_table(netlink, table);
    if (!rows) {
      return tl::unexpected(rows.error());
    }
    for (const KernelReport& report : *rows) {
      if (const Link* link = std::get_if<Link>(&report.object)) {
        state.links.emplace(link->index, *link);
      } else if (const Route* route = std::get_if<Route>(&report.object)) {
        state.routes.insert(*route);
      }
    }
  }
  return state;
}

}  // namespace

Result<std::vector<std::string>> cleanup_kernel(Netlink& netlink, const std::string& device_name) {
  const Result<KernelState> state = read_state(netlink);
  if (!state) {
    return tl::unexpected(state.error());
  }
  std::vector<std::string> removed;
  std::string failures;
  PlanExecution execution(
      netlink, plan_cleanup(*state, device_name), device_name,
      [&](const PlanExecution::Outcome& outcome) {
        if (achieved(outcome.planned.op, outcome.result)) {
          removed.push_back(format(outcome.planned.op));
        } else {
          failures +=
              (failures.empty() ? "" : "; ") + describe_failure(outcome.planned.op, outcome.result);
        }
      },
      [](const Link&) {});
  while (!execution.step()) {
  }
  if (!failures.empty()) {
    return fail(ErrorCode::Environment, failures);
  }
  return removed;
}

}  // namespace vxmesh
