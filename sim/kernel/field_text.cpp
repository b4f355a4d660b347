#include "sim/kernel/field_text.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "base/nearest.h"

namespace vxmesh::rtnl {
namespace {

struct Symbol {
  std::string_view name;
  std::uint64_t value;
};

// A field whose values have names: bits that are joined by '|', or one value.
struct Symbols {
  std::string_view field;
  bool bits;
  std::vector<Symbol> list;
};

// linux/netlink.h, linux/neighbour.h, linux/if_addr.h, linux/rtnetlink.h. Bulk is Excl's bit in
// deletes; both names read, and "excl" is written.
const std::vector<Symbols>& all_symbols() {
  static const std::vector<Symbol> kNudNames{
      {"incomplete", 0x01}, {"reachable", 0x02}, {"stale", 0x04}, {"delay", 0x08},
      {"probe", 0x10},      {"failed", 0x20},    {"noarp", 0x40}, {"permanent", 0x80}};
  static const std::vector<Symbol> kNtfNames{
      {"use", 0x01},         {"self", 0x02},      {"master", 0x04}, {"proxy", 0x08},
      {"ext_learned", 0x10}, {"offloaded", 0x20}, {"sticky", 0x40}, {"router", 0x80}};
  static const std::vector<Symbols> kAll{
      {"flags",
       true,
       {{"create", kCreate},
        {"replace", kReplace},
        {"excl", kExcl},
        {"append", kAppend},
        {"bulk", kBulk}}},
      {"state", true, kNudNames},
      {"state_mask", true, kNudNames},
      {"ntf", true, kNtfNames},
      {"ntf_mask", true, kNtfNames},
      {"ext_flags", true, {{"managed", 1}, {"locked", 2}}},
      {"address_flags",
       true,
       {{"secondary", 0x01},
        {"nodad", 0x02},
        {"optimistic", 0x04},
        {"home", 0x08},
        {"dadfailed", 0x10},
        {"deprecated", 0x20},
        {"tentative", 0x40},
        {"permanent", 0x80},
        {"managetempaddr", 0x100},
        {"noprefixroute", 0x200},
        {"mcautojoin", 0x400},
        {"stable_privacy", 0x800}}},
      {"route_flags", true, {{"dead", 1}, {"pervasive", 2}, {"onlink", 4}, {"linkdown", 16}}},
      {"type",
       false,
       {{"unspec", 0},
        {"unicast", 1},
        {"local", 2},
        {"broadcast", 3},
        {"anycast", 4},
        {"multicast", 5},
        {"blackhole", 6},
        {"unreachable", 7},
        {"prohibit", 8},
        {"throw", 9}}},
      {"scope",
       false,
       {{"universe", 0}, {"site", 200}, {"link", 253}, {"host", 254}, {"nowhere", 255}}},
      {"table", false, {{"default", 253}, {"main", 254}, {"local", 255}}},
  };
  return kAll;
}

const Symbols* symbols_of(std::string_view field) {
  const std::vector<Symbols>& all = all_symbols();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Symbols& s) { return s.field == field; });
  return found == all.end() ? nullptr : &*found;
}

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 18> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

std::string bits_text(const Symbols& symbols, std::uint64_t value) {
  std::string text;
  for (const Symbol& symbol : symbols.list) {
    if ((value & symbol.value) != 0) {
      text += (text.empty() ? "" : "|") + std::string(symbol.name);
      value &= ~symbol.value;
    }
  }
  if (value != 0) {
    text += (text.empty() ? "" : "|") + hexadecimal(value);
  }
  return text.empty() ? "0" : text;
}

std::optional<std::uint64_t> plain_number(std::string_view text) {
  const bool is_hexadecimal = text.starts_with("0x");
  const std::string_view digits = text.substr(is_hexadecimal ? 2 : 0);
  std::uint64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stopped, error] =
      std::from_chars(digits.data(), end, number, is_hexadecimal ? 16 : 10);
  return error == std::errc{} && stopped == end ? std::optional(number) : std::nullopt;
}

