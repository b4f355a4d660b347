#include "adapters/nftables/nft_script.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

namespace vxmesh {
namespace {

// The only way to say "delete it if it is there" that nft 1.0.6 has, and atomic within one script.
constexpr const char* kRemove =
    "add table inet vxmesh\n"
    "delete table inet vxmesh\n";

// IFNAMSIZ (linux/if.h) less the terminating zero.
constexpr std::size_t kMaxDeviceName = 15;

// The kernel takes nearly any byte in a name; nft has no escape for a quote, and reads a trailing
// asterisk as "any name that starts with".
bool is_literal_device_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxDeviceName &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isgraph(c) != 0 && c != '"' && c != '\\' && c != '*' && c != '/';
         });
}

// The prefixes of one family as an nft set, or nothing if there are none. nft refuses a set whose
// intervals overlap, so what another prefix contains is left out; it follows it in sorted order.
std::optional<std::string> prefix_set(std::vector<IpPrefix> prefixes, Family family) {
  std::sort(prefixes.begin(), prefixes.end());
  std::string elements;
  const IpPrefix* last = nullptr;
  for (const IpPrefix& prefix : prefixes) {
    if (prefix.family() != family || (last != nullptr && last->contains(prefix))) {
      continue;
    }
    elements += (elements.empty() ? "" : ", ") + format(prefix);
    last = &prefix;
  }
  if (elements.empty()) {
    return std::nullopt;
  }
  return "{ " + elements + " }";
}

std::string masquerade_rules(const FirewallPolicy& policy, Family family) {
  const std::optional<std::string> overlay = prefix_set(policy.overlay, family);
  if (!overlay.has_value()) {
    return "";
  }
  const std::string ip = family == Family::V4 ? "ip" : "ip6";
  std::string rules;
  if (const auto own = prefix_set(policy.own_pod_cidrs, family); own.has_value()) {
    rules += "    " + ip + " saddr " + *own + " " + ip + " daddr != " + *overlay +
             " masquerade fully-random\n";
  }
  rules += "    oifname \"" + policy.device + "\" " + ip + " saddr != " + *overlay +
           " masquerade fully-random\n";
  return rules;
}

}  // namespace

Result<std::string> nft_script(const FirewallPolicy& policy) {
  if (!is_literal_device_name(policy.device)) {
    return fail(ErrorCode::InvalidInput,
                "device name \"" + policy.device +
                    "\" cannot be used in a firewall rule: 1 to 15 printable characters without "
                    "quotes, backslash, asterisk and slash are allowed");
  }
  // The mark is KUBE-MARK-MASQ's (kube-proxy's default masquerade bit, 14): what carries it is
  // masqueraded by kube-proxy, and a second time would be double NAT.
  //
  // What leaves for the tunnel's port by another device than the tunnel is an outer packet: with
  // its source port changed it would lose the hash of the inner flow. It also is what a pod would
  // have to send to forge an outer packet, which must not be given a VTEP's address as its source.
  return std::string(kRemove) +
         "table inet vxmesh {\n"
         "  comment \"owned by vxmesh-agent, replaced as a whole\"\n"
         "  chain postrouting {\n"
         "    type nat hook postrouting priority srcnat; policy accept;\n"
         "    meta mark & 0x4000 == 0x4000 return\n"
         "    oifname != \"" +
         policy.device + "\" udp dport " + std::to_string(policy.tunnel_port) + " return\n" +
         masquerade_rules(policy, Family::V4) + masquerade_rules(policy, Family::V6) +
         "  }\n"
         "}\n";
}

std::string nft_remove_script() {
  return kRemove;
}

}  // namespace vxmesh
