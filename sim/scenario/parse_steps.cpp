#include <algorithm>
#include <utility>

#include "sim/scenario/parse_parts.h"
#include "sim/scenario/releases.h"
#include "sim/scenario/text.h"

namespace vxmesh {
namespace {

constexpr std::size_t kMaxSteps = 10000;
const YamlValue kNothing;

std::vector<std::string> action_names() {
  std::vector<std::string> names;
  for (const ActionRule& rule : action_rules()) {
    names.emplace_back(rule.name);
  }
  return names;
}

// The entry of a step that is its action; null, and reported, unless there is exactly one.
const YamlEntry* find_action_entry(Reading& reading, const YamlValue& step) {
  const YamlEntry* action = nullptr;
  const YamlEntry* unknown = nullptr;
  for (const YamlEntry& entry : step.entries) {
    if (find_action(entry.key) == nullptr) {
      unknown = entry.key == "at" || entry.key == "for" ? unknown : &entry;
    } else if (action != nullptr) {
      reading.problem.report(entry.line, "two actions in one step, " + action->key + " and " +
                                             entry.key + "; write a step for each");
      return nullptr;
    } else {
      action = &entry;
    }
  }
  if (action == nullptr && unknown != nullptr) {
    reading.problem.report(unknown->line, "unknown action '" + unknown->key + "'" +
                                              did_you_mean(unknown->key, action_names(), ""));
  } else if (action == nullptr) {
    reading.problem.report(step.line, "a step without an action; add one such as delete-node: n2");
  }
  return action;
}

// "agent@n1" gives "n1".
std::string read_agent(Reading& reading, const YamlValue& value, const std::string& text) {
  constexpr std::string_view kPrefix = "agent@";
  if (!text.starts_with(kPrefix)) {
    reading.problem.report(value.line, "'" + text + "' is no agent; write agent@NODE");
    return text;
  }
  std::string node = text.substr(kPrefix.size());
  check_node_name(reading, node, value.line);
  return node;
}

std::string read_target(Reading& reading, const ActionRule& rule, const YamlValue& value) {
  std::string text = text_of(value, "what an action is done to", "a name", reading.problem);
  if (rule.kind == ActionKind::DeleteNodeObject && reading.hostile.contains(text)) {
    return text;
  }
  switch (rule.target) {
    case TargetKind::Agent: return read_agent(reading, value, text);
    case TargetKind::Api: return text == "api" ? text : read_agent(reading, value, text);
    case TargetKind::End: return text == "api" ? text : read_node_name(reading, value);
    case TargetKind::Pod: return read_pod_name(reading, value);
    case TargetKind::NewNode: return read_new_name(reading, text, value.line, "node");
    default:
      if (rule.category == ActionCategory::Network && text == "api") {
        reading.problem.report(value.line, std::string(rule.name) +
                                               " is of packets between nodes; of the API's "
                                               "connections write partition or api-stall");
      }
      return read_node_name(reading, value);
  }
}

std::vector<std::string> read_targets(Reading& reading, const ActionRule& rule,
                                      const YamlEntry& entry) {
  const std::string action(rule.name);
  const auto& value = entry.value;
  if (rule.target == TargetKind::None) {
    if (!items_of(value).empty() &&
        (value.kind != YamlValue::Kind::Map || !value.entries.empty())) {
      reading.problem.report(value.line, action + " is done to nothing; write " + action + ": {}");
    }
    return {};
  }
  std::vector<std::string> targets;
  const YamlValue* repeated = nullptr;
  for (const YamlValue* item : items_of(value)) {
    const std::string target = read_target(reading, rule, *item);
    repeated = std::ranges::find(targets, target) != targets.end() ? item : repeated;
    targets.push_back(target);
  }
  if (repeated != nullptr) {
    reading.problem.report(repeated->line,
                           action + " names '" + repeated->text + "' twice; name another");
  }
  if (targets.size() < rule.min_targets || targets.size() > rule.max_targets) {
    const std::string least = std::to_string(rule.min_targets);
    const std::string most = std::to_string(rule.max_targets);
    reading.problem.report(entry.line, action + " names " + std::to_string(targets.size()) +
                                           " of what it is done to; name " + least +
                                           (least == most ? "" : " or " + most));
  }
  return targets;
}

// "n4", or {n4: ...}: a name and what is said of it.
std::pair<std::string, const YamlValue*> read_named(Reading& reading, const ActionRule& rule,
                                                    const YamlValue& value) {
  if (value.kind == YamlValue::Kind::Scalar) {
    return {value.text, &kNothing};
  }
  if (value.kind != YamlValue::Kind::Map || value.entries.size() != 1) {
    reading.problem.report(value.line, std::string(rule.name) + " is about exactly one; write " +
                                           std::string(rule.name) + ": {NAME: ...}");
    return {"", &kNothing};
  }
  return {value.entries.front().key, &value.entries.front().value};
}

void read_new_node(Reading& reading, const ActionRule& rule, const YamlValue& value, Step& step) {
  const auto [name, said] = read_named(reading, rule, value);
  (void)read_new_name(reading, name, value.line, "node");
  if (reading.cast.node_is_there(name, step.at) || reading.hostile.contains(name)) {
    reading.problem.report(value.line, "node " + name + " is there already at " +
                                           format_time(step.at) + "; delete it first");
  }
  const NodeChange change = read_node_change(reading, *said, name, step.at);
  const NodeSpec node = complete_node(reading, name, change, step.at, value.line);
  step.action.targets = {name};
  step.action.ip = node.ip;
  step.action.pod_cidr = node.pod_cidr;
}

void read_changed_node(Reading& reading, const ActionRule& rule, const YamlValue& value,
                       Step& step) {
  const auto [name, said] = read_named(reading, rule, value);
  check_node_name(reading, name, value.line);
  const NodeChange change = read_node_change(reading, *said, name, step.at);
  if (!change.ip && !change.pod_cidr) {
    reading.problem.report(value.line,
                           "change-node changes nothing; give it another ip or podCIDR");
  }
  step.action.targets = {name};
  step.action.ip = change.ip;
  step.action.pod_cidr = change.pod_cidr;
  if (const NodeSpec* before = reading.cast.node(name, step.at)) {
    NodeSpec node = *before;
    node.ip = change.ip.value_or(node.ip);
    node.pod_cidr = change.pod_cidr.value_or(node.pod_cidr);
    if (reading.cast.node_is_there(name, step.at)) {
      reading.cast.node_is(step.at, node);
    }
  }
}

void read_placed_pod(Reading& reading, const ActionRule& rule, const YamlValue& value, Step& step) {
  const auto [name, said] = read_named(reading, rule, value);
  if (rule.kind == ActionKind::MovePod) {
    check_pod_name(reading, name, value.line);
    reading.cast.pod_leaves(step.at, name);
  } else {
    (void)read_new_name(reading, name, value.line, "pod");
  }
  const PodPlace place = read_pod_place(reading, *said, name, step.at, false);
  const PodSpec pod = complete_pod(reading, name, place, step.at, value.line);
  step.action.targets = {name};
  step.action.node = pod.node;
  step.action.address = pod.address;
}

void swap_addresses(Reading& reading, const Step& step) {
  const std::vector<std::string>& names = step.action.targets;
  const NodeSpec* a = names.size() == 2 ? reading.cast.node(names[0], step.at) : nullptr;
  const NodeSpec* b = names.size() == 2 ? reading.cast.node(names[1], step.at) : nullptr;
  const auto is_there = [&](const std::string& name) {
    return reading.cast.node_is_there(name, step.at);
  };
  if (a != nullptr && b != nullptr && std::ranges::all_of(names, is_there)) {
    NodeSpec first = *a;
    NodeSpec second = *b;
    std::swap(first.ip, second.ip);
    reading.cast.node_is(step.at, first);
    reading.cast.node_is(step.at, second);
  }
}

void add_hostile(Reading& reading, const std::string& name, std::uint32_t line) {
  const bool is_new = reading.hostile.insert(name).second;
  if (!is_new || reading.cast.node(name, Cast::kEnd) != nullptr) {
    reading.problem.report(
        line, "there is a node " + name + " already; a hostile one needs a name of its own");
  }
}

// What was recorded fits one node alone.
void check_recording(Reading& reading, const Step& step, std::uint32_t line) {
  const Release& release = releases().at(step.action.amount);
  for (const std::string& target : step.action.targets) {
    const NodeSpec* node = reading.cast.node(target, step.at);
    const Recording* recording = release.recording(target);
    if (node != nullptr && (recording == nullptr || recording->node != *node)) {
      const NodeSpec& fits = (recording == nullptr ? release.recordings.front() : *recording).node;
      reading.problem.report(line, "release " + release.version + " left nothing on " + target +
                                       " as it is here; it did on " + fits.name + " at " +
                                       format(fits.ip) + " with " + format(fits.pod_cidr));
    }
  }
}

// Reads what the action is done to, and what it does to the cast.
void read_action(Reading& reading, const ActionRule& rule, const YamlEntry& entry, Step& step) {
  switch (rule.kind) {
    case ActionKind::AddNode: return read_new_node(reading, rule, entry.value, step);
    case ActionKind::ChangeNode: return read_changed_node(reading, rule, entry.value, step);
    case ActionKind::AddPod:
    case ActionKind::MovePod: return read_placed_pod(reading, rule, entry.value, step);
    default: step.action.targets = read_targets(reading, rule, entry);
  }
  if (rule.kind == ActionKind::SwapAddresses) {
    swap_addresses(reading, step);
  } else if (rule.kind == ActionKind::Upgrade) {
    check_recording(reading, step, entry.line);
  }
  for (const std::string& target : step.action.targets) {
    if (rule.kind == ActionKind::DeleteNode) {
      reading.cast.node_leaves(step.at, target);
    } else if (rule.kind == ActionKind::DeletePod) {
      reading.cast.pod_leaves(step.at, target);
    } else if (rule.kind == ActionKind::HostileNode) {
      add_hostile(reading, target, entry.line);
    }
  }
}

// A word of the rule, or a number of its range; words alone are asked for if they are all there is.
std::uint64_t read_amount(Reading& reading, const AmountRule& rule, const YamlValue& value) {
  const auto word =
      std::ranges::find_if(rule.words, [&](const auto& w) { return w.first == value.text; });
  if (word != rule.words.end()) {
    return word->second;
  }
  const bool is_number =
      !value.text.empty() && value.text.find_first_not_of("0123456789") == std::string::npos;
  if (rule.words.size() != rule.max - rule.min + 1 || is_number) {
    return number_of(value, rule.key, rule.min, rule.max, reading.problem);
  }
  std::string words;
  for (const auto& [text, number] : rule.words) {
    words += (words.empty() ? "" : ", ") + std::string(text);
  }
  reading.problem.report(
      value.line, std::string(rule.key) + " is '" + value.text + "'; it must be one of: " + words);
  return rule.min;
}

void read_lasts(Reading& reading, const ActionRule& rule, Fields& fields, Step& step) {
  const std::string action(rule.name);
  const YamlValue* lasts = fields.take("for");
  if (lasts == nullptr) {
    if (rule.lasts == ActionRule::Lasts::Must) {
      reading.problem.report(fields.line(),
                             action + " has no 'for'; add how long, such as for: 2s");
    }
    return;
  }
  step.lasts = read_time(reading, *lasts, "for");
  if (rule.lasts == ActionRule::Lasts::No) {
    reading.problem.report(lasts->line, action + " happens at once; leave out 'for'");
  } else if (*step.lasts == Duration{}) {
    reading.problem.report(lasts->line, action + " lasts no time; write a longer 'for'");
  }
}

// As servers send it and clients believe it (ports/kubernetes.h).
void read_retry_after(Reading& reading, Fields& fields, Action& action) {
  const YamlValue* value = fields.take("retry-after");
  if (value == nullptr) {
    return;
  }
  action.retry_after = read_time(reading, *value, "retry-after");
  const bool is_whole = *action.retry_after % std::chrono::seconds(1) == Duration{};
  if (!is_whole || *action.retry_after > std::chrono::hours(1)) {
    reading.problem.report(value->line, "retry-after is " + format_time(*action.retry_after) +
                                            "; it must be whole seconds, and at most 1h");
  }
}

Step read_step(Reading& reading, const YamlValue& value, Duration at) {
  Step step{.at = at, .line = value.line};
  const YamlEntry* entry = find_action_entry(reading, value);
  if (entry == nullptr) {
    return step;
  }
  const ActionRule& rule = *find_action(entry->key);
  step.action.kind = rule.kind;
  Fields fields(value, "a step with " + entry->key, reading.problem);
  (void)fields.take("at");
  (void)fields.take(rule.name);
  read_lasts(reading, rule, fields, step);
  if (!rule.amount.empty()) {
    const std::string example = std::string(rule.amount) + ": a number";
    step.action.amount =
        read_amount(reading, amount_rule(rule.amount), fields.need(rule.amount, example));
  }
  if (!rule.delay.empty()) {
    const YamlValue& delay = fields.need(rule.delay, std::string(rule.delay) + ": 500ms");
    step.action.delay = read_time(reading, delay, rule.delay, rule.kind == ActionKind::ClockStep);
  }
  if (rule.kind == ActionKind::ApiStatus) {
    read_retry_after(reading, fields, step.action);
  }
  fields.finish();
  read_action(reading, rule, *entry, step);
  return step;
}

const YamlEntry* entry_of(const YamlValue& map, std::string_view key) {
  const auto found = std::ranges::find(map.entries, key, &YamlEntry::key);
  return found == map.entries.end() ? nullptr : &*found;
}

// A step of the file that is an action, before it is read.
struct PlannedStep {
  Duration at;
  const YamlValue* value;
};

std::vector<PlannedStep> plan_steps(Reading& reading, const YamlValue& value,
                                    std::vector<StepExpectation>& expectations) {
  std::vector<PlannedStep> steps;
  Duration last{};
  for (const YamlValue& item : value.items) {
    if (const YamlEntry* expect = entry_of(item, "expect")) {
      if (item.entries.size() != 1) {
        reading.problem.report(item.line,
                               "an expectation beside other keys; write a step of its "
                               "own: {expect: {...}}");
      }
      expectations.push_back({.value = &expect->value, .from = last});
      continue;
    }
    if (item.kind != YamlValue::Kind::Map) {
      reading.problem.report(item.line, "a step is not a map; write {at: 1s, delete-node: n2}");
    }
    const YamlEntry* at = entry_of(item, "at");
    if (at == nullptr) {
      reading.problem.report(item.line, "a step has no 'at'; add when, such as at: 1s");
    } else {
      last = read_time(reading, at->value, "at");
    }
    steps.push_back({.at = last, .value = &item});
  }
  return steps;
}

}  // namespace

std::vector<Step> read_steps(Reading& reading, const YamlValue& value,
                             std::vector<StepExpectation>& expectations) {
  if (value.kind != YamlValue::Kind::Sequence) {
    reading.problem.report(value.line, "steps is not a list; write '- {at: 1s, ...}' lines");
  }
  if (value.items.size() > kMaxSteps) {
    reading.problem.report(value.line,
                           "more than " + std::to_string(kMaxSteps) + " steps; leave some out");
    return {};
  }
  std::vector<PlannedStep> planned = plan_steps(reading, value, expectations);
  std::ranges::stable_sort(planned, std::less<>{}, &PlannedStep::at);
  std::vector<Step> steps;
  steps.reserve(planned.size());
  for (const PlannedStep& step : planned) {
    steps.push_back(read_step(reading, *step.value, step.at));
  }
  return steps;
}

}  // namespace vxmesh
