#include "sim/kube/fake_kubernetes.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/check.h"

namespace vxmesh {
namespace {

using Kind = KubernetesFault::Kind;

ApiError status_error(std::uint16_t status, std::string reason, std::string message) {
  return {.kind = ApiError::Kind::Status,
          .status = status,
          .reason = std::move(reason),
          .message = std::move(message),
          .retry_after = {}};
}

ApiError status_error(StoreError error) {
  const StoreErrorStatus status = status_of(error);
  return status_error(status.code, std::string(status.reason), std::string(status.message));
}

ApiError transport_error(std::string message) {
  return {.kind = ApiError::Kind::Transport,
          .status = 0,
          .reason = "",
          .message = std::move(message),
          .retry_after = {}};
}

KubernetesFault fault(Kind kind, std::optional<std::size_t> after, ApiError error = {}) {
  return {.kind = kind, .after = after, .error = std::move(error), .version = ""};
}

}  // namespace

KubernetesFault refused() {
  return fault(Kind::Error, {}, transport_error("connection refused"));
}

KubernetesFault reset_after(std::size_t items) {
  return fault(Kind::Error, items, transport_error("connection reset by peer"));
}

KubernetesFault http_status(std::uint16_t status, std::string reason,
                            std::optional<Duration> retry_after) {
  ApiError error = status_error(status, std::move(reason), "refused by a fault rule");
  error.retry_after = retry_after;
  return fault(Kind::Error, {}, std::move(error));
}

KubernetesFault error_event_after(std::size_t items, std::uint16_t status, std::string reason) {
  return fault(Kind::Error, items, status_error(status, std::move(reason), "an ERROR event"));
}

KubernetesFault stalled() {
  return fault(Kind::Stall, {});
}

KubernetesFault stall_after(std::size_t items) {
  return fault(Kind::Stall, items);
}

KubernetesFault end_after(std::size_t items) {
  return fault(Kind::End, items);
}

KubernetesFault wrong_versions_after(std::size_t items, ResourceVersion version) {
  KubernetesFault result = fault(Kind::WrongVersions, items);
  result.version = std::move(version);
  return result;
}

// What lists and watches share: their turns on the loop, and the fault that they meet.
class FakeKubernetes::Call : public ApiCall {
 public:
  Call(FakeKubernetes& server, std::optional<KubernetesFault> fault)
      : server_(server), fault_(std::move(fault)) {
    check(!fault_ || fault_->after || fault_->kind == Kind::Error || fault_->kind == Kind::Stall,
          "an answer begins before it can end");
    server_.calls_.push_back(this);
    turn_in(server_.options_.latency);
  }
  ~Call() override {
    *alive_ = false;
    server_.loop_.cancel(next_turn_);
    for (const TimerId timer : timers_) {
      server_.loop_.cancel(timer);
    }
    std::erase(server_.calls_, this);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void interrupt(const KubernetesFault& fault) {
    fault_ = fault;
    fault_->after = delivered_;
    turn_now();
  }
  [[nodiscard]] bool over() const { return over_; }

 protected:
  using Alive = std::shared_ptr<const bool>;

  // Brings at most items_per_turn items, or what comes instead.
  virtual void turn() = 0;
  // Tells the handler. Each is the last thing that is done with the call.
  virtual void fail(const ApiError& error) = 0;
  virtual void end() = 0;

  void after(Duration delay, std::function<void()> callback) {
    timers_.push_back(server_.loop_.timer(delay, std::move(callback)));
  }
  // A turn that is due already is not put off.
  void turn_in(Duration delay) {
    if (!turn_due_) {
      turn_due_ = true;
      next_turn_ = server_.loop_.timer(delay, [this] {
        turn_due_ = false;
        if (!over_) {
          turn();
        }
      });
    }
  }
  void turn_now() {
    server_.loop_.cancel(next_turn_);
    turn_due_ = false;
    turn_in(Duration{});
  }

  // True if the call has met its fault, and is over. `answered`: whether the answer has begun;
  // `ended`: whether it has nothing more to bring.
  bool meets_fault(bool answered, bool ended = false) {
    if (!fault_ || fault_->kind == Kind::WrongVersions) {
      return false;
    }
    const bool due =
        fault_->after ? answered && (ended || delivered_ >= *fault_->after) : !answered;
    if (!due) {
      return false;
    }
    over_ = true;
    switch (fault_->kind) {
      case Kind::Error: fail(ApiError(fault_->error)); break;
      case Kind::End: end(); break;
      case Kind::Stall:
      case Kind::WrongVersions: break;
    }
    return true;
  }

  [[nodiscard]] ResourceVersion as_sent(const ResourceVersion& version) const {
    const bool kept = !fault_ || fault_->kind != Kind::WrongVersions || delivered_ < fault_->after;
    return kept ? version : fault_->version;
  }

  // False as soon as the handler has destroyed the call.
  [[nodiscard]] Alive alive() const { return alive_; }

  FakeKubernetes& server_;
  std::size_t delivered_ = 0;
  bool over_ = false;

 private:
  std::optional<KubernetesFault> fault_;
  bool turn_due_ = false;
  TimerId next_turn_;  // good if turn_due_
  std::vector<TimerId> timers_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class FakeKubernetes::ListCall final : public Call {
 public:
  ListCall(FakeKubernetes& server, std::optional<KubernetesFault> fault, ListRequest request,
           ListHandler& handler)
      : Call(server, std::move(fault)), request_(std::move(request)), handler_(handler) {}

 private:
  void turn() override {
    if (!page_ && !answer()) {
      return;
    }
    const Alive still = alive();
    for (std::size_t i = 0; i < server_.options_.items_per_turn; ++i) {
      const bool ended = delivered_ == page_->objects.size();
      if (meets_fault(true, ended)) {
        return;
      }
      if (ended) {
        over_ = true;
        FakeKubernetes& server = server_;
        const bool last = page_->continue_token.empty();
        const std::uint64_t revision = std::stoull(page_->resource_version);
        handler_.on_end({.resource_version = as_sent(page_->resource_version),
                         .continue_token = page_->continue_token});
        if (last && server.served_) server.served_(revision);
        return;
      }
      const NodeStore::ObjectPtr object = page_->objects[delivered_++];
      handler_.on_node(object->payload);
      if (!*still || over_) {
        return;
      }
    }
    turn_in(server_.options_.between_turns);
  }

  // The server reads the page now. False if the call is over instead.
  bool answer() {
    if (meets_fault(false)) {
      return false;
    }
    auto page =
        server_.store_.list(request_.limit, request_.continue_token, request_.resource_version);
    if (!page) {
      over_ = true;
      fail(status_error(page.error()));
      return false;
    }
    page_ = std::move(*page);
    return true;
  }

  void fail(const ApiError& error) override { handler_.on_error(error); }
  // As if the Nodes so far were all.
  void end() override {
    const ResourceVersion version = page_->resource_version;  // the handler may destroy the call
    handler_.on_end({.resource_version = version, .continue_token = ""});
  }

  const ListRequest request_;
  ListHandler& handler_;
  std::optional<NodeStore::Page> page_;
};

class FakeKubernetes::WatchCall final : public Call {
 public:
  WatchCall(FakeKubernetes& server, std::optional<KubernetesFault> fault, WatchRequest request,
            WatchHandler& handler)
      : Call(server, std::move(fault)), request_(std::move(request)), handler_(handler) {}

 private:
  void turn() override {
    const Alive still = alive();
    if (!open_) {
      open();
    }
    for (std::size_t i = 0; *still && !over_; ++i) {
      if (meets_fault(true)) {
        return;
      }
      if (i == server_.options_.items_per_turn) {
        turn_in(server_.options_.between_turns);
        return;
      }
      if (!bring_one()) {
        return;
      }
    }
  }

  // Brings an event, the bookmark that is due, or the end; false if there is none of these.
  bool bring_one() {
    if (!waiting_.empty()) {
      const NodeStore::Event event = std::move(waiting_.front());
      waiting_.pop_front();
      const ResourceVersion version = as_sent(event.object->resource_version);
      ++delivered_;
      FakeKubernetes& server = server_;
      handler_.on_event(event.type, event.object->payload, version);
      if (server.served_) server.served_(event.revision);
      return true;
    }
    if (bookmark_due_) {
      // Nothing waits, so everything up to the store's latest has been brought.
      bookmark_due_ = false;
      const ResourceVersion version = as_sent(server_.store_.resource_version());
      ++delivered_;
      handler_.on_bookmark(version);
      return true;
    }
    if (time_is_up_) {
      over_ = true;
      handler_.on_closed();
    }
    return false;
  }

  void open() {
    if (meets_fault(false)) {
      return;
    }
    seen_ = request_.resource_version;
    const auto missed = server_.store_.events_since(seen_);
    const bool expired = !missed && missed.error() == StoreError::Expired;
    if (!missed && !expired) {
      over_ = true;
      fail(status_error(missed.error()));
      return;
    }
    open_ = true;
    const Alive still = alive();
    handler_.on_open();
    if (!*still || over_) {
      return;
    }
    if (expired) {  // the real server answers 200 and tells in the stream (cacher.go, errWatcher)
      over_ = true;
      fail(status_error(StoreError::Expired));
      return;
    }
    collect();
    subscription_ = server_.store_.subscribe([this] {
      collect();
      turn_in(server_.options_.latency);
    });
    begin_timers();
  }

  void begin_timers() {
    const FakeKubernetesOptions& options = server_.options_;
    const Duration timeout = std::chrono::seconds(request_.timeout_s);
    after(timeout, [this] {
      time_is_up_ = true;
      turn_now();
    });
    bookmark_in(timeout - options.bookmark_before_end, /*again=*/false);
    bookmark_in(options.bookmark_interval, /*again=*/true);
  }

  void bookmark_in(Duration delay, bool again) {
    after(delay, [this, delay, again] {
      bookmark_due_ = true;
      turn_now();
      if (again && !over_) {
        bookmark_in(delay, again);
      }
    });
  }

  // A watch keeps what it has to bring, so that a compaction does not touch one that is open.
  void collect() {
    if (over_) {
      return;
    }
    const auto events = server_.store_.events_since(seen_);
    check(events.has_value(), "a watch that is open misses no change");
    waiting_.insert(waiting_.end(), events->begin(), events->end());
    seen_ = server_.store_.resource_version();
  }

  void fail(const ApiError& error) override { handler_.on_error(error); }
  void end() override { handler_.on_closed(); }

  const WatchRequest request_;
  WatchHandler& handler_;
  bool open_ = false;
  bool bookmark_due_ = false;
  bool time_is_up_ = false;
  ResourceVersion seen_;  // everything up to it was put into waiting_
  std::deque<NodeStore::Event> waiting_;
  NodeStore::Subscription subscription_;
};

std::unique_ptr<ApiCall> FakeKubernetes::list_nodes(const ListRequest& request,
                                                    ListHandler& handler) {
  check(request.limit > 0, "a list is paged");
  check(request.resource_version != "0", "any state is not good enough");
  check(request.continue_token.empty() || request.resource_version.empty(),
        "a continue token says which state it continues");
  return std::make_unique<ListCall>(*this, fault_for(request), request, handler);
}

std::unique_ptr<ApiCall> FakeKubernetes::watch_nodes(const WatchRequest& request,
                                                     WatchHandler& handler) {
  check(!request.resource_version.empty() && request.resource_version != "0",
        "a watch begins where a list or a watch has ended");
  check(request.timeout_s > 0, "a watch has an end");
  return std::make_unique<WatchCall>(*this, fault_for(request), request, handler);
}

FakeKubernetes::RuleGuard FakeKubernetes::add_rule(KubernetesFaultRule rule) {
  std::erase_if(rules_, [](const auto& other) { return other.expired(); });
  auto guard = std::make_shared<const KubernetesFaultRule>(std::move(rule));
  rules_.push_back(guard);
  return guard;
}

void FakeKubernetes::interrupt(const KubernetesFault& fault) {
  for (Call* call : calls_) {
    call->interrupt(fault);
  }
}

std::size_t FakeKubernetes::calls() const {
  return static_cast<std::size_t>(
      std::count_if(calls_.begin(), calls_.end(), [](const Call* call) { return !call->over(); }));
}

std::optional<KubernetesFault> FakeKubernetes::fault_for(const KubernetesCall& call) {
  for (const auto& weak : rules_) {
    if (const auto rule = weak.lock()) {
      if (auto fault = (*rule)(call)) {
        return fault;
      }
    }
  }
  return std::nullopt;
}

}  // namespace vxmesh
