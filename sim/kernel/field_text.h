// Named fields as text, "name=value" with spaces between: how requests are written in traces, in
// case files and in messages. A struct that lists its fields (`fields`, see request.h) needs
// nothing else.
//
// A field that holds its type's default, and an optional one that is absent, are not written.
// Numbers are decimal or 0x hexadecimal; where names are known ("flags", "state", "scope", ...)
// they are written, and numbers still read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "model/ip_address.h"
#include "sim/kernel/request.h"

namespace vxmesh::rtnl {

// One word of a line: "name=value", or a bare word, which has no value. Columns count from 1.
struct Word {
  std::string_view name;
  std::optional<std::string_view> value;
  std::size_t column = 1;
};

// Splits at spaces; quotes hold a value together: name="a b".
[[nodiscard]] Result<std::vector<Word>> split_words(std::string_view line);

// The part of the field's text behind "name="; `field` selects the names that are known.
[[nodiscard]] std::string value_text(std::string_view field, std::uint64_t value);
[[nodiscard]] std::string value_text(std::string_view field, bool value);
[[nodiscard]] std::string value_text(std::string_view field, const std::string& value);
[[nodiscard]] std::string value_text(std::string_view field, const LinkLayer& value);
[[nodiscard]] std::string value_text(std::string_view field, const IpAddress& value);
[[nodiscard]] std::string value_text(std::string_view field, Family value);
[[nodiscard]] std::string value_text(std::string_view field, Kind value);
[[nodiscard]] std::string value_text(std::string_view field,
                                     const std::vector<std::uint8_t>& value);
template <typename Tag, typename Rep>
std::string value_text(std::string_view field, const Strong<Tag, Rep>& value) {
  return value_text(field, std::uint64_t{value.value});
}
template <typename Number>
requires(std::is_unsigned_v<Number> && !std::is_same_v<Number, bool>) std::string
    value_text(std::string_view field, Number value) {
  return value_text(field, static_cast<std::uint64_t>(value));
}

// The reverse. The error names the word's column, what stands there and what is accepted.
[[nodiscard]] Result<std::uint64_t> parse_number(const Word& word, std::uint64_t most);
[[nodiscard]] Result<void> parse_value(const Word& word, bool& value);
[[nodiscard]] Result<void> parse_value(const Word& word, std::string& value);
[[nodiscard]] Result<void> parse_value(const Word& word, LinkLayer& value);
[[nodiscard]] Result<void> parse_value(const Word& word, IpAddress& value);
[[nodiscard]] Result<void> parse_value(const Word& word, Family& value);
[[nodiscard]] Result<void> parse_value(const Word& word, Kind& value);
[[nodiscard]] Result<void> parse_value(const Word& word, std::vector<std::uint8_t>& value);
template <typename Number>
requires(std::is_unsigned_v<Number> &&
         !std::is_same_v<Number, bool>) Result<void> parse_value(const Word& word, Number& value) {
  return parse_number(word, static_cast<Number>(~Number{})).map([&](std::uint64_t number) {
    value = static_cast<Number>(number);
  });
}
template <typename Tag, typename Rep>
Result<void> parse_value(const Word& word, Strong<Tag, Rep>& value) {
  return parse_value(word, value.value);
}
template <typename Value>
Result<void> parse_value(const Word& word, std::optional<Value>& value) {
  return parse_value(word, value.emplace());
}

[[nodiscard]] tl::unexpected<Error> unknown_field(const Word& word, std::string_view owner,
                                                  const std::vector<std::string>& known);
[[nodiscard]] tl::unexpected<Error> text_error(const Word& word, const std::string& sentence);

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

// " name=value" for each field that says something.
template <typename Fields>
std::string format_fields(const Fields& object) {
  const auto flatten = [](const Fields& self) {
    std::vector<std::pair<std::string_view, std::optional<std::string>>> texts;
    Fields::fields(self, [&](std::string_view name, const auto& member) {
      if constexpr (IsOptional<std::decay_t<decltype(member)>>::value) {
        texts.emplace_back(name, member ? std::optional(value_text(name, *member)) : std::nullopt);
      } else {
        texts.emplace_back(name, value_text(name, member));
      }
    });
    return texts;
  };
  static const auto kDefaults = flatten(Fields{});
  const auto texts = flatten(object);
  std::string text;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].second && texts[i].second != kDefaults[i].second) {
      text += " " + std::string(texts[i].first) + "=" + *texts[i].second;
    }
  }
  return text;
}

// Reads the words into an object that holds its defaults; `owner` names it in errors.
template <typename Fields>
Result<Fields> parse_fields(const std::vector<Word>& words, std::string_view owner) {
  Fields object;
  std::vector<bool> taken(words.size());
  std::vector<std::string> known;
  std::optional<Error> error;
  Fields::fields(object, [&](std::string_view name, auto& member) {
    known.emplace_back(name);
    bool found = false;
    for (std::size_t i = 0; i < words.size() && !error; ++i) {
      if (words[i].name != name) {
        continue;
      }
      taken[i] = true;
      const Result<void> parsed =
          found ? Result<void>(text_error(words[i], "'" + std::string(name) + "' is given twice"))
                : parse_value(words[i], member);
      found = true;
      if (!parsed) {
        error = parsed.error();
      }
    }
  });
  for (std::size_t i = 0; i < words.size() && !error; ++i) {
    if (!taken[i]) {
      return unknown_field(words[i], owner, known);
    }
  }
  if (error) {
    return tl::unexpected(*std::move(error));
  }
  return object;
}

}  // namespace vxmesh::rtnl
