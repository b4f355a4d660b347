#include "adapters/libnl/batch_answers.h"

namespace vxmesh {

void BatchAnswers::take(std::span<const std::uint8_t> buffer) {
  while (const std::optional<Message> message = take_message(buffer)) {
    const std::size_t index = message->sequence() - first_;  // wraps for older ones, to a high one
    const std::optional<Answer> answer =
        message->type() == NLMSG_ERROR ? decode_answer(*message) : std::nullopt;
    if (index < answers_.size() && answer) {
      answers_[index] = answer;
    }
  }
}

std::vector<OpResult> BatchAnswers::results() const {
  const bool silence_is_success = !lost_ && !answers_.empty() && answers_.back().has_value();
  std::vector<OpResult> results;
  results.reserve(answers_.size());
  for (const std::optional<Answer>& answer : answers_) {
    if (answer) {
      results.emplace_back(
          OpDone{.error_number = answer->error_number, .extended_ack = answer->extended_ack});
    } else if (silence_is_success) {
      results.emplace_back(OpDone{});
    } else {
      results.emplace_back(OpUnknown{});
    }
  }
  return results;
}

}  // namespace vxmesh
