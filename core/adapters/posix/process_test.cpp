#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <set>

#include "adapters/posix/capability.h"
#include "adapters/posix/random_posix.h"

namespace vxmesh {
namespace {

TEST(RandomPosix, NumbersDiffer) {
  RandomPosix random;
  std::set<std::uint64_t> numbers;
  for (int i = 0; i < 100; ++i) {
    numbers.insert(random.next());
  }
  EXPECT_EQ(numbers.size(), 100U);
}

// Exit status of a child without effective capabilities, though it may still be allowed to have
// them: 0 if the check said what it should.
int check_without_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) {
    return 1;
  }
  for (__user_cap_data_struct& set : sets) {
    set.effective = 0;
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) {
    return 1;
  }
  const Result<void> allowed = require_net_admin();
  const bool refused = !allowed && allowed.error().code == ErrorCode::NoPermission;
  const bool names_it =
      !allowed && allowed.error().context.find("CAP_NET_ADMIN") != std::string::npos;
  return refused && names_it ? 0 : 2;
}

TEST(Capability, IsMissedByNameWhenItIsNotEffective) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::_exit(check_without_capabilities());
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Capability, RootHasIt) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "not root";
  }
  const Result<void> allowed = require_net_admin();
  EXPECT_TRUE(allowed) << allowed.error().context;
}

TEST(KernelRelease, TooOldIsRefusedByName) {
  for (const char* old : {"5.14.21", "4.19.0-26-amd64", "5.9"}) {
    const Result<void> allowed = require_kernel_release(old);
    ASSERT_FALSE(allowed) << old;
    EXPECT_NE(allowed.error().context.find(old), std::string::npos);
  }
  for (const char* fit : {"5.15.0", "6.1.0-18-amd64", "6.18.44", "10.0", "odd"}) {
    EXPECT_TRUE(require_kernel_release(fit)) << fit;
  }
}

}  // namespace
}  // namespace vxmesh
