// The Nodes part of the Kubernetes API over a store: what each request means, without HTTP's bytes.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/http/message.h"
#include "ports/clock.h"
#include "sim/kube/store.h"

namespace vxmesh {

// Decoded query parameters; of one that comes twice the first counts, as for the real server.
using Query = std::map<std::string, std::string>;
// The part of a target behind '?'; nothing if it is not well encoded.
[[nodiscard]] std::optional<Query> parse_query(std::string_view text);

[[nodiscard]] HttpResponse json_response(std::uint16_t status, const boost::json::object& body);
// A Status object that says Failure; also the object of an ERROR event.
[[nodiscard]] boost::json::object failure_status(std::uint16_t code, std::string_view reason,
                                                 std::string_view message);
[[nodiscard]] HttpResponse failure_response(std::uint16_t code, std::string_view reason,
                                            std::string_view message);
[[nodiscard]] HttpResponse failure_response(StoreError error);

// Contract: each method answers one request as the API server would, and changes the store as it
// would. Where it is laxer, so that tests can have Nodes that a real server would not store:
// labels, spec and status are not validated, and a PUT replaces the status too. uids count up
// instead of being random.
class NodeApi {
 public:
  using NodeStore = Store<boost::json::object>;

  // `clock` outlives this; for creationTimestamp.
  NodeApi(const Clock& clock, std::uint64_t first_revision)
      : clock_(&clock), store_(first_revision) {}

  [[nodiscard]] HttpResponse list(const Query& query) const;
  [[nodiscard]] HttpResponse get(const std::string& name) const;
  [[nodiscard]] HttpResponse create(const std::string& body);
  // With `status_only` as the status subresource does: nothing else changes.
  [[nodiscard]] HttpResponse update(const std::string& name, const std::string& body,
                                    bool status_only);
  [[nodiscard]] HttpResponse remove(const std::string& name, const std::string& body);

  // A list without items, in the present state: what a broken server or a wrong role would give.
  [[nodiscard]] HttpResponse empty_list() const;

  // The JSON of one watch event, with its newline.
  [[nodiscard]] static std::string event_line(const NodeStore::Event& event);
  [[nodiscard]] static std::string bookmark_line(const ResourceVersion& resource_version);
  [[nodiscard]] static std::string error_line(const boost::json::object& status);

  [[nodiscard]] NodeStore& store() { return store_; }

 private:
  const Clock* clock_;
  NodeStore store_;
};

}  // namespace vxmesh
