#include "sim/kernel/request_text.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/nearest.h"

namespace vxmesh::rtnl {
namespace {

template <std::size_t Index>
Result<Request> parse_kind(const std::vector<Word>& fields) {
  return parse_fields<std::variant_alternative_t<Index, Request>>(fields, kind_names()[Index])
      .map([](const auto& request) { return Request(request); });
}

template <std::size_t... Index>
Result<Request> parse_kind(std::size_t kind, const std::vector<Word>& fields,
                           std::index_sequence<Index...> /*all*/) {
  using Parser = Result<Request> (*)(const std::vector<Word>&);
  constexpr Parser kParsers[] = {&parse_kind<Index>...};
  return kParsers[kind](fields);
}

}  // namespace

const std::vector<std::string>& kind_names() {
  static const std::vector<std::string> kNames{
      "new-link",  "del-link", "new-addr", "del-addr",        "new-route", "del-route", "new-neigh",
      "del-neigh", "new-fdb",  "del-fdb",  "set-neigh-table", "get-neigh", "get-fdb"};
  return kNames;
}

std::string_view kind_name(const Request& request) {
  static_assert(std::variant_size_v<Request> == 13, "each kind has a name");
  return kind_names()[request.index()];
}

std::string format(const Request& request) {
  std::string text = std::visit([](const auto& fields) { return format_fields(fields); }, request);
  // One bit with two names; the flags come first.
  const std::size_t excl = text.find("excl");
  if (excl < text.find(' ', 1) && kind_name(request).starts_with("del")) {
    text.replace(excl, 4, "bulk");
  }
  return std::string(kind_name(request)) + text;
}

Result<Request> parse_request(const std::vector<Word>& words) {
  if (words.empty()) {
    return text_error(Word{}, "a request must stand here, as in new-link");
  }
  const std::vector<std::string>& names = kind_names();
  const auto found = std::find(names.begin(), names.end(), words.front().name);
  if (found == names.end() || words.front().value) {
    return text_error(words.front(), "is not a request; the nearest is '" +
                                         nearest_name(words.front().name, names) + "'");
  }
  return parse_kind(static_cast<std::size_t>(found - names.begin()),
                    {words.begin() + 1, words.end()},
                    std::make_index_sequence<std::variant_size_v<Request>>{});
}

Result<Request> parse_request(std::string_view text) {
  return split_words(text).and_then(
      [](const std::vector<Word>& words) { return parse_request(words); });
}

}  // namespace vxmesh::rtnl
