#include "adapters/kube/node_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vxmesh {
namespace {

using namespace std::chrono_literals;

// As a real server writes it, with things in it that we skip: escapes, nested objects, numbers.
constexpr const char* kN1 =
    R"({"metadata": {"name": "n1", "uid": "u-1", "resourceVersion": "17",
        "creationTimestamp": "2026-08-22T10:05:00Z", "labels": {"a/b": "\u00e9\ud83d\ude00\"\\"},
        "managedFields": [{"fieldsV1": {"f:spec": {"f:podCIDR": {}, "v:\"100.96.1.0/24\"": {}}}}]},
        "spec": {"podCIDR": "100.96.1.0/24", "podCIDRs": ["100.96.1.0/24", "fd00:1::/64"]},
        "status": {"addresses": [{"type": "Hostname", "address": "n1"},
        {"address": "172.20.0.11", "type": "InternalIP"},
        {"type": "ExternalIP", "address": "2001:db8::1"}],
        "capacity": {"cpu": 2, "x": [1.5e3, -1, 18446744073709551615, true, null]}}})";

Node n1() {
  return Node{.name = "n1",
              .uid = "u-1",
              .created_s = 1787393100,
              .pod_cidrs = {IpPrefix::parse("100.96.1.0/24").value(),
                            IpPrefix::parse("fd00:1::/64").value()},
              .addresses = {{.type = NodeAddressType::InternalIp,
                             .address = IpAddress::parse("172.20.0.11").value()},
                            {.type = NodeAddressType::ExternalIp,
                             .address = IpAddress::parse("2001:db8::1").value()}}};
}

std::string list_of(const std::string& items) {
  return R"({"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "4711",
             "continue": "token"}, "items": [)" +
         items + "]}";
}

// A Node with this where the spec's and status's members go.
std::string node_with(const std::string& spec, const std::string& status) {
  return R"({"metadata": {"name": "n", "uid": "u"}, "spec": {)" + spec + R"(}, "status": {)" +
         status + "}}";
}

struct ListOutcome {
  std::vector<NodeOrRejection> nodes;
  std::optional<std::pair<std::string, std::string>> end;  // resourceVersion, continue
  std::string error;

  friend bool operator==(const ListOutcome&, const ListOutcome&) = default;
};

// Feeds `pieces` one after another, as a client would.
ListOutcome parse_list(const std::vector<std::string>& pieces) {
  NodeListParser parser;
  ListOutcome outcome;
  const auto take = [&] {
    for (auto& node : parser.take_nodes()) {
      outcome.nodes.push_back(std::move(node));
    }
  };
  for (const std::string& piece : pieces) {
    const auto fed = parser.feed(piece);
    take();
    if (!fed) {
      outcome.error = fed.error().context;
      return outcome;
    }
  }
  const auto end = parser.finish();
  take();
  if (end) {
    outcome.end = {end->resource_version, end->continue_token};
  } else {
    outcome.error = end.error().context;
  }
  return outcome;
}

struct WatchOutcome {
  std::vector<WatchItem> items;
  std::string error;

  friend bool operator==(const WatchOutcome&, const WatchOutcome&) = default;
};

WatchOutcome parse_watch(const std::vector<std::string>& pieces) {
  WatchStreamParser parser;
  WatchOutcome outcome;
  const auto take = [&] {
    for (auto& item : parser.take_items()) {
      outcome.items.push_back(std::move(item));
    }
  };
  for (const std::string& piece : pieces) {
    const auto fed = parser.feed(piece);
    take();
    if (!fed) {
      outcome.error = fed.error().context;
      return outcome;
    }
  }
  const auto end = parser.finish();
  take();
  outcome.error = end ? "" : end.error().context;
  return outcome;
}

NodeOrRejection parse_one(const std::string& item) {
  const ListOutcome outcome = parse_list({list_of(item)});
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.nodes.size(), 1U);
  return outcome.nodes.empty() ? NodeOrRejection() : outcome.nodes.front();
}

