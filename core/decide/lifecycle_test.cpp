#include "decide/lifecycle.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace vxmesh {
namespace {

Lifecycle synced() {
  Lifecycle lifecycle;
  lifecycle.list_accepted(true);
  lifecycle.dump_completed();
  lifecycle.converged();
  return lifecycle;
}

TEST(Lifecycle, GoesFromAwaitingOverSyncingToSynced) {
  Lifecycle lifecycle;
  EXPECT_EQ(lifecycle.state(), LifecycleState::AwaitingNodes);
  EXPECT_FALSE(lifecycle.may_prune());
  lifecycle.dump_completed();
  EXPECT_EQ(lifecycle.state(), LifecycleState::AwaitingNodes);
  EXPECT_FALSE(lifecycle.may_prune()) << "never before the first complete list";
  lifecycle.list_accepted(true);
  EXPECT_EQ(lifecycle.state(), LifecycleState::Syncing);
  EXPECT_TRUE(lifecycle.may_prune());
  EXPECT_FALSE(lifecycle.ready());
  EXPECT_NE(lifecycle.reason(), "");
  lifecycle.converged();
  EXPECT_EQ(lifecycle.state(), LifecycleState::Synced);
  EXPECT_TRUE(lifecycle.ready());
  EXPECT_EQ(lifecycle.reason(), "");
}

TEST(Lifecycle, NothingIsPrunedBeforeTheFirstDump) {
  Lifecycle lifecycle;
  lifecycle.list_accepted(true);
  EXPECT_EQ(lifecycle.state(), LifecycleState::Syncing);
  EXPECT_FALSE(lifecycle.may_prune());
  lifecycle.converged();
  EXPECT_FALSE(lifecycle.ready()) << "nothing can be known to be right without a dump";
}

TEST(Lifecycle, OwnNodeMustBeComplete) {
  Lifecycle lifecycle;
  lifecycle.list_accepted(false);
  lifecycle.dump_completed();
  EXPECT_EQ(lifecycle.state(), LifecycleState::AwaitingNodes);
  lifecycle.self_changed(true);
  EXPECT_EQ(lifecycle.state(), LifecycleState::Syncing);
  lifecycle.converged();
  lifecycle.self_changed(true);
  EXPECT_EQ(lifecycle.state(), LifecycleState::Syncing) << "what is desired is another thing now";
  lifecycle.converged();
  lifecycle.self_changed(false);
  EXPECT_EQ(lifecycle.state(), LifecycleState::AwaitingNodes);
}

TEST(Lifecycle, FailedOperationsEndSynced) {
  Lifecycle lifecycle = synced();
  lifecycle.diverged("replace route 100.96.2.0/24: ENETDOWN");
  EXPECT_EQ(lifecycle.state(), LifecycleState::Syncing);
  EXPECT_NE(lifecycle.reason().find("ENETDOWN"), std::string::npos);
  EXPECT_TRUE(lifecycle.may_prune());
  lifecycle.converged();
  EXPECT_TRUE(lifecycle.ready());
}

TEST(Lifecycle, DoubtLeadsToDegradedUntilListAndDumpHaveCome) {
  for (const bool list_first : {true, false}) {
    for (const bool doubt_nodes : {true, false}) {
      Lifecycle lifecycle = synced();
      doubt_nodes ? lifecycle.nodes_doubted("no Nodes") : lifecycle.kernel_doubted("EINVAL");
      EXPECT_EQ(lifecycle.state(), LifecycleState::Degraded);
      EXPECT_FALSE(lifecycle.may_prune());
      EXPECT_EQ(lifecycle.reason(), doubt_nodes ? "no Nodes" : "EINVAL");
      lifecycle.converged();
      EXPECT_FALSE(lifecycle.ready());
      list_first ? lifecycle.list_accepted(true) : lifecycle.dump_completed();
      EXPECT_EQ(lifecycle.state(), LifecycleState::Degraded);
      EXPECT_FALSE(lifecycle.may_prune());
      list_first ? lifecycle.dump_completed() : lifecycle.list_accepted(true);
      EXPECT_EQ(lifecycle.state(), LifecycleState::Syncing);
      EXPECT_TRUE(lifecycle.may_prune());
      lifecycle.converged();
      EXPECT_TRUE(lifecycle.ready());
    }
  }
}

TEST(Lifecycle, EveryDoubtStartsOver) {
  Lifecycle lifecycle = synced();
  lifecycle.nodes_doubted("first");
  lifecycle.list_accepted(true);
  lifecycle.kernel_doubted("second");
  lifecycle.dump_completed();
  EXPECT_EQ(lifecycle.state(), LifecycleState::Degraded);
  EXPECT_EQ(lifecycle.reason(), "second");
  lifecycle.list_accepted(true);
  EXPECT_EQ(lifecycle.state(), LifecycleState::Syncing);
}

TEST(Lifecycle, FirstListThatIsNotBelievedLeavesItAwaiting) {
  Lifecycle lifecycle;
  lifecycle.dump_completed();
  lifecycle.nodes_doubted("the API lists no Nodes");
  EXPECT_EQ(lifecycle.state(), LifecycleState::AwaitingNodes);
  EXPECT_NE(lifecycle.reason().find("the API lists no Nodes"), std::string::npos);
  lifecycle.list_accepted(true);
  EXPECT_TRUE(lifecycle.may_prune()) << "the dump was never in doubt";
}

TEST(Lifecycle, StatesHaveNames) {
  EXPECT_EQ(format(LifecycleState::AwaitingNodes), "awaiting-nodes");
  EXPECT_EQ(format(LifecycleState::Syncing), "syncing");
  EXPECT_EQ(format(LifecycleState::Synced), "synced");
  EXPECT_EQ(format(LifecycleState::Degraded), "degraded");
}

// Whatever happens: what was doubted last is followed by a list and a dump before anything is
// pruned, ready is Synced, and a reason is there exactly while it is not.
RC_GTEST_PROP(LifecycleProperty, PrunesOnlyOnBelievedSources, ()) {
  Lifecycle lifecycle;
  bool listed = false;
  bool dumped = false;
  for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
    switch (event) {
      case 0: lifecycle.list_accepted(true), listed = true; break;
      case 1: lifecycle.list_accepted(false), listed = true; break;
      case 2: lifecycle.dump_completed(), dumped = true; break;
      case 3: lifecycle.nodes_doubted("nodes"), listed = false; break;
      case 4: lifecycle.kernel_doubted("kernel"), dumped = false; break;
      case 5: lifecycle.converged(); break;
      case 6: lifecycle.diverged("operations"); break;
      default: lifecycle.self_changed(event == 7);
    }
    RC_ASSERT(!lifecycle.may_prune() || (listed && dumped));
    RC_ASSERT(lifecycle.ready() == (lifecycle.state() == LifecycleState::Synced));
    RC_ASSERT(lifecycle.ready() == lifecycle.reason().empty());
    RC_ASSERT(!lifecycle.ready() || lifecycle.may_prune());
    RC_ASSERT(lifecycle.state() != LifecycleState::Degraded || !lifecycle.may_prune());
  }
}

}  // namespace
}  // namespace vxmesh
