#include "sim/scenario/yaml_value.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

namespace vxmesh {
namespace {

std::uint32_t line_of(const YAML::Mark& mark) {
  return static_cast<std::uint32_t>(std::max(mark.line, 0)) + 1;
}

// What is YAML, but nothing that a scenario has.
class Refusal : public YAML::Exception {
 public:
  using YAML::Exception::Exception;
};

[[noreturn]] void refuse(const YAML::Mark& mark, const std::string& why) {
  throw Refusal(mark, why);  // yaml-cpp's way out of its parser; caught in read_yaml
}

// Puts the tree together from the parser's events. yaml-cpp's own tree would keep duplicate keys
// and follow aliases, a few lines of which stand for billions of values.
class TreeBuilder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    refuse(mark, "an alias; write the value itself");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    plain(mark, "?", anchor);
    add(mark, YamlValue{.line = line_of(mark)});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    plain(mark, tag, anchor);
    add(mark, YamlValue{.kind = YamlValue::Kind::Scalar, .line = line_of(mark), .text = value});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(YamlValue::Kind::Sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(YamlValue::Kind::Map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

  [[nodiscard]] YamlValue take() { return std::move(root_); }

 private:
  struct Open {
    YamlValue value;
    YAML::Mark mark;
    bool has_key = false;  // of a map: the last entry has no value yet
    std::map<std::string, std::uint32_t> key_lines{};
  };

  static void plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      refuse(mark, "an anchor; write the value itself wherever it is needed");
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, "a tag; leave it out");
    }
  }

  void open(YamlValue::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    plain(mark, tag, anchor);
    if (open_.size() == kMaxYamlDepth) {
      refuse(mark, "nested too deeply; a scenario has at most " + std::to_string(kMaxYamlDepth) +
                       " levels");
    }
    open_.push_back({.value = {.kind = kind, .line = line_of(mark)}, .mark = mark});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    add(done.mark, std::move(done.value));
  }

  void add(const YAML::Mark& mark, YamlValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& parent = open_.back(); parent.value.kind == YamlValue::Kind::Sequence) {
      parent.value.items.push_back(std::move(value));
    } else if (parent.has_key) {
      parent.value.entries.back().value = std::move(value);
      parent.has_key = false;
    } else {
      add_key(mark, parent, value);
    }
  }

  static void add_key(const YAML::Mark& mark, Open& map, const YamlValue& key) {
    if (key.kind != YamlValue::Kind::Scalar) {
      refuse(mark, "a key that is not text; write 'key: value'");
    }
    const auto [twin, is_new] = map.key_lines.emplace(key.text, key.line);
    if (!is_new) {
      refuse(mark, "'" + key.text + "' is there twice, the first time in line " +
                       std::to_string(twin->second) + "; keep one");
    }
    map.value.entries.push_back({.key = key.text, .line = key.line, .value = {.line = key.line}});
    map.has_key = true;
  }

  std::vector<Open> open_;
  YamlValue root_;
};

}  // namespace

Result<YamlValue> read_yaml(std::string_view yaml, const std::string& file_name) {
  if (yaml.size() > kMaxYamlBytes) {
    return fail(ErrorCode::InvalidInput, file_name + ":1: longer than " +
                                             std::to_string(kMaxYamlBytes) +
                                             " bytes; split the scenario");
  }
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) {
      return fail(ErrorCode::InvalidInput,
                  file_name + ":1: nothing in it; begin with 'scenario: NAME'");
    }
    YamlValue root = builder.take();
    if (TreeBuilder rest; parser.HandleNextDocument(rest)) {
      return fail(ErrorCode::InvalidInput, file_name + ":" + std::to_string(rest.take().line) +
                                               ": a second document; one file is one scenario");
    }
    return root;
  } catch (const Refusal& error) {
    return fail(ErrorCode::InvalidInput,
                file_name + ":" + std::to_string(line_of(error.mark)) + ": " + error.msg);
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::InvalidInput,
                file_name + ":" + std::to_string(line_of(error.mark)) + ": is no YAML (" +
                    error.msg + "); look at the indentation, brackets and quotes before it");
  }
}

}  // namespace vxmesh
