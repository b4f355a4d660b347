// Links, their parameters, and addresses.
#include <cerrno>

#include "integration/contract/netlink_contract.h"

namespace vxmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LinkContract : public NetlinkContract {};

TEST_F(LinkContract, AVxlanIsCreatedAsAskedInOneMessage) {
  const IfIndex device = create_vxlan();
  Link expected = vxlan();
  expected.index = device;
  EXPECT_EQ(netlink().get_link("vxlan1").value(), expected);
  EXPECT_EQ(link(device), expected) << "the dump differs from the lookup";
}

TEST_F(LinkContract, CreationCoversEveryField) {
  Link wanted = vxlan();
  wanted.no_arp = true;
  wanted.vxlan->learning = true;
  wanted.vxlan->local.reset();
  must({CreateVxlan{wanted}});
  Link found = netlink().get_link("vxlan1").value().value();
  found.index = {};
  EXPECT_EQ(found, wanted);
}

TEST_F(LinkContract, AVxlanOverIpv6) {
  Link wanted = vxlan();
  wanted.vxlan->local = ip("fd00::11");
  wanted.mtu = 1430;
  must({CreateVxlan{wanted}});
  EXPECT_EQ(netlink().get_link("vxlan1").value().value().vxlan, wanted.vxlan);
}

TEST_F(LinkContract, CreationIsRefusedWithTheKernelsReason) {
  create_vxlan();
  EXPECT_EQ(apply(CreateVxlan{vxlan()}), refused(EEXIST));
  Link other = vxlan();
  other.name = "vxlan2";
  EXPECT_EQ(apply(CreateVxlan{other}),
            refused(EEXIST, "A VXLAN device with the specified VNI already exists"));
  other.vxlan->vni = Vni{2};
  other.mac = mac("01:00:5e:00:00:01");
  EXPECT_EQ(apply(CreateVxlan{other}),
            refused(EADDRNOTAVAIL, "Provided Ethernet address is not unicast"));
  other.mac = vxlan().mac;
  other.name = "a-name-of-16-byte";
  const OpResult too_long = apply(CreateVxlan{other});
  EXPECT_FALSE(succeeded(too_long));
  other.name = std::string(5000, 'n');
  EXPECT_EQ(apply(CreateVxlan{other}), too_long);
  EXPECT_EQ(dump(Table::Links).size(), 2U);
}

TEST_F(LinkContract, AbsentLinksAreNoError) {
  EXPECT_EQ(netlink().get_link("vxlan1").value(), std::nullopt);
}

TEST_F(LinkContract, AChangeChangesWhatItNamesAndNothingElse) {
  const IfIndex device = create_overlay_device();
  const FdbEntry entry{.device = device,
                       .mac = mac("00:53:64:60:02:00"),
                       .dst = ip("172.20.0.12"),
                       .state = kNudPermanent,
                       .flags = kNtfSelf};
  const Neighbour neighbour{.device = device,
                            .address = ip("100.96.2.5"),
                            .lladdr = entry.mac,
                            .state = kNudNoarp,
                            .flags = kNtfExtLearned,
                            .protocol = kOwnProtocol};
  must({ReplaceFdb{entry}, ReplaceNeighbour{neighbour}});
  Link expected = link(device);
  ASSERT_TRUE(expected.up);

  must({ChangeLink{.device = device, .mtu = 1400}});
  expected.mtu = 1400;
  EXPECT_EQ(link(device), expected);
  must({ChangeLink{.device = device, .vxlan_local = ip("172.20.0.99")}});
  expected.vxlan->local = ip("172.20.0.99");
  EXPECT_EQ(link(device), expected);
  must({ChangeLink{.device = device, .vxlan_learning = true}});
  expected.vxlan->learning = true;
  EXPECT_EQ(link(device), expected);
  must({ChangeLink{.device = device, .vxlan_learning = false}});
  expected.vxlan->learning = false;
  EXPECT_EQ(link(device), expected);
  EXPECT_THAT(fdb(device), ElementsAre(entry));
  EXPECT_THAT(neighbours(device), ElementsAre(neighbour));

  must({ChangeLink{.device = device, .up = false}});
  expected.up = false;
  EXPECT_EQ(link(device), expected);
  EXPECT_THAT(fdb(device), ElementsAre(entry)) << "down takes static FDB entries";
  EXPECT_THAT(neighbours(device), IsEmpty()) << "down keeps neighbours";
}

TEST_F(LinkContract, ChangesAreRefusedWithTheKernelsReason) {
  const IfIndex device = create_vxlan();
  EXPECT_EQ(apply(ChangeLink{.device = kNoSuchDevice, .up = true}), refused(ENODEV));
  EXPECT_EQ(apply(ChangeLink{.device = device, .mtu = 100000}),
            refused(EINVAL, "mtu greater than device maximum"));
  EXPECT_EQ(apply(ChangeLink{.device = device, .vxlan_local = ip("fd00::11")}),
            refused(EOPNOTSUPP, "New local address family does not match old"));
}