std::string rejection_of(const std::string& item) {
  const NodeOrRejection node = parse_one(item);
  const auto* const rejection = std::get_if<NodeRejection>(&node);
  return rejection == nullptr ? "accepted" : rejection->reason;
}

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> bytes;
  for (const char c : text) {
    bytes.emplace_back(1, c);
  }
  return bytes;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string watch_lines() {
  const std::string node = one_line(kN1);
  return R"({"type": "ADDED", "object": )" + node + "}\n" + R"({"object": )" + node +
         R"(, "type": "MODIFIED"})" + "\r\n\n" +
         R"({"type": "BOOKMARK", "object": {"kind": "Node", "metadata": {"resourceVersion": "18",
         "creationTimestamp": null}}})" +
         "\n" + R"({"type": "RENAMED", "object": {}})" + "\n" +
         R"({"type": "DELETED", "object": {"metadata": {"name": "n2", "resourceVersion": "19"}}})" +
         "\n" +
         R"({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410,
         "reason": "Expired", "message": "too old", "details": {"retryAfterSeconds": 2}}})" +
         "\n";
}

std::string watch_text() {
  // The raw strings above have line breaks inside of events, which a stream does not.
  std::string text;
  for (const char c : watch_lines()) {
    const bool inside =
        c == '\n' && !text.ends_with("}") && !text.ends_with("\r") && !text.ends_with("\n");
    text += inside ? ' ' : c;
  }
  return text;
}

TEST(NodeList, GivesEachNodeTyped) {
  const ListOutcome outcome = parse_list({list_of(std::string(kN1) + "," + node_with("", ""))});
  EXPECT_EQ(
      outcome,
      (ListOutcome{
          .nodes = {n1(),
                    Node{
                        .name = "n", .uid = "u", .created_s = 0, .pod_cidrs = {}, .addresses = {}}},
          .end = {{"4711", "token"}},
          .error = ""}));
}

TEST(NodeList, GivesANodeAsSoonAsItIsComplete) {
  NodeListParser parser;
  const std::string text = list_of(std::string(kN1) + ", {\"metadata\": {");
  ASSERT_TRUE(parser.feed(text.substr(0, text.size() - 2)));
  EXPECT_EQ(parser.take_nodes(), std::vector<NodeOrRejection>{n1()});
}

TEST(NodeList, ThePluralWinsAndTheSingularIsEnough) {
  const auto cidrs = [](const std::string& spec) {
    return std::get<Node>(parse_one(node_with(spec, ""))).pod_cidrs;
  };
  const auto prefix = [](const char* text) { return IpPrefix::parse(text).value(); };
  EXPECT_EQ(cidrs(R"("podCIDR": "10.1.0.0/16")"), std::vector{prefix("10.1.0.0/16")});
  EXPECT_EQ(cidrs(R"("podCIDR": "10.1.0.0/16", "podCIDRs": ["10.2.0.0/16"])"),
            std::vector{prefix("10.2.0.0/16")});
  EXPECT_EQ(cidrs(R"("podCIDRs": ["10.1.0.0/16"], "podCIDRs": ["10.2.0.0/16"])"),
            std::vector{prefix("10.2.0.0/16")});
  EXPECT_EQ(cidrs(R"("podCIDR": "", "podCIDRs": [])"), std::vector<IpPrefix>{});
  EXPECT_EQ(cidrs(R"("podCIDR": null, "podCIDRs": null)"), std::vector<IpPrefix>{});
}

