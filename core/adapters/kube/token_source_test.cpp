#include "adapters/kube/token_source.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace vxmesh {
namespace {

using namespace std::chrono_literals;

class HandClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime monotonic() const override { return now; }
  [[nodiscard]] WallTime wall() const override { return {}; }

  MonotonicTime now;
};

class TokenFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "token.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path() const { return (directory_ / "token").string(); }
  void write(const std::string& text) { std::ofstream(path()) << text; }
  std::string get() { return tokens_.get().value_or("error"); }

  HandClock clock_;
  std::filesystem::path directory_;
  TokenSource tokens_{clock_, ""};
};

TEST_F(TokenFile, WithoutAFileThereIsNoToken) {
  EXPECT_EQ(get(), "");
}

TEST_F(TokenFile, IsReadAgainAfterAMinute) {
  tokens_ = TokenSource(clock_, path());
  write("  first\n");
  EXPECT_EQ(get(), "first");
  write("second");
  clock_.now = clock_.now + 59s;
  EXPECT_EQ(get(), "first");
  clock_.now = clock_.now + 1s;
  EXPECT_EQ(get(), "second");
}

TEST_F(TokenFile, IsReadAtOnceAfterARefusal) {
  tokens_ = TokenSource(clock_, path());
  write("first");
  EXPECT_EQ(get(), "first");
  write("second");
  tokens_.refuse();
  EXPECT_EQ(get(), "second");
}

TEST_F(TokenFile, WhileTheFileIsUnusableTheOldTokenIsGoodUntilItIsRefused) {
  tokens_ = TokenSource(clock_, path());
  EXPECT_EQ(get(), "error");
  write("first");
  EXPECT_EQ(get(), "first");
  write(" \n");
  clock_.now = clock_.now + 60s;
  EXPECT_EQ(get(), "first");
  tokens_.refuse();
  EXPECT_EQ(get(), "error");
}

TEST_F(TokenFile, ATokenThatWouldEndTheHeaderLineIsNone) {
  tokens_ = TokenSource(clock_, path());
  write("first\r\nX-Other: header");
  EXPECT_EQ(get(), "error");
}

}  // namespace
}  // namespace vxmesh
