// The store of a fake Kubernetes API server: what etcd and the watch cache do for one resource.
//
// Clock-free and without I/O: time, bookmark intervals and HTTP are those of its front, which is
// sim/kube/fake_kubernetes.h in the simulator and sim/fakekube over HTTP.
//
// Where it differs from the real server, and why:
//   - A continue token that has expired offers no inconsistent continuation; clients restart.
//   - A watch from a revision that is still to come is refused at once (the real server refuses a
//     list so, and a watch depending on its version).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ports/kubernetes.h"

namespace vxmesh {

enum class StoreError : std::uint8_t {
  AlreadyExists,            // create of a name that is there
  NotFound,                 // update, delete or get of a name that is not
  Conflict,                 // the precondition's resourceVersion is not the object's
  Expired,                  // the resourceVersion or continue token is older than the history
  ResourceVersionTooLarge,  // the resourceVersion is still to come
  BadRequest,               // a resourceVersion or continue token that this server never gave out
};

// The answer that the real server gives: HTTP status, Status.reason and Status.message.
struct StoreErrorStatus {
  std::uint16_t code = 0;
  std::string_view reason;
  std::string_view message;
};
[[nodiscard]] StoreErrorStatus status_of(StoreError error);

template <typename T>
using StoreResult = tl::expected<T, StoreError>;

// Where a page of a list starts: behind `after` (empty: at the beginning), in the state at
// `revision`.
struct ContinueToken {
  std::uint64_t revision = 0;
  std::string after;

  friend bool operator==(const ContinueToken&, const ContinueToken&) = default;
};
[[nodiscard]] std::string format(const ContinueToken& token);
[[nodiscard]] StoreResult<ContinueToken> parse_continue_token(std::string_view text);

// A decimal number as this store writes it: no sign, no leading zero.
[[nodiscard]] StoreResult<std::uint64_t> parse_revision(std::string_view text);

// Contract: objects by name, in name order. Each change gives the store the next revision, which is
// the resourceVersion of the object and of the event. Every revision since the last compaction can
// be listed, and watched from. What the payload says of itself (uid, creation time) is the
// caller's; `Payload` needs ==, because the real server does not store an update that changes
// nothing.
// Memory: the history grows until compact(). Threading: one thread.
template <typename Payload>
class Store {
 public:
  // Immutable: events, pages and the store share one.
  struct Object {
    std::string name;
    ResourceVersion resource_version;
    Payload payload;
  };
  using ObjectPtr = std::shared_ptr<const Object>;

  // Deleted events carry the last state, with the resourceVersion of the deletion.
  struct Event {
    std::uint64_t revision = 0;
    WatchEventType type = WatchEventType::Added;
    ObjectPtr object;
  };

  struct Page {
    std::vector<ObjectPtr> objects;
    ResourceVersion resource_version;
    std::string continue_token;   // empty: this was the last page
    std::uint64_t remaining = 0;  // objects behind this page (remainingItemCount)
  };

  // Unsubscribes when it is destroyed, before the store or after it.
  using Subscription = std::shared_ptr<const void>;

  // `first_revision` is the resourceVersion of the empty store; never 0, which means "any" in the
  // API. A smaller one than a client has seen is a store restored from a backup.
  explicit Store(std::uint64_t first_revision = 1)
      : revision_(first_revision), compacted_(first_revision) {
    check(first_revision > 0, "revision 0 stands for any");
  }

  // --- Writing ---

  // `name` is not empty: whoever takes names from outside refuses that first.
  StoreResult<ObjectPtr> create(const std::string& name, Payload payload) {
    check(!name.empty(), "every object has a name");
    if (find(name) != nullptr) {
      return tl::unexpected(StoreError::AlreadyExists);
    }
    return write(WatchEventType::Added, name, std::move(payload));
  }

  // Replaces the payload; an equal one changes nothing, not even the revision. With
  // `expected_version` only if the object still has it (metadata.resourceVersion of a PUT).
  StoreResult<ObjectPtr> update(const std::string& name, Payload payload,
                                const std::optional<ResourceVersion>& expected_version = {}) {
    const ObjectPtr object = find(name);
    if (const auto refusal = refuse(object, expected_version)) {
      return tl::unexpected(*refusal);
    }
    if (object->payload == payload) {
      return object;
    }
    return write(WatchEventType::Modified, name, std::move(payload));
  }

  StoreResult<ObjectPtr> touch(const std::string& name) {
    return write(WatchEventType::Modified, name, find(name)->payload);
  }

  // Gives the last state, with the resourceVersion of the deletion.
  StoreResult<ObjectPtr> remove(const std::string& name,
                                const std::optional<ResourceVersion>& expected_version = {}) {
    const ObjectPtr object = find(name);
    if (const auto refusal = refuse(object, expected_version)) {
      return tl::unexpected(*refusal);
    }
    return write(WatchEventType::Deleted, name, object->payload);
  }

  // A change of something else in the cluster: the revision rises, nothing here changes.
  void advance() {
    ++revision_;
    notify();
  }

  // Forgets the history up to now: older watches and continue tokens are Expired from here on.
  void compact() {
    compacted_ = revision_;
    history_.clear();
    for (auto entry = versions_.begin(); entry != versions_.end();) {
      std::vector<Version>& chain = entry->second;
      if (chain.back().object == nullptr) {
        entry = versions_.erase(entry);
      } else {
        chain.erase(chain.begin(), std::prev(chain.end()));
        ++entry;
      }
    }
  }

  // --- Reading ---

  [[nodiscard]] StoreResult<ObjectPtr> get(const std::string& name) const {
    ObjectPtr object = find(name);
    if (object == nullptr) {
      return tl::unexpected(StoreError::NotFound);
    }
    return object;
  }

