#include "agent/watch_session.h"

#include <algorithm>
#include <variant>

#include "base/check.h"
#include "base/probe.h"

namespace vxmesh {
namespace {

constexpr std::uint16_t kUnauthorized = 401;
constexpr std::uint16_t kForbidden = 403;
constexpr std::uint16_t kGone = 410;
constexpr std::uint16_t kTooManyRequests = 429;
constexpr std::uint16_t kGatewayTimeout = 504;

// "0" means "any state, however old": nothing can be resumed from it, and it is never sent.
bool is_usable(const ResourceVersion& version) {
  return !version.empty() && version != "0";
}

bool is_server_error(std::uint16_t status) {
  return status >= 500 && status < 600;
}

// The server does not know our resourceVersion yet: it was restored from a backup, or lags behind.
// A proxy's 504 has no reason (apiserver: storage/errors.go, NewTooLargeResourceVersionError).
bool is_version_too_large(const ApiError& error) {
  return error.status == kGatewayTimeout && error.reason == "Timeout";
}

std::string describe(const std::string& what, const ApiError& error) {
  std::string text = "cannot " + what + " Nodes: ";
  if (error.kind == ApiError::Kind::Status) {
    text += std::to_string(error.status) + (error.reason.empty() ? "" : " " + error.reason) + ": ";
  }
  return text + error.message;
}

}  // namespace

WatchSession::WatchSession(Kubernetes& kubernetes, EventLoop& loop, Clock& clock, Random& random,
                           NodeSink& sink, WatchSessionOptions options)
    : kubernetes_(kubernetes),
      loop_(loop),
      clock_(clock),
      random_(random),
      sink_(sink),
      options_(options),
      backoff_(options.backoff) {
  check(options.page_limit > 0, "a page holds at least one Node");
  check(
      options.watch_timeout_min_s > 0 && options.watch_timeout_min_s < options.watch_timeout_max_s,
      "timeoutSeconds is drawn from a range that is not empty");
}

WatchSession::~WatchSession() {
  quiet();
}

void WatchSession::start() {
  if (phase_ == Phase::Stopped) {
    list();
  }
}

void WatchSession::stop() {
  quiet();
  phase_ = Phase::Stopped;
  snapshot_ = {};
  error_.clear();
  reported_.reset();
}

void WatchSession::relist() {
  switch (phase_) {
    case Phase::Stopped:
    case Phase::Listing: return;
    case Phase::Waiting: next_ = Next::List; return;
    case Phase::Opening:
    case Phase::Watching: list(); return;
  }
}

// --- The list ---

void WatchSession::list() {
  phase_ = Phase::Listing;
  if (counters_.lists > 0) {
    ++counters_.relists;
  }
  request_page("");
  report(WatchState::Listing);
}

void WatchSession::request_page(const std::string& continue_token) {
  quiet();
  // A continue token says which state it continues; a resourceVersion beside it is an error.
  const bool first_page = continue_token.empty();
  call_ = kubernetes_.list_nodes({.limit = options_.page_limit,
                                  .continue_token = continue_token,
                                  .resource_version = first_page ? version_ : ResourceVersion{}},
                                 *this);
  set_deadline(options_.request_deadline);
}

void WatchSession::on_node(const SharedNode& node) {
  set_deadline(options_.request_deadline);
  if (const Node* typed = std::get_if<Node>(node.get())) {
    snapshot_.nodes.emplace_back(node, typed);
  } else {
    snapshot_.rejections.push_back(std::get<NodeRejection>(*node));
  }
}

void WatchSession::on_end(const ListEnd& end) {
  if (!is_usable(end.resource_version)) {
    ++counters_.missing_versions;
    wait_then(Next::List, {}, "cannot list Nodes: the list has no resourceVersion");
    return;
  }
  if (!snapshot_.resource_version.empty() && snapshot_.resource_version != end.resource_version) {
    ++counters_.missing_versions;
    wait_then(Next::List, {}, "cannot list Nodes: the pages are not of one resourceVersion");
    return;
  }
  snapshot_.resource_version = end.resource_version;
  if (end.continue_token.empty()) {
    finish_list();
  } else {
    const std::string continue_token = end.continue_token;  // `end` goes with the call
    request_page(continue_token);
  }
}

void WatchSession::finish_list() {
  quiet();
  const NodeSnapshot snapshot = std::move(snapshot_);
  snapshot_ = {};
  const bool believed = sink_.on_list(snapshot);
  if (believed) {
    ++counters_.lists;
    version_ = snapshot.resource_version;
    failed_watches_ = 0;
  } else {
    ++counters_.lists_rejected;
  }
  if (phase_ == Phase::Stopped) {
    return;
  }
  if (believed) {
    watch();
  } else {
    wait_then(Next::List, {}, "the list of Nodes cannot be believed");
  }
}

void WatchSession::list_failed(const ApiError& error) {
  if (error.status == kGone || is_version_too_large(error)) {
    PROBE_IF(error.status == kGone, "list-expired-so-the-most-recent");
    PROBE_IF(error.status != kGone, "list-version-too-large-so-the-most-recent");
    version_.clear();  // from now on the most recent, which every server can give
  }
  wait_then(Next::List, error.retry_after, describe("list", error));
}

// --- The watch ---

void WatchSession::watch() {
  check(is_usable(version_), "a watch begins where a list or a watch has ended");
  quiet();
  phase_ = Phase::Opening;
  watch_began_ = clock_.monotonic();
  watch_advanced_ = false;
  const std::uint32_t span = options_.watch_timeout_max_s - options_.watch_timeout_min_s;
  const auto timeout_s =
      options_.watch_timeout_min_s + static_cast<std::uint32_t>(random_.next() % span);
  watch_timeout_ = std::chrono::seconds(timeout_s);
  call_ = kubernetes_.watch_nodes({.resource_version = version_, .timeout_s = timeout_s}, *this);
  set_deadline(options_.request_deadline);
}

void WatchSession::on_open() {
  ++counters_.watches;
  phase_ = Phase::Watching;
  watch_began_ = clock_.monotonic();
  set_watch_deadline();
  error_.clear();
  report(WatchState::Watching);
}

void WatchSession::on_event(WatchEventType type, const SharedNode& node,
                            const ResourceVersion& resource_version) {
  if (advance(resource_version)) {
    ++counters_.events;
    sink_.on_node_event(type, node);
  }
}

void WatchSession::on_bookmark(const ResourceVersion& resource_version) {
  sends_bookmarks_ = true;
  if (advance(resource_version)) {
    ++counters_.bookmarks;
  }
}

bool WatchSession::advance(const ResourceVersion& resource_version) {
  if (!is_usable(resource_version)) {
    ++counters_.missing_versions;
    wait_then(Next::List, {}, "cannot watch Nodes: an event has no resourceVersion");
    return false;
  }
  if (resource_version != version_) {
    version_ = resource_version;
    watch_advanced_ = true;
    failed_watches_ = 0;
  }
  set_watch_deadline();
  return true;
}

void WatchSession::on_closed() {
  const Duration lasted = clock_.monotonic() - watch_began_;
  if (lasted < options_.short_watch && !watch_advanced_) {
    PROBE("watch-ended-at-once");
    ++counters_.short_watches;
    wait_then(after_broken_watch(), {}, "cannot watch Nodes: the server ends the watch at once");
    return;
  }
  failed_watches_ = 0;
  ++counters_.watch_restarts;
  watch();
}

void WatchSession::watch_failed(const ApiError& error) {
  Next next = Next::Watch;
  if (error.status == kGone || is_version_too_large(error)) {
    PROBE_IF(error.status == kGone, "watch-expired-so-list");
    next = Next::List;
  } else if (error.kind == ApiError::Kind::Transport || is_server_error(error.status)) {
    next = after_broken_watch();
  } else if (error.status != kTooManyRequests && error.status != kUnauthorized &&
             error.status != kForbidden) {
    next = Next::List;  // the same watch would only be refused again
  }
  wait_then(next, error.retry_after, describe("watch", error));
}

WatchSession::Next WatchSession::after_broken_watch() {
  if (phase_ == Phase::Watching && !watch_advanced_) {
    ++failed_watches_;
  }
  if (failed_watches_ < options_.failed_watches_max) {
    return Next::Watch;
  }
  PROBE("watches-keep-failing-so-list");
  return Next::List;
}

// --- Both ---

void WatchSession::on_error(const ApiError& error) {
  count(error);
  if (phase_ == Phase::Listing) {
    list_failed(error);
  } else {
    watch_failed(error);
  }
}

void WatchSession::count(const ApiError& error) {
  if (error.kind == ApiError::Kind::Transport) {
    ++counters_.transport_errors;
  } else if (error.status == kGone) {
    ++counters_.expired;
  } else if (error.status == kUnauthorized || error.status == kForbidden) {
    ++counters_.unauthorized;
  } else if (error.status == kTooManyRequests) {
    ++counters_.throttled;
  } else if (is_server_error(error.status)) {
    ++counters_.server_errors;
  } else {
    ++counters_.other_statuses;
  }
}

void WatchSession::wait_then(Next next, std::optional<Duration> at_least, std::string error) {
  quiet();
  phase_ = Phase::Waiting;
  next_ = next;
  snapshot_ = {};
  const Duration asked = std::min(at_least.value_or(Duration{}), options_.retry_after_max);
  const Duration own = backoff_.next(clock_.monotonic(), random_.next());
  PROBE_IF(asked > own, "retry-after-honoured");
  const Duration delay = std::max(own, asked);
  timer_ = loop_.timer(delay, [this] {
    if (next_ == Next::List) {
      list();
    } else {
      ++counters_.watch_restarts;
      watch();
    }
  });
  error_ = std::move(error);
  report(WatchState::BackingOff);
}

// A timer that runs too early looks again; only one that would run too late is made anew, so that
// putting the deadline off, as each Node of a list and each event does, costs nothing.
void WatchSession::set_deadline(Duration delay) {
  deadline_ = clock_.monotonic() + delay;
  if (timer_ && deadline_ < timer_due_) {
    loop_.cancel(*timer_);
    timer_.reset();
  }
  if (!timer_) {
    timer_due_ = deadline_;
    timer_ = loop_.timer(delay, [this] { deadline_passed(); });
  }
}

void WatchSession::set_watch_deadline() {
  const MonotonicTime now = clock_.monotonic();
  const Duration left = watch_began_ + watch_timeout_ + options_.watch_overtime - now;
  set_deadline(sends_bookmarks_ ? std::min(left, options_.watch_silence) : left);
}

void WatchSession::deadline_passed() {
  const MonotonicTime now = clock_.monotonic();
  if (now < deadline_) {
    timer_due_ = deadline_;
    timer_ = loop_.timer(deadline_ - now, [this] { deadline_passed(); });
    return;
  }
  PROBE("deadline-passed");
  ++counters_.timeouts;
  if (phase_ == Phase::Listing) {
    wait_then(Next::List, {}, "cannot list Nodes: the server does not answer");
  } else {
    sends_bookmarks_ = false;  // or it has stopped to
    wait_then(after_broken_watch(), {}, "cannot watch Nodes: the server does not answer");
  }
}

void WatchSession::quiet() {
  call_.reset();
  if (timer_) {
    loop_.cancel(*timer_);
    timer_.reset();
  }
}

void WatchSession::report(WatchState state) {
  const std::pair news{state, error_};  // a copy: the sink may stop the session
  if (reported_ != news) {
    reported_ = news;
    sink_.on_session(news.first, news.second);
  }
}

}  // namespace vxmesh