TEST(NodeList, WhatCannotBeTypedIsRejectedByName) {
  const NodeOrRejection node = parse_one(node_with(R"("podCIDRs": ["100.96.1.7/24"])", ""));
  const auto& rejection = std::get<NodeRejection>(node);
  EXPECT_EQ(rejection.name, "n");
  EXPECT_EQ(rejection.uid, "u");
  EXPECT_TRUE(rejection.reason.starts_with("spec.podCIDRs[0]: ")) << rejection.reason;

  EXPECT_EQ(rejection_of(R"({"metadata": {"uid": "u"}})"), "metadata.name is missing");
  EXPECT_EQ(rejection_of(R"({"metadata": {"name": "n"}})"), "metadata.uid is missing");
  EXPECT_EQ(rejection_of("{}"), "metadata.name is missing");
  EXPECT_EQ(rejection_of("7"), "an item has the wrong type");
  EXPECT_EQ(rejection_of("null"), "an item has the wrong type");
  EXPECT_EQ(rejection_of(R"({"kind": "Pod", "metadata": {"name": "n", "uid": "u"}})"),
            "kind is 'Pod', not Node");
  EXPECT_EQ(rejection_of(R"({"metadata": {"name": 3, "uid": "u"}})"),
            "metadata.name has the wrong type");
  EXPECT_EQ(rejection_of(R"({"metadata": {"name": "n", "uid": "u", "creationTimestamp": "now"}})"),
            "metadata.creationTimestamp 'now' is not an RFC 3339 time");
  EXPECT_EQ(rejection_of(node_with(R"("podCIDRs": "10.0.0.0/8")", "")),
            "spec.podCIDRs has the wrong type");
  EXPECT_EQ(rejection_of(node_with(R"("podCIDRs": [null])", "")),
            "an entry of spec.podCIDRs has the wrong type");
  EXPECT_TRUE(
      rejection_of(node_with(R"("podCIDR": "10.0.0.0")", "")).starts_with("spec.podCIDR: "));
  EXPECT_TRUE(rejection_of(node_with("", R"("addresses": [{"type": "InternalIP",
                                             "address": "172.20.0.300"}])"))
                  .starts_with("status.addresses[0]: "));
  EXPECT_TRUE(rejection_of(node_with("", R"("addresses": [{"type": "InternalIP"}])"))
                  .starts_with("status.addresses[0]: "));
  EXPECT_EQ(rejection_of(node_with("", R"("addresses": [{"type": "Hostname"}])")), "accepted");
}

TEST(NodeList, LimitsRejectTheNodeAndNotTheList) {
  const std::string large(5UL * 1024UL * 1024UL, 'x');
  std::string cidrs = R"("10.0.0.0/24")";
  std::string addresses = R"({"type": "Hostname"})";
  for (int i = 0; i < 16; ++i) {
    cidrs += R"(, "10.0.0.0/24")";
  }
  for (int i = 0; i < 64; ++i) {
    addresses += R"(, {"type": "Hostname"})";
  }
  const std::string items = node_with("", R"("x": ")" + large + "\"") + "," +
                            R"({"metadata": {"name": ")" + large.substr(0, 2000) +
                            R"(", "uid": "u"}},)" + node_with("\"podCIDRs\": [" + cidrs + "]", "") +
                            "," + node_with("", "\"addresses\": [" + addresses + "]") + "," + kN1;
  const ListOutcome outcome = parse_list({list_of(items)});
  ASSERT_EQ(outcome.error, "");
  ASSERT_EQ(outcome.nodes.size(), 5U);
  const auto reason = [&outcome](std::size_t i) {
    return std::get<NodeRejection>(outcome.nodes[i]).reason;
  };
  EXPECT_EQ(reason(0), "the object is larger than 4 MiB");
  EXPECT_EQ(reason(1), "metadata.name is too long");
  EXPECT_EQ(std::get<NodeRejection>(outcome.nodes[1]).name.size(), 1024U);
  EXPECT_EQ(reason(2), "spec.podCIDRs has too many entries");
  EXPECT_EQ(reason(3), "status.addresses has too many entries");
  EXPECT_EQ(outcome.nodes[4], NodeOrRejection(n1()));
}

TEST(NodeList, OtherDocumentsAreErrors) {
  const auto error = [](const std::string& text) { return parse_list({text}).error; };
  EXPECT_EQ(error(R"({"kind": "Status", "code": 500})"), "not a NodeList: its kind is 'Status'");
  EXPECT_EQ(error(R"({"kind": "NodeList", "metadata": {"resourceVersion": "1"}})"),
            "not a NodeList: it has no items");
  EXPECT_EQ(error(R"({"kind": "NodeList", "metadata": {}, "items": []})"),
            "not a NodeList: it has no resourceVersion");
  EXPECT_EQ(error(R"({"kind": "NodeList", "metadata": {"resourceVersion": "1"}, "items": {}})"),
            "not a NodeList: items has the wrong type");
  EXPECT_EQ(error("[]"), "not a NodeList: the document has the wrong type");
  EXPECT_EQ(error(R"({"kind": "NodeList", "metadata": {"resourceVersion": "1"}, "items": null})"),
            "");
}

