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
#include "sim/kube/subscribers.h"

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
// Memory: the history grows until it is compacted, and behind a pin even then. Threading: one
// thread.
template <typename Payload>
class Store {
 public:
  // Immutable: events, pages and the store share one, and its payload with what touch() makes of
  // it.
  struct Object {
    std::string name;
    ResourceVersion resource_version;
    std::shared_ptr<const Payload> payload;
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
    std::uint64_t revision = 0;  // the state that it is a page of
    ResourceVersion resource_version;
    std::string continue_token;  // empty: this was the last page
  };

  using Subscription = Subscribers::Subscription;

  // Keeps what a reader has still to read: the state at the revision in it and all that came after,
  // until the reader moves it on or drops it. It may outlive the store.
  using Pin = std::shared_ptr<std::uint64_t>;

  // `first_revision` is the resourceVersion of the empty store; never 0, which means "any" in the
  // API. A smaller one than a client has seen is a store restored from a backup.
  explicit Store(std::uint64_t first_revision = 1)
      : revision_(first_revision), compacted_(first_revision), kept_(first_revision) {
    check(first_revision > 0, "revision 0 stands for any");
  }

  // --- Writing ---

  // `name` is not empty: whoever takes names from outside refuses that first.
  StoreResult<ObjectPtr> create(const std::string& name, Payload payload) {
    check(!name.empty(), "every object has a name");
    if (find(name) != nullptr) {
      return tl::unexpected(StoreError::AlreadyExists);
    }
    return write(WatchEventType::Added, name, share(std::move(payload)));
  }

  // Replaces the payload; an equal one changes nothing, not even the revision. With
  // `expected_version` only if the object still has it (metadata.resourceVersion of a PUT).
  StoreResult<ObjectPtr> update(const std::string& name, Payload payload,
                                const std::optional<ResourceVersion>& expected_version = {}) {
    const ObjectPtr object = find(name);
    if (const auto refusal = refuse(object, expected_version)) {
      return tl::unexpected(*refusal);
    }
    if (*object->payload == payload) {
      return object;
    }
    return write(WatchEventType::Modified, name, share(std::move(payload)));
  }

  // A write of something in the object that the payload does not tell, such as a heartbeat.
  StoreResult<ObjectPtr> touch(const std::string& name) {
    const ObjectPtr object = find(name);
    if (object == nullptr) {
      return tl::unexpected(StoreError::NotFound);
    }
    return write(WatchEventType::Modified, name, object->payload);
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
    subscribers_.notify();
  }

  // Forgets the history up to `revision`, which has been: older watches and continue tokens are
  // Expired from here on, and the memory is freed of all that no pin keeps.
  void compact(std::uint64_t revision) {
    check(revision <= revision_, "what is still to come cannot be forgotten");
    compacted_ = std::max(compacted_, revision);
    kept_ = compacted_;
    std::erase_if(pins_, [](const auto& pin) { return pin.expired(); });
    for (const auto& pin : pins_) {
      kept_ = std::min(kept_, *pin.lock());
    }
    history_.erase(history_.begin(), first_after(kept_));
    for (auto entry = versions_.begin(); entry != versions_.end();) {
      forget_before(entry->second, kept_);
      entry = entry->second.empty() ? versions_.erase(entry) : std::next(entry);
    }
  }
  // Up to now.
  void compact() { compact(revision_); }

  // --- Reading ---

  [[nodiscard]] StoreResult<ObjectPtr> get(const std::string& name) const {
    ObjectPtr object = find(name);
    if (object == nullptr) {
      return tl::unexpected(StoreError::NotFound);
    }
    return object;
  }

  [[nodiscard]] std::uint64_t revision() const { return revision_; }
  // The oldest that can be read without a pin.
  [[nodiscard]] std::uint64_t compacted() const { return compacted_; }
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

  // Objects behind this page (remainingItemCount). It looks at each of them.
  [[nodiscard]] std::uint64_t remaining(const Page& page) const {
    std::uint64_t count = 0;
    if (!page.continue_token.empty()) {
      for (auto entry = versions_.upper_bound(page.objects.back()->name); entry != versions_.end();
           ++entry) {
        count += at(entry->second, page.revision) == nullptr ? 0U : 1U;
      }
    }
    return count;
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
    const auto first = first_after(*revision);
    const auto there = static_cast<std::size_t>(history_.end() - first);
    return std::vector<Event>(first, first + static_cast<std::ptrdiff_t>(std::min(there, max)));
  }

