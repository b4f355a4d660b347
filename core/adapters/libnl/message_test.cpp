#include "adapters/libnl/message.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include "adapters/libnl/batch_answers.h"
#include "adapters/libnl/test_messages.h"

namespace vxmesh {
namespace {

MessageBytes done_message(int result) {
  MessageWriter message(NLMSG_DONE, 0);
  message.put_header(result);
  return message.finish(1);
}

TEST(Message, AttributesAreFoundByTypeAndSize) {
  MessageWriter writer(RTM_NEWLINK, 0);
  writer.put_header(ifinfomsg{});
  writer.put_u32(IFLA_MTU, 1450);
  writer.put_text(IFLA_IFNAME, "vxlan1");
  writer.put_nested(IFLA_LINKINFO, [&] { writer.put_text(IFLA_INFO_KIND, "vxlan"); });
  const MessageBytes bytes = writer.finish(1);
  const Attributes attributes = message_in(bytes).attributes<ifinfomsg>();
  EXPECT_EQ(attributes.u32(IFLA_MTU), 1450U);
  EXPECT_EQ(attributes.u8(IFLA_MTU), std::nullopt);
  EXPECT_EQ(attributes.u32(IFLA_GROUP), std::nullopt);
  EXPECT_EQ(attributes.text(IFLA_IFNAME), "vxlan1");
  EXPECT_EQ(attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND), "vxlan");
  EXPECT_EQ(attributes.nested(IFLA_AF_SPEC).text(IFLA_INFO_KIND), std::nullopt);
}

TEST(Message, TextNeedsNoEnd) {
  MessageWriter writer(RTM_NEWLINK, 0);
  writer.put_header(ifinfomsg{});
  const std::vector<std::uint8_t> unterminated{'e', 't', 'h'};
  writer.put_bytes(IFLA_IFNAME, unterminated);
  const MessageBytes bytes = writer.finish(1);
  EXPECT_EQ(message_in(bytes).attributes<ifinfomsg>().text(IFLA_IFNAME), "eth");
}

TEST(Message, ABufferIsReadMessageByMessage) {
  const MessageBytes bytes = ack(7, 0) + ack(8, ENOENT) + ack(9, 0);
  std::span<const std::uint8_t> buffer(bytes);
  for (const std::uint32_t sequence : {7U, 8U, 9U}) {
    EXPECT_EQ(take_message(buffer).value().sequence(), sequence);
  }
  EXPECT_FALSE(take_message(buffer));
}

TEST(Message, ALengthThatLiesEndsTheBuffer) {
  for (const std::uint32_t length : {0U, 15U, 1000U, 0xffffffffU}) {
    MessageBytes bytes = ack(7, 0);
    std::memcpy(bytes.data(), &length, sizeof(length));
    std::span<const std::uint8_t> buffer(bytes);
    EXPECT_FALSE(take_message(buffer)) << length;
  }
}

TEST(Message, AnswersCarryErrnoAndText) {
  EXPECT_EQ(decode_answer(message_in(ack(1, 0))), (Answer{}));
  EXPECT_EQ(decode_answer(message_in(ack(1, ENOENT))), (Answer{.error_number = ENOENT}));
  EXPECT_EQ(decode_answer(message_in(ack(1, EINVAL, "Invalid prefix"))),
            (Answer{.error_number = EINVAL, .extended_ack = "Invalid prefix"}));
  EXPECT_EQ(decode_answer(message_in(done_message(0))), (Answer{}));
  EXPECT_EQ(decode_answer(message_in(done_message(-EINVAL))), (Answer{.error_number = EINVAL}));
}

// Without NETLINK_CAP_ACK the failed request stands between the errno and the text.
TEST(Message, TheTextIsFoundBehindTheRequestToo) {
  MessageWriter writer(NLMSG_ERROR, 0);
  nlmsgerr error{};
  error.error = -EINVAL;
  error.msg.nlmsg_len = NLMSG_HDRLEN + 8;
  writer.put_header(error);
  // Looks like NLMSGERR_ATTR_MSG, and is none.
  writer.put_header(std::array<std::uint8_t, 8>{8, 0, NLMSGERR_ATTR_MSG, 0, 'n', 'o', 0, 0});
  writer.put_text(NLMSGERR_ATTR_MSG, "Invalid prefix");
  const MessageBytes bytes = with_flags(writer.finish(1), NLM_F_ACK_TLVS);
  EXPECT_EQ(decode_answer(message_in(bytes)),
            (Answer{.error_number = EINVAL, .extended_ack = "Invalid prefix"}));
}

TEST(Message, OtherMessagesAreNoAnswers) {
  EXPECT_EQ(decode_answer(message_in(MessageWriter(RTM_NEWLINK, 0).finish(1))), std::nullopt);
  EXPECT_EQ(decode_answer(message_in(MessageWriter(NLMSG_ERROR, 0).finish(1))), std::nullopt);
}

TEST(Message, ErrorsNameTheErrnoAndTheReason) {
  EXPECT_EQ(kernel_error("lookup", {.error_number = ENOENT, .extended_ack = "no entry"}),
            (Error{.code = ErrorCode::Environment, .context = "lookup: ENOENT: no entry"}));
  EXPECT_EQ(kernel_error("lookup", {.error_number = EPERM}),
            (Error{.code = ErrorCode::NoPermission,
                   .context = "lookup: EPERM: Operation not permitted"}));
  EXPECT_EQ(kernel_error("lookup", {.error_number = ENOBUFS}).code, ErrorCode::Overrun);
}

class BatchAnswersTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kFirst = 40;
  BatchAnswers answers_{kFirst, 3};
};

TEST_F(BatchAnswersTest, SilenceBeforeTheLastAnswerIsSuccess) {
  answers_.take(ack(kFirst + 2, 0));
  EXPECT_EQ(answers_.results(), (std::vector<OpResult>{OpDone{}, OpDone{}, OpDone{}}));
}

TEST_F(BatchAnswersTest, FailuresAreMatchedByNumber) {
  answers_.take(ack(kFirst + 1, ENOENT, "no entry") + ack(kFirst + 2, ESRCH));
  EXPECT_EQ(answers_.results(),
            (std::vector<OpResult>{OpDone{}, OpDone{ENOENT, "no entry"}, OpDone{ESRCH, ""}}));
}

TEST_F(BatchAnswersTest, WithoutTheLastAnswerSilenceIsUnknown) {
  EXPECT_EQ(answers_.results(), (std::vector<OpResult>{OpUnknown{}, OpUnknown{}, OpUnknown{}}));
  answers_.take(ack(kFirst, ENOENT));
  EXPECT_EQ(answers_.results(),
            (std::vector<OpResult>{OpDone{ENOENT, ""}, OpUnknown{}, OpUnknown{}}));
}

TEST_F(BatchAnswersTest, AfterALossSilenceIsUnknown) {
  answers_.take(ack(kFirst + 2, 0));
  answers_.lost();
  EXPECT_EQ(answers_.results(), (std::vector<OpResult>{OpUnknown{}, OpUnknown{}, OpDone{}}));
}

TEST_F(BatchAnswersTest, AnswersToOtherRequestsAreSkipped) {
  answers_.take(ack(kFirst - 1, EINVAL) + ack(kFirst + 3, EINVAL) + ack(0, EINVAL));
  EXPECT_EQ(answers_.results(), (std::vector<OpResult>{OpUnknown{}, OpUnknown{}, OpUnknown{}}));
}

}  // namespace
}  // namespace vxmesh
