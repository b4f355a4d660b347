#include "integration/fidelity/program.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include "base/nearest.h"
#include "sim/kernel/request_text.h"

namespace vxmesh::fidelity {
namespace {

using rtnl::Word;

// In the order of the variant; requests have names of their own.
constexpr std::array<std::string_view, std::variant_size_v<Action>> kNames{
    "", "send", "inject", "advance", "forwarding", "capture", "batch"};

std::string_view without_comment(std::string_view line) {
  bool in_quotes = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    in_quotes ^= line[i] == '"';
    if (line[i] == '#' && !in_quotes && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return line.substr(0, i);
    }
  }
  return line;
}

template <typename Fields>
Result<Action> parse_as(const std::vector<Word>& words, std::string_view name) {
  return rtnl::parse_fields<Fields>({words.begin() + 1, words.end()}, name)
      .map([](const Fields& fields) { return Action(fields); });
}

bool is_separator(const Word& word) {
  return word.name == ";" && !word.value;
}

Result<Action> parse_batch(const std::vector<Word>& words) {
  Batch batch;
  for (auto start = words.begin() + 1; true;) {
    const auto end = std::find_if(start, words.end(), is_separator);
    if (start == end) {
      return rtnl::text_error(end == words.end() ? words.back() : *end,
                              "a request must stand on both sides of each ;");
    }
    const Result<rtnl::Request> request = rtnl::parse_request(std::vector<Word>(start, end));
    if (!request) {
      return tl::unexpected(request.error());
    }
    batch.requests.push_back(*request);
    if (end == words.end()) {
      break;
    }
    start = end + 1;
  }
  if (batch.requests.size() < 2) {
    return rtnl::text_error(words.front(), "a batch has two requests or more, with ; between them");
  }
  return Action(std::move(batch));
}

Result<Action> parse_action(const std::vector<Word>& words) {
  const std::string_view name = words.front().name;
  if (!words.front().value) {
    if (name == "send") {
      return parse_as<SendDatagram>(words, name);
    }
    if (name == "inject") {
      return parse_as<Inject>(words, name);
    }
    if (name == "advance") {
      return parse_as<Advance>(words, name);
    }
    if (name == "forwarding") {
      return parse_as<SetForwarding>(words, name);
    }
    if (name == "capture") {
      return parse_as<Capture>(words, name);
    }
    if (name == "batch") {
      return parse_batch(words);
    }
  }
  std::vector<std::string> known = rtnl::kind_names();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    known.insert(known.end(), kNames.begin() + 1, kNames.end());
    return rtnl::text_error(words.front(),
                            "is not an action; the nearest is '" + nearest_name(name, known) + "'");
  }
  return rtnl::parse_request(words).map(
      [](const rtnl::Request& request) { return Action(request); });
}

Result<Step> parse_step(const std::vector<Word>& words) {
  const Word& writer = words.front();
  if (writer.value || (writer.name != "1" && writer.name != "2")) {
    return rtnl::text_error(writer, "the writer must stand here, 1 or 2");
  }
  if (words.size() == 1) {
    return rtnl::text_error(writer, "an action must follow the writer, as in 1 new-link ...");
  }
  return parse_action({words.begin() + 1, words.end()}).map([&](const Action& action) {
    return Step{.writer = writer.name == "1" ? Writer::First : Writer::Second, .action = action};
  });
}

}  // namespace

std::string_view action_name(const Action& action) {
  const auto* request = std::get_if<rtnl::Request>(&action);
  return request != nullptr ? rtnl::kind_name(*request) : kNames[action.index()];
}

namespace {

std::string format(const Batch& batch) {
  std::string text = "batch ";
  for (std::size_t i = 0; i < batch.requests.size(); ++i) {
    text += (i == 0 ? "" : " ; ") + rtnl::format(batch.requests[i]);
  }
  return text;
}

}  // namespace

std::string format(const Step& step) {
  const std::string writer = step.writer == Writer::First ? "1 " : "2 ";
  return writer +
         std::visit(
             [&](const auto& fields) {
               if constexpr (std::is_same_v<std::decay_t<decltype(fields)>, rtnl::Request>) {
                 return rtnl::format(fields);
               } else if constexpr (std::is_same_v<std::decay_t<decltype(fields)>, Batch>) {
                 return format(fields);
               } else {
                 return std::string(action_name(step.action)) + rtnl::format_fields(fields);
               }
             },
             step.action);
}

std::string format(const Program& program) {
  std::string text;
  for (const Step& step : program) {
    text += format(step) + "\n";
  }
  return text;
}

Result<Program> parse_program(std::string_view text) {
  Program program;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = without_comment(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const Result<std::vector<Word>> words = rtnl::split_words(line);
    if (words && words->empty()) {
      continue;
    }
    const Result<Step> step = words.and_then(parse_step);
    if (!step) {
      return fail(ErrorCode::InvalidInput,
                  "line " + std::to_string(number) + ", " + step.error().context);
    }
    program.push_back(*step);
  }
  if (program.empty()) {
    return fail(ErrorCode::InvalidInput, "there is no step in it");
  }
  return program;
}

}  // namespace vxmesh::fidelity
