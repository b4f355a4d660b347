#include "agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vxmesh {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<Setting> flags(std::initializer_list<std::pair<std::string, std::string>> values) {
  std::vector<Setting> settings;
  for (const auto& [name, value] : values) {
    settings.push_back({.name = name, .value = value, .source = "--" + name});
  }
  return settings;
}

std::string error_of(std::initializer_list<std::pair<std::string, std::string>> values) {
  const Result<AgentConfig> config = parse_settings(flags(values));
  return config ? "no error" : config.error().context;
}

TEST(ConfigTest, EverySettingReachesItsField) {
  const Result<AgentConfig> config = parse_settings(flags({{"node-name", "n1"},
                                                           {"overlay", "100.96.0.0/12"},
                                                           {"overlay", "fd00:96::/48"},
                                                           {"server", "http://127.0.0.1:1"},
                                                           {"device", "vx0"},
                                                           {"vni", "16777215"},
                                                           {"port", "8472"},
                                                           {"mtu", "1400"},
                                                           {"max-neighbours", "100"},
                                                           {"resync-interval", "5"},
                                                           {"masquerade", "false"},
                                                           {"listen", "[::1]:0"},
                                                           {"lock-file", "/run/x"},
                                                           {"log-format", "json"},
                                                           {"log-level", "debug"}}));
  ASSERT_TRUE(config) << config.error().context;
  EXPECT_EQ(config->node_name, "n1");
  EXPECT_EQ(config->overlay.cidrs,
            (std::vector{*IpPrefix::parse("100.96.0.0/12"), *IpPrefix::parse("fd00:96::/48")}));
  EXPECT_EQ(config->server, "http://127.0.0.1:1");
  EXPECT_EQ(config->overlay.device, "vx0");
  EXPECT_EQ(config->overlay.vni, Vni{16777215});
  EXPECT_EQ(config->overlay.port, 8472);
  EXPECT_EQ(config->overlay.mtu, 1400U);
  EXPECT_EQ(config->reconciler.max_neighbours, 100U);
  EXPECT_EQ(config->reconciler.resync_interval, std::chrono::seconds{5});
  EXPECT_FALSE(config->masquerade);
  EXPECT_EQ(config->listen_address, "::1");
  EXPECT_EQ(config->listen_port, 0);
  EXPECT_EQ(config->lock_file, "/run/x");
  EXPECT_TRUE(config->log_json);
  EXPECT_EQ(config->log_level, LogLevel::Debug);
  EXPECT_TRUE(require_complete(*config));
}

TEST(ConfigTest, ErrorsNameTheSourceAndWhatWouldBeRight) {
  EXPECT_THAT(error_of({{"vni", "16777216"}}),
              AllOf(HasSubstr("--vni"), HasSubstr("from 0 to 16777215")));
  EXPECT_THAT(error_of({{"port", "-1"}}), HasSubstr("from 1 to 65535"));
  EXPECT_THAT(error_of({{"port", "4789x"}}), HasSubstr("'4789x'"));
  EXPECT_THAT(error_of({{"overlay", "100.96.2.1/12"}}), HasSubstr("100.96.0.0/12"));
  EXPECT_THAT(error_of({{"overlay", "10.0.0.0/8"}, {"overlay", "10.1.0.0/16"}}),
              HasSubstr("10.1.0.0/16 overlaps 10.0.0.0/8"));
  EXPECT_THAT(error_of({{"overlay", "fd00::/112"}}), HasSubstr("no room"));
  EXPECT_THAT(error_of({{"device", "a/b"}}), HasSubstr("not a device name"));
  EXPECT_THAT(error_of({{"listen", "localhost:80"}}), HasSubstr("127.0.0.1:9809"));
  EXPECT_THAT(error_of({{"log-level", "loud"}}), HasSubstr("debug, info, warning, error"));
  EXPECT_THAT(error_of({{"masquerade", "yes"}}), HasSubstr("neither true nor false"));
  EXPECT_THAT(error_of({{"vni", "1"}, {"vni", "2"}}), HasSubstr("given twice"));
}

TEST(ConfigTest, AnUnknownNameGetsTheNearest) {
  EXPECT_THAT(error_of({{"max-neighbors", "5"}}),
              AllOf(HasSubstr("'max-neighbors'"), HasSubstr("'max-neighbours'")));
}

TEST(ConfigTest, WhatRunCannotDoWithoutIsSaid) {
  AgentConfig config;
  EXPECT_THAT(require_complete(config).error().context, HasSubstr("--node-name"));
  config.node_name = "n1";
  EXPECT_THAT(require_complete(config).error().context, HasSubstr("--overlay"));
  config.overlay.cidrs = {*IpPrefix::parse("100.96.0.0/12")};
  EXPECT_TRUE(require_complete(config));
  config.server = "http://127.0.0.1:1";
  config.kubeconfig = "/k";
  EXPECT_THAT(require_complete(config).error().context, HasSubstr("exclude each other"));
}

TEST(ConfigFileTest, NamesValuesListsAndLines) {
  const auto settings =
      read_config_file("vni: 7\noverlay:\n  - 10.0.0.0/8\n  - fd00::/48\n", "a.yaml");
  ASSERT_TRUE(settings) << settings.error().context;
  ASSERT_EQ(settings->size(), 3U);
  EXPECT_EQ((*settings)[0].value, "7");
  EXPECT_EQ((*settings)[0].source, "a.yaml:1 vni");
  EXPECT_EQ((*settings)[2].value, "fd00::/48");
  EXPECT_EQ((*settings)[2].source, "a.yaml:4 overlay");
  EXPECT_TRUE(read_config_file("", "a.yaml")->empty());
}

TEST(ConfigFileTest, MalformedYamlNamesFileLineAndReason) {
  EXPECT_THAT(read_config_file("vni: 7\nport: [1\n", "a.yaml").error().context,
              HasSubstr("a.yaml:"));
  EXPECT_THAT(read_config_file("- vni\n", "a.yaml").error().context, HasSubstr("a.yaml:1"));
  EXPECT_THAT(read_config_file("x: 1\nvni: {a: b}\n", "a.yaml").error().context,
              HasSubstr("a.yaml:2: vni must be a value or a list"));
}

TEST(ConfigFileTest, TheCommandLineWins) {
  const auto file = read_config_file("vni: 7\nport: 1\noverlay: [10.0.0.0/8]\n", "a.yaml");
  const std::vector<Setting> merged =
      override_settings(*file, flags({{"vni", "9"}, {"overlay", "100.96.0.0/12"}}));
  const Result<AgentConfig> config = parse_settings(merged);
  ASSERT_TRUE(config) << config.error().context;
  EXPECT_EQ(config->overlay.vni, Vni{9});
  EXPECT_EQ(config->overlay.port, 1);
  EXPECT_EQ(config->overlay.cidrs, std::vector{*IpPrefix::parse("100.96.0.0/12")});
}

}  // namespace
}  // namespace vxmesh