std::vector<std::string> names_of(const Symbols& symbols) {
  std::vector<std::string> names;
  for (const Symbol& symbol : symbols.list) {
    names.emplace_back(symbol.name);
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

Result<std::uint64_t> symbol_value(const Word& word, const Symbols* symbols,
                                   std::string_view text) {
  if (const std::optional<std::uint64_t> number = plain_number(text)) {
    return *number;
  }
  if (symbols == nullptr) {
    return text_error(word, quoted(text) + " is not a number");
  }
  for (const Symbol& symbol : symbols->list) {
    if (symbol.name == text) {
      return symbol.value;
    }
  }
  const std::vector<std::string> names = names_of(*symbols);
  return text_error(word, quoted(text) + " is not known; the nearest is " +
                              quoted(nearest_name(text, names)) + " of " + joined(names) +
                              ", or a number");
}

bool needs_quotes(std::string_view text) {
  return text.empty() || !std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.' || c == ':';
         });
}

constexpr std::string_view kDigits = "0123456789abcdef";

std::string hex_byte(std::uint8_t byte) {
  return {kDigits[byte >> 4U], kDigits[byte & 0xfU]};
}

std::optional<std::uint8_t> parse_hex_byte(std::string_view text) {
  std::uint8_t byte = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, byte, 16);
  return text.size() == 2 && error == std::errc{} && stopped == end ? std::optional(byte)
                                                                    : std::nullopt;
}

}  // namespace

Result<std::vector<Word>> split_words(std::string_view line) {
  std::vector<Word> words;
  std::size_t at = 0;
  while ((at = line.find_first_not_of(" \t", at)) != std::string_view::npos) {
    const std::size_t start = at;
    bool in_quotes = false;
    while (at < line.size() && (in_quotes || (line[at] != ' ' && line[at] != '\t'))) {
      in_quotes ^= line[at] == '"';
      ++at;
    }
    const std::string_view text = line.substr(start, at - start);
    const std::size_t equals = text.find('=');
    Word word{.name = text.substr(0, equals), .column = start + 1};
    if (equals != std::string_view::npos) {
      word.value = text.substr(equals + 1);
    }
    if (in_quotes) {
      return text_error(word, "a quote is opened and not closed");
    }
    words.push_back(word);
  }
  return words;
}

std::string value_text(std::string_view field, std::uint64_t value) {
  const Symbols* symbols = symbols_of(field);
  if (symbols != nullptr && symbols->bits) {
    return bits_text(*symbols, value);
  }
  if (symbols != nullptr) {
    for (const Symbol& symbol : symbols->list) {
      if (symbol.value == value) {
        return std::string(symbol.name);
      }
    }
  }
  return std::to_string(value);
}

std::string value_text(std::string_view /*field*/, bool value) {
  return value ? "on" : "off";
}

std::string value_text(std::string_view /*field*/, const std::string& value) {
  if (!needs_quotes(value)) {
    return value;
  }
  std::string text = "\"";
  for (const char c : value) {
    const bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
    text += plain ? std::string(1, c) : "\\" + hex_byte(static_cast<std::uint8_t>(c));
  }
  return text + "\"";
}

std::string value_text(std::string_view /*field*/, const LinkLayer& value) {
  std::string text;
  for (const std::uint8_t byte : value.bytes) {
    text += (text.empty() ? "" : ":") + hex_byte(byte);
  }
  return text.empty() ? "none" : text;
}

std::string value_text(std::string_view /*field*/, const IpAddress& value) {
  return format(value);
}

std::string value_text(std::string_view /*field*/, Family value) {
  return value == Family::V4 ? "inet" : "inet6";
}

std::string value_text(std::string_view /*field*/, Kind value) {
  switch (value) {
    case Kind::Vxlan: return "vxlan";
    case Kind::Bridge: return "bridge";
    case Kind::Veth: break;
  }
  return "veth";
}

std::string value_text(std::string_view /*field*/, const std::vector<std::uint8_t>& value) {
  std::string text;
  for (const std::uint8_t byte : value) {
    text += hex_byte(byte);
  }
  return text.empty() ? "none" : text;
}

tl::unexpected<Error> text_error(const Word& word, const std::string& sentence) {
  return fail(ErrorCode::InvalidInput,
              "column " + std::to_string(word.column) + ", " + quoted(word.name) + ": " + sentence);
}

tl::unexpected<Error> unknown_field(const Word& word, std::string_view owner,
                                    const std::vector<std::string>& known) {
  return text_error(word, std::string(owner) + " has no such field; the nearest is " +
                              quoted(nearest_name(word.name, known)) + " of " + joined(known));
}

