// Rows of the kernel's tables as dumps, answers and notifications carry them: what the agent reads
// of them (model/), and what else there is to compare.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/time.h"
#include "model/kernel_state.h"

namespace vxmesh {

struct LinkRecord {
  Link link;
  std::optional<IfIndex> lower;  // IFLA_LINK: the other end of a veth
  // IFLA_VXLAN_*
  std::uint8_t ttl = 0;
  std::uint8_t tos = 0;
  std::uint32_t ageing = 0;
  std::uint32_t limit = 0;
  std::optional<IpAddress> remote;
  std::optional<IfIndex> underlay;

  friend auto operator<=>(const LinkRecord&, const LinkRecord&) = default;
};

// IFA_F_*, linux/if_addr.h.
enum AddressFlag : std::uint32_t {
  kAddressSecondary = 0x01,
  kAddressNoDad = 0x02,
  kAddressTentative = 0x40,
  kAddressPermanent = 0x80,
  kAddressNoPrefixRoute = 0x200,
};

struct AddressRecord {
  IfAddress address;
  std::uint32_t flags = 0;  // IFA_FLAGS
  std::string label;        // IPv4 only
  std::optional<IpAddress> broadcast;
  std::uint32_t metric = 0;   // IFA_RT_PRIORITY
  std::uint8_t protocol = 0;  // IFA_PROTO

  friend auto operator<=>(const AddressRecord&, const AddressRecord&) = default;
};

// rtm_flags, linux/rtnetlink.h.
enum NexthopFlag : std::uint32_t {
  kNexthopDead = 1,
  kNexthopOnlink = 4,
  kNexthopLinkDown = 16,
};

struct RouteRecord {
  Route route;
  std::uint8_t tos = 0;
  std::uint32_t nexthop_flags = 0;  // NexthopFlag
  // The gateway was an address of ours when the route was made, so packets pass it over
  // (fib_nh_scope is not RT_SCOPE_LINK). Linux shows this nowhere: false in dumps and
  // notifications.
  bool gateway_is_ours = false;
  // Made by the kernel for an IPv6 address of ours, local or anycast, with which it goes (ifp->rt,
  // aca_rt). Shown nowhere either.
  bool is_of_address = false;

  friend auto operator<=>(const RouteRecord&, const RouteRecord&) = default;
};

struct FdbRecord {
  FdbEntry entry;
  // Only where they differ from the device's own (vxlan_fdb_info).
  std::optional<std::uint16_t> port;
  std::optional<std::uint32_t> vni;
  std::optional<IfIndex> underlay;

  friend auto operator<=>(const FdbRecord&, const FdbRecord&) = default;
};

struct NeighbourRecord {
  Neighbour neighbour;
  std::uint8_t type = 1;        // ndm_type: RTN_UNICAST and so on
  std::uint32_t ext_flags = 0;  // NDA_FLAGS_EXT
  std::uint32_t probes = 0;     // NDA_PROBES

  friend auto operator<=>(const NeighbourRecord&, const NeighbourRecord&) = default;
};

using Record = std::variant<LinkRecord, AddressRecord, RouteRecord, FdbRecord, NeighbourRecord>;

[[nodiscard]] std::string format(const Record& record);

// nlmsg_pid: the socket that a request came from; 0 is the kernel itself.
using PortId = Strong<struct PortIdTag, std::uint32_t>;

// One message to a multicast group.
struct Notification {
  enum class Kind : std::uint8_t {
    New,
    Deleted,
    Miss,  // RTM_GETNEIGH of a neighbour: the kernel asks who it is
  };
  Kind kind = Kind::New;
  Record record;
  PortId sender;            // nlmsg_pid
  bool answers = false;     // nlmsg_seq is that of the request
  std::uint16_t flags = 0;  // nlmsg_flags
  Duration since_update{};  // of neighbours, NDA_CACHEINFO ndm_updated

  friend bool operator==(const Notification&, const Notification&) = default;
};

[[nodiscard]] std::string format(const Notification& notification);

}  // namespace vxmesh