TEST(NodeList, MalformedTextSaysWhere) {
  EXPECT_TRUE(parse_list({"<html>"}).error.starts_with("malformed JSON at byte 0: "));
  EXPECT_EQ(parse_list({""}).error, "malformed JSON at byte 0: the list is not complete");
  EXPECT_EQ(parse_list({list_of("") + " {"}).error, "malformed JSON at byte " +
                                                        std::to_string(list_of("").size() + 1) +
                                                        ": data behind the end of the list");
  const ListOutcome outcome = parse_list({list_of(std::string(kN1) + ", x")});
  EXPECT_EQ(outcome.nodes, std::vector<NodeOrRejection>{n1()});
  EXPECT_TRUE(outcome.error.starts_with("malformed JSON at byte ")) << outcome.error;
  const std::string deep(1000, '[');
  EXPECT_TRUE(parse_list({list_of(deep)}).error.starts_with("malformed JSON at byte "));
}

TEST(NodeList, EveryTruncationIsAnError) {
  const std::string text = list_of(kN1);
  for (std::size_t size = 0; size < text.size(); ++size) {
    const ListOutcome outcome = parse_list({text.substr(0, size)});
    EXPECT_NE(outcome.error, "") << size;
    EXPECT_EQ(outcome.end, std::nullopt) << size;
  }
}

TEST(NodeList, EverySplitGivesTheSame) {
  const std::string text = list_of(std::string(kN1) + "," + node_with(R"("podCIDR": "x")", ""));
  const ListOutcome whole = parse_list({text});
  ASSERT_EQ(whole.nodes.size(), 2U);
  for (std::size_t at = 0; at <= text.size(); ++at) {
    ASSERT_EQ(parse_list({text.substr(0, at), text.substr(at)}), whole) << at;
  }
  EXPECT_EQ(parse_list(bytes_of(text)), whole);
}

TEST(WatchStream, GivesEachEvent) {
  const WatchOutcome outcome = parse_watch({watch_text()});
  EXPECT_EQ(
      outcome,
      (WatchOutcome{
          .items = {WatchNodeEvent{
                        .type = WatchEventType::Added, .node = n1(), .resource_version = "17"},
                    WatchNodeEvent{
                        .type = WatchEventType::Modified, .node = n1(), .resource_version = "17"},
                    WatchBookmark{.resource_version = "18"}, WatchSkipped{.type = "RENAMED"},
                    WatchNodeEvent{.type = WatchEventType::Deleted,
                                   .node = NodeRejection{.name = "n2",
                                                         .uid = "",
                                                         .reason = "metadata.uid is missing"},
                                   .resource_version = "19"},
                    WatchError{.status = {.code = 410,
                                          .reason = "Expired",
                                          .message = "too old",
                                          .retry_after = 2s}}},
          .error = ""}));
}

TEST(WatchStream, AnEventIsGivenWithItsNewline) {
  WatchStreamParser parser;
  ASSERT_TRUE(
      parser.feed(R"({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "5"}}})"));
  EXPECT_TRUE(parser.take_items().empty());
  ASSERT_TRUE(parser.feed("\n"));
  EXPECT_EQ(parser.take_items(), std::vector<WatchItem>{WatchBookmark{.resource_version = "5"}});
}

TEST(WatchStream, NothingIsKeptFromOneEventToTheNext) {
  const WatchOutcome outcome =
      parse_watch({R"({"type": "ADDED", "object": )" + one_line(kN1) + "}\n" +
                   R"({"type": "ADDED"})" + "\n" + R"({"type": "ADDED", "object": {}})" + "\n"});
  ASSERT_EQ(outcome.items.size(), 3U);
  EXPECT_EQ(outcome.items[1],
            WatchItem(WatchNodeEvent{
                .type = WatchEventType::Added,
                .node = NodeRejection{.name = "", .uid = "", .reason = "the event has no object"},
                .resource_version = ""}));
  EXPECT_EQ(outcome.items[2],
            WatchItem(WatchNodeEvent{
                .type = WatchEventType::Added,
                .node = NodeRejection{.name = "", .uid = "", .reason = "metadata.name is missing"},
                .resource_version = ""}));
}

