#include "adapters/libnl/dump.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "adapters/libnl/test_messages.h"

namespace vxmesh {
namespace {

constexpr std::uint32_t kSequence = 2;

MessageBytes done_message(int result) {
  MessageWriter message(NLMSG_DONE, 0);
  message.put_header(result);
  return message.finish(kSequence);
}

Result<DumpMessage> classified(const MessageBytes& bytes) {
  return classify_dump_message(message_in(bytes), kSequence, "dump of links");
}

TEST(DumpMessage, RowsTheEndAndStraysAreToldApart) {
  const MessageWriter row(RTM_NEWLINK, 0);
  EXPECT_EQ(classified(row.finish(kSequence)), DumpMessage::Row);
  EXPECT_EQ(classified(row.finish(kSequence - 1)), DumpMessage::Stray);
  EXPECT_EQ(classified(done_message(0)), DumpMessage::End);
}

TEST(DumpMessage, ATableThatChangedUnderTheDumpIsSaidByRowAndEnd) {
  const MessageBytes row = MessageWriter(RTM_NEWLINK, 0).finish(kSequence);
  for (const MessageBytes& bytes : {row, done_message(0)}) {
    const Result<DumpMessage> result = classified(with_flags(bytes, NLM_F_MULTI | NLM_F_DUMP_INTR));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Interrupted);
  }
}

// Errors that the kernel finds while it dumps come in the end, not as NLMSG_ERROR.
TEST(DumpMessage, AnErrorEndsTheDumpInEitherForm) {
  for (const MessageBytes& bytes : {done_message(-EINVAL), ack(kSequence, EINVAL)}) {
    const Result<DumpMessage> result = classified(bytes);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().context, "dump of links: EINVAL: Invalid argument");
  }
}

}  // namespace
}  // namespace vxmesh