Result<std::uint64_t> parse_number(const Word& word, std::uint64_t most) {
  if (!word.value || word.value->empty()) {
    return text_error(word, "a value must follow, as in " + std::string(word.name) + "=1");
  }
  const Symbols* symbols = symbols_of(word.name);
  std::uint64_t sum = 0;
  std::string_view rest = *word.value;
  while (true) {
    const std::size_t bar =
        symbols != nullptr && symbols->bits ? rest.find('|') : std::string_view::npos;
    Result<std::uint64_t> part = symbol_value(word, symbols, rest.substr(0, bar));
    if (!part) {
      return part;
    }
    sum |= *part;
    if (bar == std::string_view::npos) {
      break;
    }
    rest.remove_prefix(bar + 1);
  }
  if (sum > most) {
    return text_error(word,
                      quoted(*word.value) + " is too large; the most is " + std::to_string(most));
  }
  return sum;
}

Result<void> parse_value(const Word& word, bool& value) {
  const std::string_view text = word.value.value_or("");
  if (text != "on" && text != "off" && text != "1" && text != "0") {
    return text_error(word, quoted(text) + " is neither on nor off");
  }
  value = text == "on" || text == "1";
  return {};
}

Result<void> parse_value(const Word& word, std::string& value) {
  std::string_view text = word.value.value_or("");
  value.clear();
  if (!text.starts_with('"')) {
    if (needs_quotes(text)) {
      return text_error(word, quoted(text) + " needs quotes: letters, digits and _-.: do not");
    }
    value = text;
    return {};
  }
  if (text.size() < 2 || text.find('"', 1) != text.size() - 1) {
    return text_error(word, "one quoted text is a value; write a quote in it as \\22");
  }
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    if (text.front() != '\\') {
      value += text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::optional<std::uint8_t> byte = parse_hex_byte(text.substr(1, 2));
    if (!byte) {
      return text_error(word, "two hexadecimal digits must follow a backslash");
    }
    value += static_cast<char>(*byte);
    text.remove_prefix(3);
  }
  return {};
}

Result<void> parse_value(const Word& word, LinkLayer& value) {
  std::string_view text = word.value.value_or("");
  value.bytes.clear();
  if (text == "none") {
    return {};
  }
  while (true) {
    const std::optional<std::uint8_t> byte = parse_hex_byte(text.substr(0, 2));
    if (!byte || (text.size() > 2 && text[2] != ':')) {
      return text_error(word, quoted(word.value.value_or("")) +
                                  " is not a link-layer address; write two hexadecimal digits a "
                                  "byte with colons between, or none");
    }
    value.bytes.push_back(*byte);
    if (text.size() == 2) {
      return {};
    }
    text.remove_prefix(3);
  }
}

Result<void> parse_value(const Word& word, IpAddress& value) {
  const std::string_view text = word.value.value_or("");
  const Result<IpAddress> address = IpAddress::parse(text);
  if (!address) {
    return text_error(word, quoted(text) + " is not an IP address");
  }
  value = *address;
  return {};
}

Result<void> parse_value(const Word& word, Family& value) {
  const std::string_view text = word.value.value_or("");
  if (text != "inet" && text != "inet6") {
    return text_error(word, quoted(text) + " is neither inet nor inet6");
  }
  value = text == "inet" ? Family::V4 : Family::V6;
  return {};
}

Result<void> parse_value(const Word& word, Kind& value) {
  const std::string_view text = word.value.value_or("");
  for (const Kind kind : {Kind::Vxlan, Kind::Bridge, Kind::Veth}) {
    if (text == value_text(word.name, kind)) {
      value = kind;
      return {};
    }
  }
  return text_error(word, quoted(text) + " is none of vxlan, bridge, veth");
}

Result<void> parse_value(const Word& word, std::vector<std::uint8_t>& value) {
  std::string_view text = word.value.value_or("");
  value.clear();
  if (text == "none") {
    return {};
  }
  while (!text.empty()) {
    const std::optional<std::uint8_t> byte = parse_hex_byte(text.substr(0, 2));
    if (!byte) {
      break;
    }
    value.push_back(*byte);
    text.remove_prefix(2);
  }
  if (!text.empty() || value.empty()) {
    return text_error(word, "two hexadecimal digits a byte must follow, or none");
  }
  return {};
}

}  // namespace vxmesh::rtnl