TEST(WatchStream, ABookmarkWithoutAVersionIsSkipped) {
  EXPECT_EQ(parse_watch({"{\"type\": \"BOOKMARK\", \"object\": {}}\n"}).items,
            std::vector<WatchItem>{WatchSkipped{.type = "BOOKMARK"}});
}

TEST(WatchStream, ACutEventIsAnErrorAndAMissingNewlineIsNot) {
  const std::string event = R"({"type": "RENAMED", "object": {}})";
  EXPECT_EQ(parse_watch({event}), (WatchOutcome{.items = {WatchSkipped{"RENAMED"}}, .error = ""}));
  for (std::size_t size = 1; size < event.size(); ++size) {
    const WatchOutcome outcome = parse_watch({event.substr(0, size)});
    EXPECT_EQ(outcome.items, std::vector<WatchItem>{}) << size;
    EXPECT_EQ(outcome.error, "malformed JSON at byte " + std::to_string(size) +
                                 ": the stream ends within an event");
  }
}

TEST(WatchStream, MalformedLinesSayWhere) {
  const std::string good = "{\"type\": \"RENAMED\"}\n";
  EXPECT_TRUE(
      parse_watch({good + "x\n"})
          .error.starts_with("malformed JSON at byte " + std::to_string(good.size()) + ": "));
  EXPECT_TRUE(parse_watch({good + good.substr(0, good.size() - 1) + " {}\n"})
                  .error.find("data behind the end of an event") != std::string::npos);
  EXPECT_TRUE(parse_watch({"{\"object\": {}}\n"}).error.find("there is no type") !=
              std::string::npos);
  EXPECT_NE(parse_watch({"[]\n"}).error, "");
}

TEST(WatchStream, EverySplitGivesTheSame) {
  const std::string text = watch_text();
  const WatchOutcome whole = parse_watch({text});
  ASSERT_EQ(whole.items.size(), 6U);
  for (std::size_t at = 0; at <= text.size(); ++at) {
    ASSERT_EQ(parse_watch({text.substr(0, at), text.substr(at)}), whole) << at;
  }
  EXPECT_EQ(parse_watch(bytes_of(text)), whole);
}

// `text` with a few bytes changed, removed or repeated.
std::string mutated(std::string text) {
  const int edits = *rc::gen::inRange(1, 6);
  for (int i = 0; i < edits && !text.empty(); ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    const auto size = *rc::gen::inRange<std::size_t>(1, 40);
    switch (*rc::gen::inRange(0, 3)) {
      case 0: text[at] = *rc::gen::arbitrary<char>(); break;
      case 1: text.erase(at, size); break;
      default: text.insert(at, text.substr(*rc::gen::inRange<std::size_t>(0, text.size()), size));
    }
  }
  return text;
}

// Cuts `text` at some places.
std::vector<std::string> cut(const std::string& text) {
  std::vector<std::string> pieces;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto size = *rc::gen::inRange<std::size_t>(1, 50);
    pieces.push_back(text.substr(at, size));
    at += size;
  }
  return pieces;
}

// A broken text breaks at the same place however it is cut, but the parser may notice a few bytes
// later, so that the offset in the message is not compared.
RC_GTEST_PROP(NodeListProperty, BrokenTextIsTheSameInAnyPieces, ()) {
  const std::string text = mutated(list_of(std::string(kN1) + "," + kN1));
  const ListOutcome whole = parse_list({text});
  const ListOutcome pieces = parse_list(cut(text));
  RC_ASSERT((pieces.nodes == whole.nodes));
  RC_ASSERT((pieces.end == whole.end));
  RC_ASSERT((pieces.error.empty() == whole.error.empty()));
}

RC_GTEST_PROP(WatchStreamProperty, BrokenTextIsTheSameInAnyPieces, ()) {
  const std::string text = mutated(watch_text());
  const WatchOutcome whole = parse_watch({text});
  const WatchOutcome pieces = parse_watch(cut(text));
  RC_ASSERT((pieces.items == whole.items));
  RC_ASSERT((pieces.error.empty() == whole.error.empty()));
}

}  // namespace
}  // namespace vxmesh
