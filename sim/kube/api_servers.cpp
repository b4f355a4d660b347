#include "sim/kube/api_servers.h"

#include <algorithm>

#include "base/check.h"

namespace vxmesh {

// --- One replica ---

void ApiServer::see(std::uint64_t revision) {
  if (revision > *seen_) {
    *seen_ = revision;
    subscribers_.notify();
  }
}

StoreResult<NodeStore::Page> ApiServer::list(const ListRequest& request) const {
  if (!request.continue_token.empty() || request.resource_version.empty()) {
    return store_.list(request.limit, request.continue_token, request.resource_version);
  }
  const auto not_older_than = parse_revision(request.resource_version);
  if (!not_older_than) {
    return tl::unexpected(not_older_than.error());
  }
  if (*not_older_than > seen()) {
    return tl::unexpected(StoreError::ResourceVersionTooLarge);
  }
  return store_.first_page(seen(), request.limit);
}

NodeStore::Page ApiServer::list_any(Prng& prng) const {
  std::uint64_t revision = seen();
  if (prng.chance(1, 2)) {
    const std::uint64_t oldest = std::min(store_.compacted(), revision);
    revision = prng.between(oldest, revision);
  }
  return store_.first_page(revision, /*limit=*/0);
}

StoreResult<ApiServer::Stream> ApiServer::watch(const ResourceVersion& resource_version) const {
  const auto refused = store_.events_since(resource_version, /*max=*/0);
  if (!refused) {
    return tl::unexpected(refused.error());
  }
  return Stream(*this, store_.pin(*parse_revision(resource_version)));
}

const NodeStore::Event* ApiServer::Stream::peek() const {
  const NodeStore::Event* const event = server_->store_.event_after(*position_);
  return event != nullptr && event->revision <= server_->seen() ? event : nullptr;
}

std::optional<NodeStore::Event> ApiServer::Stream::next() {
  const NodeStore::Event* const event = peek();
  if (event == nullptr) {
    return std::nullopt;
  }
  *position_ = event->revision;
  return *event;
}

std::optional<std::uint64_t> ApiServer::Stream::bookmark() const {
  if (peek() != nullptr || server_->seen() < *position_) {
    return std::nullopt;
  }
  return server_->seen();
}

// --- All of them ---

ApiServers::ApiServers(NodeStore& store, EventLoop& loop, const Clock& clock, std::size_t replicas)
    : store_(store),
      loop_(&loop),
      clock_(&clock),
      subscription_(store.subscribe([this] { written(); })) {
  check(replicas > 0, "a cluster has an API server");
  for (std::size_t i = 0; i < replicas; ++i) {
    replicas_.emplace_back(store);
  }
}

ApiServers::ApiServers(NodeStore& store)
    : store_(store),
      loop_(nullptr),
      clock_(nullptr),
      subscription_(store.subscribe([this] { written(); })) {
  replicas_.emplace_back(store);
}

ApiServers::~ApiServers() {
  for (const Replica& replica : replicas_) {
    if (replica.next) {
      loop_->cancel(*replica.next);
    }
  }
}

const ApiServer& ApiServers::at(std::size_t replica) const {
  check(replica < replicas_.size(), "there is such a replica");
  return replicas_[replica].server;
}

ApiServer& ApiServers::any(Prng& prng) {
  return replicas_[prng.below(replicas_.size())].server;
}

void ApiServers::set_lag(std::size_t replica, Duration lag) {
  check(replica < replicas_.size(), "there is such a replica");
  check(Duration{} <= lag && lag <= std::chrono::hours(24), "a lag is from 0 to 24 h");
  check(clock_ != nullptr || lag == Duration{}, "a lag takes time");
  replicas_[replica].lag = lag;
  catch_up(replicas_[replica]);
}

void ApiServers::set_lag(Duration lag) {
  for (std::size_t replica = 0; replica < replicas_.size(); ++replica) {
    set_lag(replica, lag);
  }
}

void ApiServers::written() {
  for (Replica& replica : replicas_) {
    if (replica.lag == Duration{}) {
      replica.server.see(store_.revision());
      continue;
    }
    const MonotonicTime now = clock_->monotonic();
    if (!replica.unseen.empty() && replica.unseen.back().at == now) {
      replica.unseen.back().revision = store_.revision();
      continue;
    }
    replica.unseen.push_back({.at = now, .revision = store_.revision()});
    if (!replica.next) {
      catch_up(replica);
    }
  }
}

// Sees what is due, and comes back for the next.
void ApiServers::catch_up(Replica& replica) {
  if (replica.next) {
    loop_->cancel(*replica.next);
    replica.next.reset();
  }
  std::uint64_t due = 0;
  std::deque<Write>& unseen = replica.unseen;
  while (!unseen.empty() && clock_->monotonic() - unseen.front().at >= replica.lag) {
    due = unseen.front().revision;
    unseen.pop_front();
  }
  if (!unseen.empty()) {
    replica.next = loop_->timer(replica.lag - (clock_->monotonic() - unseen.front().at),
                                [this, &replica] { catch_up(replica); });
  }
  replica.server.see(due);
}

}  // namespace vxmesh
