#include "adapters/nftables/nft_script.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vxmesh {
namespace {

std::vector<IpPrefix> prefixes(const std::vector<std::string>& texts) {
  std::vector<IpPrefix> parsed;
  for (const std::string& text : texts) {
    parsed.push_back(IpPrefix::parse(text).value());
  }
  return parsed;
}

// The rules of the chain, without what every script starts and ends with.
std::string rules(const FirewallPolicy& policy) {
  const std::string script = nft_script(policy).value();
  const std::string before = "policy accept;\n";
  const std::string after = "  }\n}\n";
  const std::size_t begin = script.find(before) + before.size();
  EXPECT_TRUE(script.ends_with(after));
  return script.substr(begin, script.size() - after.size() - begin);
}

TEST(NftScript, ReplacesOurTableAndNamesNoOther) {
  const FirewallPolicy policy{.device = "vxlan1",
                              .tunnel_port = 4789,
                              .overlay = prefixes({"100.96.0.0/12"}),
                              .own_pod_cidrs = prefixes({"100.96.2.0/24"})};
  EXPECT_EQ(nft_script(policy).value(),
            "add table inet vxmesh\n"
            "delete table inet vxmesh\n"
            "table inet vxmesh {\n"
            "  comment \"owned by vxmesh-agent, replaced as a whole\"\n"
            "  chain postrouting {\n"
            "    type nat hook postrouting priority srcnat; policy accept;\n"
            "    meta mark & 0x4000 == 0x4000 return\n"
            "    oifname != \"vxlan1\" udp dport 4789 return\n"
            "    ip saddr { 100.96.2.0/24 } ip daddr != { 100.96.0.0/12 } masquerade fully-random\n"
            "    oifname \"vxlan1\" ip saddr != { 100.96.0.0/12 } masquerade fully-random\n"
            "  }\n"
            "}\n");
}

TEST(NftScript, GivesEachFamilyItsOwnRules) {
  const FirewallPolicy policy{.device = "vx0",
                              .tunnel_port = 8472,
                              .overlay = prefixes({"fd00:96::/32", "100.96.0.0/12"}),
                              .own_pod_cidrs = prefixes({"100.96.2.0/24", "fd00:96:2::/64"})};
  EXPECT_EQ(
      rules(policy),
      "    meta mark & 0x4000 == 0x4000 return\n"
      "    oifname != \"vx0\" udp dport 8472 return\n"
      "    ip saddr { 100.96.2.0/24 } ip daddr != { 100.96.0.0/12 } masquerade fully-random\n"
      "    oifname \"vx0\" ip saddr != { 100.96.0.0/12 } masquerade fully-random\n"
      "    ip6 saddr { fd00:96:2::/64 } ip6 daddr != { fd00:96::/32 } masquerade fully-random\n"
      "    oifname \"vx0\" ip6 saddr != { fd00:96::/32 } masquerade fully-random\n");
}

TEST(NftScript, LeavesOutPrefixesThatAnotherContains) {
  const FirewallPolicy policy{
      .device = "vxlan1",
      .tunnel_port = 4789,
      .overlay = prefixes({"100.100.0.0/16", "10.8.0.0/16", "100.96.0.0/12", "100.96.0.0/12"}),
      .own_pod_cidrs = {}};
  EXPECT_EQ(rules(policy),
            "    meta mark & 0x4000 == 0x4000 return\n"
            "    oifname != \"vxlan1\" udp dport 4789 return\n"
            "    oifname \"vxlan1\" ip saddr != { 10.8.0.0/16, 100.96.0.0/12 } "
            "masquerade fully-random\n");
}

TEST(NftScript, MasqueradesNothingOfAFamilyWithoutAnOverlay) {
  const FirewallPolicy policy{.device = "vxlan1",
                              .tunnel_port = 4789,
                              .overlay = prefixes({"100.96.0.0/12"}),
                              .own_pod_cidrs = prefixes({"fd00:96:2::/64"})};
  EXPECT_EQ(rules(policy).find("ip6"), std::string::npos);
}

TEST(NftScript, RefusesDeviceNamesThatNftWouldReadOtherwise) {
  for (const char* name : {"", "vx*", "a\"b", "a\\", "a b", "a\nb", "a/b", "sixteen-letters-"}) {
    FirewallPolicy policy{.device = name, .tunnel_port = 4789, .overlay = {}, .own_pod_cidrs = {}};
    const Result<std::string> script = nft_script(policy);
    ASSERT_FALSE(script.has_value()) << name;
    EXPECT_EQ(script.error().code, ErrorCode::InvalidInput);
  }
}

}  // namespace
}  // namespace vxmesh
