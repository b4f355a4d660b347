#include "sim/kube/fake_kubernetes.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace vxmesh {
namespace {

using Kind = KubernetesFault::Kind;

constexpr std::string_view kAny = "0";  // resourceVersion of a list that may be as old as it likes

ApiError status_error(std::uint16_t status, std::string reason, std::string message) {
  return {.kind = ApiError::Kind::Status,
          .status = status,
          .reason = std::move(reason),
          .message = std::move(message),
          .retry_after = {}};
}

ApiError status_error(StoreError error) {
  const StoreErrorStatus status = status_of(error);
  ApiError answer =
      status_error(status.code, std::string(status.reason), std::string(status.message));
  if (error == StoreError::ResourceVersionTooLarge) {
    answer.retry_after = kTooLargeRetryAfter;
  }
  return answer;
}

ApiError transport_error(std::string message) {
  return {.kind = ApiError::Kind::Transport,
          .status = 0,
          .reason = "",
          .message = std::move(message),
          .retry_after = {}};
}

KubernetesFault fault(Kind kind, std::optional<std::size_t> after, ApiError error = {}) {
  return {.kind = kind, .after = after, .error = std::move(error), .version = "", .delay = {}};
}

// Whether the answer itself goes on.
bool goes_on(Kind kind) {
  return kind == Kind::WrongVersions || kind == Kind::LateBookmarks || kind == Kind::LateDeletes;
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

KubernetesFault empty_list() {
  return end_after(0);
}

KubernetesFault wrong_versions_after(std::size_t items, ResourceVersion version) {
  KubernetesFault result = fault(Kind::WrongVersions, items);
  result.version = std::move(version);
  return result;
}

KubernetesFault late_bookmarks(Duration delay) {
  KubernetesFault result = fault(Kind::LateBookmarks, 0);
  result.delay = delay;
  return result;
}

KubernetesFault no_bookmarks() {
  return fault(Kind::LateBookmarks, 0);
}

KubernetesFault late_deletes() {
  return fault(Kind::LateDeletes, 0);
}

// What lists and watches share: their turns on the loop, and the fault that they meet.
class FakeKubernetes::Call : public ApiCall {
 public:
  Call(FakeKubernetes& client, std::optional<KubernetesFault> fault)
      : client_(client), server_(client.servers_->any(client.prng_)), fault_(std::move(fault)) {
    check(!fault_ || fault_->after || fault_->kind == Kind::Error || fault_->kind == Kind::Stall,
          "an answer begins before it can end");
    client_.calls_.push_back(this);
    turn_in(client_.options_.latency);
  }
  ~Call() override {
    *alive_ = false;
    client_.loop_.cancel(next_turn_);
    for (const TimerId timer : timers_) {
      client_.loop_.cancel(timer);
    }
    std::erase(client_.calls_, this);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void interrupt(const KubernetesFault& fault) {
    fault_ = fault;
    fault_->after = delivered_;
    interrupted_ = true;
    turn_now();
  }
  void go_on() {
    if (!over_) {
      turn_now();
    }
  }
  [[nodiscard]] bool over() const { return over_; }

 protected:
  using Alive = std::shared_ptr<const bool>;

  // Brings at most items_per_turn items, or what comes instead.
  virtual void turn() = 0;
  // Tells the handler. Each is the last thing that is done with the call.
  virtual void fail(const ApiError& error) = 0;
  virtual void end() = 0;
  // Lets go of what a call that is over does not need.
  virtual void release() = 0;

  // In place of the fault that it would have met.
  void meets(KubernetesFault fault) { fault_ = std::move(fault); }

  void finish() {
    over_ = true;
    release();
  }
  void after(Duration delay, std::function<void()> callback) {
    timers_.push_back(client_.loop_.timer(delay, std::move(callback)));
  }
  // A turn that is due already is not put off.
  void turn_in(Duration delay) {
    if (!turn_due_) {
      turn_due_ = true;
      next_turn_ = client_.loop_.timer(delay, [this] {
        turn_due_ = false;
        if (!over_ && !client_.cut_off_) {
          turn();
        }
      });
    }
  }
  void turn_now() {
    client_.loop_.cancel(next_turn_);
    turn_due_ = false;
    turn_in(Duration{});
  }

  // True if the call has met its fault, and is over. `answered`: whether the answer has begun;
  // `ended`: whether it has nothing more to bring.
  bool meets_fault(bool answered, bool ended = false) {
    if (!fault_ || goes_on(fault_->kind)) {
      return false;
    }
    const bool due =
        fault_->after ? answered && (ended || delivered_ >= *fault_->after) : !answered;
    if (!due) {
      return false;
    }
    finish();
    switch (fault_->kind) {
      case Kind::Error: fail(ApiError(fault_->error)); break;
      case Kind::End: end(); break;
      case Kind::Stall:
      case Kind::WrongVersions:
      case Kind::LateBookmarks:
      case Kind::LateDeletes: break;
    }
    return true;
  }

  [[nodiscard]] ResourceVersion as_sent(const ResourceVersion& version) const {
    const bool kept = !fault_ || fault_->kind != Kind::WrongVersions || delivered_ < fault_->after;
    return kept ? version : fault_->version;
  }

  // How late a bookmark is that is due; absent: it does not come.
  [[nodiscard]] std::optional<Duration> bookmark_delay() const {
    return fault_ && fault_->kind == Kind::LateBookmarks ? fault_->delay : Duration{};
  }
  [[nodiscard]] bool brings_deletes_late() const {
    return fault_ && fault_->kind == Kind::LateDeletes;
  }
  [[nodiscard]] bool interrupted() const { return interrupted_; }

  // False as soon as the handler has destroyed the call.
  [[nodiscard]] Alive alive() const { return alive_; }

  FakeKubernetes& client_;
  ApiServer& server_;
  std::size_t delivered_ = 0;
  bool over_ = false;

 private:
  std::optional<KubernetesFault> fault_;
  bool interrupted_ = false;
  bool turn_due_ = false;
  TimerId next_turn_;  // good if turn_due_
  std::vector<TimerId> timers_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class FakeKubernetes::ListCall final : public Call {
 public:
  ListCall(FakeKubernetes& client, std::optional<KubernetesFault> fault, ListRequest request,
           ListHandler& handler)
      : Call(client, std::move(fault)), request_(std::move(request)), handler_(handler) {}

 private:
  void turn() override {
    if (!page_ && !answer()) {
      return;
    }
    const Alive still = alive();
    for (std::size_t i = 0; i < client_.options_.items_per_turn; ++i) {
      const bool ended = delivered_ == page_->objects.size();
      if (meets_fault(true, ended)) {
        return;
      }
      if (ended) {
        finish();
        page_ended(as_sent(page_->resource_version), page_->continue_token,
                   as_sent(page_->resource_version) == page_->resource_version);
        return;
      }
      const NodeStore::ObjectPtr object = page_->objects[delivered_++];
      handler_.on_node(object->payload);
      if (!*still || over_) {
        return;
      }
    }
    turn_in(client_.options_.between_turns);
  }

  // The server reads the page now. False if the call is over instead, or waits for the cache.
  bool answer() {
    if (meets_fault(false)) {
      return false;
    }
    auto page = request_.resource_version == kAny ? server_.list_any(client_.prng_)
                                                  : server_.list(request_);
    if (page) {
      page_ = std::move(*page);
      progress_.reset();
      return true;
    }
    if (page.error() == StoreError::ResourceVersionTooLarge && !waited_) {
      if (!interrupted() || !meets_fault(true)) {
        wait_for_cache();
      }
      return false;
    }
    finish();
    fail(status_error(page.error()));
    return false;
  }

  void wait_for_cache() {
    if (progress_ != nullptr) {
      return;
    }
    progress_ = server_.subscribe([this] { turn_in(Duration{}); });
    after(kCacheWait, [this] {
      waited_ = true;
      if (!page_ && !over_) {
        turn_now();
      }
    });
  }

  // The last thing that is done with the call. `right`: the page is as the store's.
  void page_ended(const ResourceVersion& version, const std::string& continue_token, bool right) {
    FakeKubernetes& client = client_;  // the handler may destroy the call
    const auto revision = right ? std::optional(page_->revision) : std::nullopt;
    const bool last = continue_token.empty();
    handler_.on_end({.resource_version = version, .continue_token = continue_token});
    if (last) {
      client.told(revision);
    }
  }

  void fail(const ApiError& error) override { handler_.on_error(error); }
  // As if the Nodes so far were all.
  void end() override {
    page_ended(page_ ? page_->resource_version : request_.resource_version, "", false);
  }
  void release() override { progress_.reset(); }

  const ListRequest request_;
  ListHandler& handler_;
  std::optional<NodeStore::Page> page_;
  bool waited_ = false;  // as long as the server waits for its cache
  Subscribers::Subscription progress_;
};

class FakeKubernetes::WatchCall final : public Call {
 public:
  WatchCall(FakeKubernetes& client, std::optional<KubernetesFault> fault, WatchRequest request,
            WatchHandler& handler)
      : Call(client, std::move(fault)), request_(std::move(request)), handler_(handler) {}

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
      if (i == client_.options_.items_per_turn) {
        turn_in(client_.options_.between_turns);
        return;
      }
      if (!bring_one()) {
        return;
      }
    }
  }

  // Brings an event, the bookmark that is due, or the end; false if there is none of these.
  bool bring_one() {
    if (waits_) {
      return false;
    }
    if (auto event = next_event()) {
      return bring_event(std::move(*event));
    }
    if (std::exchange(bookmark_due_, false)) {
      if (const auto revision = stream_->bookmark()) {
        const ResourceVersion version = as_sent(std::to_string(*revision));
        ++delivered_;
        bring(*revision, [&] { handler_.on_bookmark(version); });
        return true;
      }
    }
    if (time_is_up_) {
      finish();
      handler_.on_closed();
    }
    return false;
  }

  std::optional<NodeStore::Event> next_event() {
    if (held_) {
      return std::exchange(held_, {});
    }
    auto event = late_ ? std::exchange(late_, {}) : stream_->next();
    if (event && event->type == WatchEventType::Deleted && brings_deletes_late()) {
      late_ = std::exchange(event, stream_->next());
      const bool is_replaced = event && event->type == WatchEventType::Added &&
                               event->object->name == late_->object->name;
      if (!is_replaced) {
        std::swap(event, late_);
      }
    }
    return event;
  }

  bool bring_event(NodeStore::Event event) {
    WatchEventFault fault;
    if (client_.event_rule_ && !std::exchange(was_held_, false)) {
      fault = client_.event_rule_();
    }
    if (fault.delay > Duration{}) {
      hold(std::move(event), fault.delay);
      return false;
    }
    if (fault.ends_with) {
      KubernetesFault ends = reset_after(delivered_ + (fault.behind ? 1 : 0));
      ends.error = *fault.ends_with;
      meets(std::move(ends));
      if (meets_fault(true)) {
        return false;
      }
    }
    const ResourceVersion version = as_sent(event.object->resource_version);
    ++delivered_;
    brought_ = std::max(brought_, event.revision);  // a late Delete takes nothing back
    bring(brought_, [&] { handler_.on_event(event.type, event.object->payload, version); });
    return true;
  }

  void hold(NodeStore::Event event, Duration delay) {
    held_ = std::move(event);
    waits_ = true;
    was_held_ = true;
    after(delay, [this] {
      waits_ = false;
      if (!over_) {
        turn_now();
      }
    });
  }

  // What follows `tell` needs nothing of the call, which the handler may destroy.
  template <typename Tell>
  void bring(std::uint64_t revision, const Tell& tell) {
    FakeKubernetes& client = client_;
    const bool gapless = gapless_;
    tell();
    if (gapless) {
      client.told(revision);
    }
  }

  void open() {
    if (meets_fault(false)) {
      return;
    }
    auto stream = server_.watch(request_.resource_version);
    const bool expired = !stream && stream.error() == StoreError::Expired;
    if (!stream && !expired) {
      finish();
      fail(status_error(stream.error()));
      return;
    }
    open_ = true;
    const Alive still = alive();
    handler_.on_open();
    if (!*still || over_) {
      return;
    }
    if (expired) {  // the real server answers 200 and tells in the stream (cacher.go, errWatcher)
      finish();
      fail(status_error(StoreError::Expired));
      return;
    }
    stream_ = std::move(*stream);
    gapless_ = client_.told_ == *parse_revision(request_.resource_version);
    progress_ = server_.subscribe([this] { turn_in(client_.options_.latency); });
    begin_timers();
  }

  void begin_timers() {
    const FakeKubernetesOptions& options = client_.options_;
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
      if (over_) {
        return;
      }
      if (const auto late = bookmark_delay()) {
        after(*late, [this] {
          bookmark_due_ = true;
          turn_now();
        });
      }
      if (again) {
        bookmark_in(delay, again);
      }
    });
  }