  // --- Reading behind a pin, whatever was compacted since it was made ---

  // `revision` has not been compacted, or another pin is there.
  [[nodiscard]] Pin pin(std::uint64_t revision) {
    check(revision >= kept_, "what is forgotten cannot be kept");
    auto pin = std::make_shared<std::uint64_t>(revision);
    std::erase_if(pins_, [](const auto& other) { return other.expired(); });
    pins_.push_back(pin);
    return pin;
  }

  // The first page of the state at `revision`, of at most `limit` objects (0: all).
  [[nodiscard]] Page first_page(std::uint64_t revision, std::uint32_t limit) const {
    check(kept_ <= revision && revision <= revision_, "a pin keeps what is read");
    return page(ContinueToken{.revision = revision, .after = ""}, limit);
  }

  // The first event after `revision`; null if there is none. Good until the next compaction.
  [[nodiscard]] const Event* event_after(std::uint64_t revision) const {
    check(revision >= kept_, "a pin keeps what is read");
    if (history_.empty() || history_.back().revision <= revision) {
      return nullptr;  // without a search, and so is the next
    }
    if (history_.size() == 1 || std::next(history_.rbegin())->revision <= revision) {
      return &history_.back();
    }
    return &*first_after(revision);
  }

  // `changed` is called inside every change and advance(), after it, in the order of subscription;
  // it may read, but not change or subscribe.
  [[nodiscard]] Subscription subscribe(std::function<void()> changed) {
    return subscribers_.add(std::move(changed));
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

  [[nodiscard]] static std::shared_ptr<const Payload> share(Payload payload) {
    return std::make_shared<const Payload>(std::move(payload));
  }

  ObjectPtr write(WatchEventType type, const std::string& name,
                  std::shared_ptr<const Payload> payload) {
    ++revision_;
    auto object = std::make_shared<const Object>(Object{
        .name = name, .resource_version = resource_version(), .payload = std::move(payload)});
    const bool deleted = type == WatchEventType::Deleted;
    versions_[name].push_back(Version{.revision = revision_, .object = deleted ? nullptr : object});
    history_.push_back(Event{.revision = revision_, .type = type, .object = object});
    subscribers_.notify();
    return object;
  }

  [[nodiscard]] auto first_after(std::uint64_t revision) const {
    return std::upper_bound(
        history_.begin(), history_.end(), revision,
        [](std::uint64_t after, const Event& event) { return after < event.revision; });
  }

  // Leaves what is needed to say the state at `revision` and at any later one.
  static void forget_before(std::vector<Version>& chain, std::uint64_t revision) {
    auto first = first_later(chain, revision);
    if (first != chain.begin() && std::prev(first)->object != nullptr) {
      --first;
    }
    chain.erase(chain.begin(), first);
  }

  [[nodiscard]] Page page(const ContinueToken& start, std::uint32_t limit) const {
    Page page{.objects = {},
              .revision = start.revision,
              .resource_version = std::to_string(start.revision),
              .continue_token = ""};
    for (auto entry = versions_.upper_bound(start.after); entry != versions_.end(); ++entry) {
      const ObjectPtr object = at(entry->second, start.revision);
      if (object == nullptr) {
        continue;
      }
      if (limit > 0 && page.objects.size() == limit) {
        page.continue_token =
            format(ContinueToken{.revision = start.revision, .after = page.objects.back()->name});
        break;
      }
      page.objects.push_back(object);
    }
    return page;
  }

  [[nodiscard]] static auto first_later(const std::vector<Version>& chain, std::uint64_t revision) {
    return std::upper_bound(
        chain.begin(), chain.end(), revision,
        [](std::uint64_t wanted, const Version& version) { return wanted < version.revision; });
  }

  [[nodiscard]] static ObjectPtr at(const std::vector<Version>& chain, std::uint64_t revision) {
    const auto later = first_later(chain, revision);
    return later == chain.begin() ? nullptr : std::prev(later)->object;
  }

  std::uint64_t revision_;
  std::uint64_t compacted_;                               // compacted()
  std::uint64_t kept_;                                    // the oldest that can be read at all
  std::map<std::string, std::vector<Version>> versions_;  // each chain in order of revision
  std::deque<Event> history_;                             // revisions above kept_, in order
  std::vector<std::weak_ptr<const std::uint64_t>> pins_;
  Subscribers subscribers_;
};

}  // namespace vxmesh