TEST_F(LinkContract, ADeletedLinkIsGoneAndTheSecondDeleteSaysSo) {
  const IfIndex device = create_vxlan();
  must({DeleteLink{device}});
  EXPECT_EQ(netlink().get_link("vxlan1").value(), std::nullopt);
  EXPECT_EQ(apply(DeleteLink{device}), refused(ENODEV));
}

TEST_F(LinkContract, ReversePathFilterIsSetAndRead) {
  const IfIndex device = create_vxlan();
  for (const std::uint8_t value : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{0}}) {
    must({ChangeLink{.device = device, .rp_filter = value}});
    EXPECT_EQ(netlink().get_rp_filter(device).value(), value);
  }
  EXPECT_FALSE(netlink().get_rp_filter(kNoSuchDevice));
}

TEST_F(LinkContract, NeighbourParametersAreTheDevicesOwn) {
  const IfIndex device = create_vxlan();
  for (const Family family : {Family::V4, Family::V6}) {
    const NeighbourParameters before =
        netlink().get_neighbour_parameters(kLoopback, family).value();
    const NeighbourParameters wanted{
        .app_solicit = 5, .ucast_solicit = 7, .mcast_solicit = 11, .mcast_resolicit = 13};
    must({SetNeighbourParameters{.device = device, .family = family, .parameters = wanted}});
    EXPECT_EQ(netlink().get_neighbour_parameters(device, family).value(), wanted);
    EXPECT_EQ(netlink().get_neighbour_parameters(kLoopback, family).value(), before);
    EXPECT_EQ(apply(SetNeighbourParameters{.device = kNoSuchDevice, .family = family}),
              refused(ENOENT));
    EXPECT_FALSE(netlink().get_neighbour_parameters(kNoSuchDevice, family));
  }
}

class AddressContract : public NetlinkContract {};

TEST_F(AddressContract, TheBaseAddressBringsNoRouteOfItsMask) {
  const IfIndex device = create_vxlan();
  must({ChangeLink{.device = device, .up = true}});
  const IfAddress address{
      .device = device, .address = ip("100.96.1.0"), .length = 12, .no_prefix_route = true};
  must({ReplaceAddress{address}, ReplaceAddress{address}});
  EXPECT_THAT(addresses(device), ElementsAre(address));
  EXPECT_THAT(routes_to(cidr("100.96.0.0/12")), IsEmpty());
}

TEST_F(AddressContract, WithoutNoPrefixRouteTheKernelAddsOne) {
  const IfIndex device = create_vxlan();
  must({ChangeLink{.device = device, .up = true},
        ReplaceAddress{{.device = device, .address = ip("100.96.1.0"), .length = 12}}});
  EXPECT_THAT(routes_to(cidr("100.96.0.0/12")),
              ElementsAre(Route{.destination = cidr("100.96.0.0/12"),
                                .scope = 253,
                                .protocol = kRouteProtocolKernel,
                                .device = device,
                                .preferred_source = ip("100.96.1.0")}));
}

TEST_F(AddressContract, Ipv6Addresses) {
  const IfIndex device = create_vxlan();
  must({ChangeLink{.device = device, .up = true}});
  const IfAddress address{
      .device = device, .address = ip("fd60:0:0:1::"), .length = 128, .no_prefix_route = true};
  must({ReplaceAddress{address}});
  EXPECT_THAT(addresses(device), ElementsAre(address));
}

TEST_F(AddressContract, DeletesAreExactAndAbsenceIsSaid) {
  const IfIndex device = create_vxlan();
  const IfAddress address{
      .device = device, .address = ip("100.96.1.0"), .length = 12, .no_prefix_route = true};
  IfAddress narrower = address;
  narrower.length = 32;
  must({ReplaceAddress{address}});
  EXPECT_EQ(apply(DeleteAddress{narrower}), refused(EADDRNOTAVAIL, "ipv4: Address not found"));
  EXPECT_THAT(addresses(device), ElementsAre(address));
  must({DeleteAddress{address}});
  EXPECT_THAT(addresses(device), IsEmpty());
  EXPECT_EQ(apply(DeleteAddress{address}), refused(EADDRNOTAVAIL, "ipv4: Address not found"));
  IfAddress v6 = address;
  v6.address = ip("fd60::1");
  v6.length = 128;
  EXPECT_EQ(apply(DeleteAddress{v6}), refused(EADDRNOTAVAIL, "ipv6: address not found"));
  IfAddress nowhere = address;
  nowhere.device = kNoSuchDevice;
  EXPECT_EQ(apply(ReplaceAddress{nowhere}), refused(ENODEV, "ipv4: Device not found"));
}

}  // namespace
}  // namespace vxmesh