  // The latest resourceVersion: what a bookmark says.
  [[nodiscard]] ResourceVersion resource_version() const { return std::to_string(revision_); }

  // The first page of at most `limit` objects (0: all), or, with a token, the next one of the same
  // state. `not_older_than`: empty or "0" for the most recent; it does not go with a token.
  [[nodiscard]] StoreResult<Page> list(std::uint32_t limit, const std::string& continue_token = "",
                                       const ResourceVersion& not_older_than = "") const {
    ContinueToken start{.revision = revision_, .after = ""};
    if (!continue_token.empty()) {
      const auto token = parse_continue_token(continue_token);
      if (!token || !not_older_than.empty()) {
        return tl::unexpected(StoreError::BadRequest);
      }
      start = *token;
    } else if (!not_older_than.empty() && not_older_than != "0") {
      const auto revision = parse_revision(not_older_than);
      if (!revision) {
        return tl::unexpected(revision.error());
      }
      if (*revision > revision_) {
        return tl::unexpected(StoreError::ResourceVersionTooLarge);
      }
    }
    if (start.revision > revision_) {
      return tl::unexpected(StoreError::BadRequest);
    }
    if (start.revision < compacted_) {
      return tl::unexpected(StoreError::Expired);
    }
    return page(start, limit);
  }

  // What happened after `resource_version`, in order, at most `max` events. A watch is this call,
  // repeated: from the last event's resourceVersion, or, when nothing is left to read, from
  // resource_version(), so that a compaction does not overtake it.
  [[nodiscard]] StoreResult<std::vector<Event>> events_since(
      const ResourceVersion& resource_version, std::size_t max = SIZE_MAX) const {
    const auto revision = parse_revision(resource_version);
    if (!revision) {
      return tl::unexpected(revision.error());
    }
    if (*revision > revision_) {
      return tl::unexpected(StoreError::ResourceVersionTooLarge);
    }
    if (*revision < compacted_) {
      return tl::unexpected(StoreError::Expired);
    }
    const auto first = std::upper_bound(
        history_.begin(), history_.end(), *revision,
        [](std::uint64_t after, const Event& event) { return after < event.revision; });
    const auto there = static_cast<std::size_t>(history_.end() - first);
    return std::vector<Event>(first, first + static_cast<std::ptrdiff_t>(std::min(there, max)));
  }

  // `changed` is called inside every change and advance(), after it, in the order of subscription;
  // it may read, but not change or subscribe.
  [[nodiscard]] Subscription subscribe(std::function<void()> changed) {
    auto subscriber = std::make_shared<const std::function<void()>>(std::move(changed));
    std::erase_if(subscribers_, [](const auto& other) { return other.expired(); });
    subscribers_.push_back(subscriber);
    return subscriber;
  }

 private:
  // One name's state from `revision` on; null: deleted.
  struct Version {
    std::uint64_t revision = 0;
    ObjectPtr object;
  };

  [[nodiscard]] ObjectPtr find(const std::string& name) const {
    const auto entry = versions_.find(name);
    return entry == versions_.end() ? nullptr : entry->second.back().object;
  }

  [[nodiscard]] static std::optional<StoreError> refuse(
      const ObjectPtr& object, const std::optional<ResourceVersion>& expected_version) {
    if (object == nullptr) {
      return StoreError::NotFound;
    }
    if (expected_version && *expected_version != object->resource_version) {
      return StoreError::Conflict;
    }
    return std::nullopt;
  }

  ObjectPtr write(WatchEventType type, const std::string& name, Payload payload) {
    ++revision_;
    auto object = std::make_shared<const Object>(Object{
        .name = name, .resource_version = resource_version(), .payload = std::move(payload)});
    const bool deleted = type == WatchEventType::Deleted;
    versions_[name].push_back(Version{.revision = revision_, .object = deleted ? nullptr : object});
    history_.push_back(Event{.revision = revision_, .type = type, .object = object});
    notify();
    return object;
  }

  void notify() const {
    for (const auto& subscriber : subscribers_) {
      if (const auto changed = subscriber.lock()) {
        (*changed)();
      }
    }
  }

  [[nodiscard]] Page page(const ContinueToken& start, std::uint32_t limit) const {
    Page page{.objects = {},
              .resource_version = std::to_string(start.revision),
              .continue_token = "",
              .remaining = 0};
    for (auto entry = versions_.upper_bound(start.after); entry != versions_.end(); ++entry) {
      const ObjectPtr object = at(entry->second, start.revision);
      if (object == nullptr) {
        continue;
      }
      if (limit == 0 || page.objects.size() < limit) {
        page.objects.push_back(object);
      } else {
        ++page.remaining;
      }
    }
    if (page.remaining > 0) {
      page.continue_token =
          format(ContinueToken{.revision = start.revision, .after = page.objects.back()->name});
    }
    return page;
  }

  [[nodiscard]] static ObjectPtr at(const std::vector<Version>& chain, std::uint64_t revision) {
    const auto later = std::upper_bound(
        chain.begin(), chain.end(), revision,
        [](std::uint64_t wanted, const Version& version) { return wanted < version.revision; });
    return later == chain.begin() ? nullptr : std::prev(later)->object;
  }

  std::uint64_t revision_;
  std::uint64_t compacted_;                               // the oldest revision that can be read
  std::map<std::string, std::vector<Version>> versions_;  // each chain in order of revision
  std::deque<Event> history_;                             // revisions above compacted_, in order
  std::vector<std::weak_ptr<const std::function<void()>>> subscribers_;
};

}  // namespace vxmesh
