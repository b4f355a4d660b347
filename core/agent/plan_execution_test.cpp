#include "agent/plan_execution.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace vxmesh {
namespace {

const std::vector<KernelOp> kDeletes = {DeleteLink{}, DeleteAddress{}, DeleteRoute{}, DeleteFdb{},
                                        DeleteNeighbour{}};
const std::vector<KernelOp> kOthers = {CreateVxlan{},     ChangeLink{},   SetNeighbourParameters{},
                                       ReplaceAddress{},  ReplaceRoute{}, ReplaceFdb{},
                                       ReplaceNeighbour{}};

TEST(PlanExecutionTest, WhatIsGoneAlreadyIsDeleted) {
  for (const int absent : {ENOENT, ESRCH, EADDRNOTAVAIL, ENODEV}) {
    for (const KernelOp& op : kDeletes) {
      EXPECT_TRUE(achieved(op, OpDone{.error_number = absent})) << format(op) << absent;
    }
    for (const KernelOp& op : kOthers) {
      EXPECT_FALSE(achieved(op, OpDone{.error_number = absent})) << format(op) << absent;
    }
  }
}

TEST(PlanExecutionTest, OnlyWhatTheKernelHasAnsweredIsAchieved) {
  for (const std::vector<KernelOp>& ops : {kDeletes, kOthers}) {
    for (const KernelOp& op : ops) {
      EXPECT_TRUE(achieved(op, OpDone{})) << format(op);
      EXPECT_FALSE(achieved(op, OpDone{.error_number = EPERM})) << format(op);
      EXPECT_FALSE(achieved(op, OpUnknown{})) << format(op);
    }
  }
}

TEST(PlanExecutionTest, AFailureIsToldInTheKernelsWords) {
  const KernelOp op = DeleteFdb{};
  EXPECT_EQ(describe_failure(op, OpDone{.error_number = EINVAL, .extended_ack = "No such thing"}),
            format(op) + ": EINVAL No such thing");
  EXPECT_EQ(describe_failure(op, OpDone{.error_number = EPERM}), format(op) + ": EPERM");
  EXPECT_EQ(describe_failure(op, OpDone{.error_number = 4000}), format(op) + ": 4000");
  EXPECT_EQ(describe_failure(op, OpUnknown{}), format(op) + ": the kernel's answer was lost");
}

}  // namespace
}  // namespace vxmesh
