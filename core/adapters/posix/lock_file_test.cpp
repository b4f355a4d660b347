#include "adapters/posix/lock_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

namespace vxmesh {
namespace {

class LockFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "lock-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(LockFileTest, MakesItsFolderAndWritesThePid) {
  const std::string path = folder_ / "run" / "agent.lock";
  const Result<LockFile> lock = LockFile::acquire(path);
  ASSERT_TRUE(lock) << lock.error().context;
  pid_t pid = 0;
  std::ifstream(path) >> pid;
  EXPECT_EQ(pid, ::getpid());
}

TEST_F(LockFileTest, ASecondHolderIsToldTheFirstOnesPid) {
  const std::string path = folder_ / "agent.lock";
  std::optional<Result<LockFile>> first = LockFile::acquire(path);
  ASSERT_TRUE(first->has_value());
  const Result<LockFile> second = LockFile::acquire(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().context,
            "lock file " + path + " is held by process " + std::to_string(::getpid()));
  first.reset();
  EXPECT_TRUE(LockFile::acquire(path)) << "releasing did not free it";
}

TEST_F(LockFileTest, AStalePidIsReplacedAsAWhole) {
  const std::string path = folder_ / "agent.lock";
  std::ofstream(path) << "99999999999999999\nrest\n";
  const Result<LockFile> lock = LockFile::acquire(path);
  ASSERT_TRUE(lock);
  EXPECT_EQ(std::filesystem::file_size(path), std::to_string(::getpid()).size() + 1);
}

TEST_F(LockFileTest, WhatCannotBeOpenedIsAnErrorThatSaysWhy) {
  const Result<LockFile> lock = LockFile::acquire(folder_ / "no" / "such" / "agent.lock");
  ASSERT_FALSE(lock);
  EXPECT_NE(lock.error().context.find("No such file or directory"), std::string::npos);
}

TEST_F(LockFileTest, ALinkIsNotFollowed) {
  std::filesystem::create_symlink(folder_ / "victim", folder_ / "agent.lock");
  EXPECT_FALSE(LockFile::acquire(folder_ / "agent.lock"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "victim"));
}

}  // namespace
}  // namespace vxmesh