  void fail(const ApiError& error) override { handler_.on_error(error); }
  void end() override { handler_.on_closed(); }
  void release() override {
    progress_.reset();
    stream_.reset();
  }

  const WatchRequest request_;
  WatchHandler& handler_;
  bool open_ = false;
  bool bookmark_due_ = false;
  bool time_is_up_ = false;
  std::optional<NodeStore::Event> held_;  // taken from the stream, not brought yet
  std::optional<NodeStore::Event> late_;  // likewise, a Delete or what follows one
  std::uint64_t brought_ = 0;
  bool waits_ = false;     // until it may be brought
  bool was_held_ = false;  // it is decided about
  bool gapless_ = false;   // it goes on from a state that the client was told
  std::optional<ApiServer::Stream> stream_;
  Subscribers::Subscription progress_;
};

std::unique_ptr<ApiCall> FakeKubernetes::list_nodes(const ListRequest& request,
                                                    ListHandler& handler) {
  check(request.limit > 0, "a list is paged");
  check(request.continue_token.empty() || request.resource_version.empty(),
        "a continue token says which state it continues");
  ListRequest answered = request;
  if (const auto most = page_rule_ ? page_rule_() : std::nullopt) {
    answered.limit = std::min(answered.limit, *most);
  }
  return std::make_unique<ListCall>(*this, fault_for(request), std::move(answered), handler);
}

std::unique_ptr<ApiCall> FakeKubernetes::watch_nodes(const WatchRequest& request,
                                                     WatchHandler& handler) {
  check(!request.resource_version.empty() && request.resource_version != kAny,
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

void FakeKubernetes::cut_off(bool on) {
  if (std::exchange(cut_off_, on) && !on) {
    for (Call* call : calls_) {
      call->go_on();
    }
  }
}

std::size_t FakeKubernetes::calls() const {
  return static_cast<std::size_t>(
      std::count_if(calls_.begin(), calls_.end(), [](const Call* call) { return !call->over(); }));
}

void FakeKubernetes::told(std::optional<std::uint64_t> revision) {
  told_ = revision;
  if (told_ && served_) {
    served_(*told_);
  } else if (!told_ && misled_) {
    misled_();
  }
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
