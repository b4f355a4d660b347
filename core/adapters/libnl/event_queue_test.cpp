#include "adapters/libnl/event_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include "adapters/libnl/encode.h"
#include "adapters/libnl/test_messages.h"

namespace vxmesh {
namespace {

MessageBytes miss_message() {
  MessageWriter writer(RTM_GETNEIGH, 0);
  ndmsg header{};
  header.ndm_family = AF_INET;
  header.ndm_ifindex = 7;
  header.ndm_state = NUD_INCOMPLETE;
  writer.put_header(header);
  writer.put_address(NDA_DST, ip("100.96.2.5"));
  return writer.finish(0);
}

MessageBytes change_message(std::uint32_t index) {
  return encode(ReplaceNeighbour{{.device = IfIndex{index}, .address = ip("100.96.2.5")}}, 0,
                false);
}

std::uint32_t device_of(const KernelEvent& event) {
  const KernelChange* change = std::get_if<KernelChange>(&event);
  return change == nullptr ? 0 : std::get<Neighbour>(change->report.object).device.value;
}

std::vector<std::uint32_t> devices_of(const std::vector<KernelEvent>& events) {
  std::vector<std::uint32_t> devices;
  devices.reserve(events.size());
  for (const KernelEvent& event : events) {
    devices.push_back(device_of(event));  // 0: an overrun
  }
  return devices;
}

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(EventQueue, WhatDoesNotFitLeavesOneOverrunInItsPlace) {
  EventQueue queue(2, 2);
  for (const std::uint32_t index : {1U, 2U, 3U, 4U}) {
    queue.push(message_in(change_message(index)));
  }
  EXPECT_THAT(devices_of(queue.take_events(2)), ElementsAre(1, 2));
  queue.push(message_in(change_message(5)));
  EXPECT_THAT(devices_of(queue.take_events(9)), ElementsAre(0, 5));
  EXPECT_TRUE(queue.empty());
}

TEST(EventQueue, ALostMissIsAnOverrunToo) {
  EventQueue queue(9, 2);
  for (int i = 0; i < 4; ++i) {
    queue.push(message_in(miss_message()));
  }
  EXPECT_THAT(queue.take_misses(9), SizeIs(2));
  EXPECT_THAT(devices_of(queue.take_events(9)), ElementsAre(0));
}

TEST(EventQueue, MissesAndEventsDoNotWaitForEachOther) {
  EventQueue queue(9, 9);
  queue.push(message_in(change_message(1)));
  queue.push(message_in(miss_message()));
  EXPECT_THAT(queue.take_misses(9), SizeIs(1));
  EXPECT_FALSE(queue.empty());
  EXPECT_THAT(queue.take_misses(9), IsEmpty());
  EXPECT_THAT(devices_of(queue.take_events(9)), ElementsAre(1));
}

}  // namespace
}  // namespace vxmesh
