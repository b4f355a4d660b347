#include "adapters/nftables/firewall_nft.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "adapters/nftables/nft_script.h"

namespace vxmesh {
namespace {

// Our table loads in milliseconds; nft also waits while others hold the ruleset.
constexpr Duration kDeadline = std::chrono::seconds(10);

Result<void> judge(const Result<ChildExit>& exit) {
  if (!exit.has_value()) {
    return fail(exit.error().code, "firewall: " + exit.error().context +
                                       "; the nft program is in the package nftables");
  }
  if (exit->status == 0) {
    return {};
  }
  const bool refused = exit->errors.find("Operation not permitted") != std::string::npos;
  return fail(
      refused ? ErrorCode::NoPermission : ErrorCode::Environment,
      "firewall: nft ended with status " + std::to_string(exit->status) + ": " + exit->errors);
}

}  // namespace

FirewallNft::FirewallNft(boost::asio::io_context& context)
    : context_(context), alive_(std::make_shared<char>()) {}

void FirewallNft::apply(const FirewallPolicy& policy, Done done) {
  enqueue(Request{.script = nft_script(policy), .done = std::move(done)});
}

void FirewallNft::remove(Done done) {
  enqueue(Request{.script = nft_remove_script(), .done = std::move(done)});
}

void FirewallNft::enqueue(Request request) {
  requests_.push_back(std::move(request));
  if (requests_.size() == 1) {
    start_first();
  }
}

void FirewallNft::start_first() {
  const Result<std::string>& script = requests_.front().script;
  if (!script.has_value()) {
    boost::asio::post(context_,
                      [this, alive = std::weak_ptr<void>(alive_), error = script.error()] {
                        if (!alive.expired()) {
                          finish_first(tl::unexpected<Error>(error));
                        }
                      });
    return;
  }
  child_ = ChildProcess::start(
      context_, ChildRequest{.argv = {"nft", "-f", "-"}, .input = *script, .deadline = kDeadline},
      [this](const Result<ChildExit>& exit) { finish_first(judge(exit)); });
}

void FirewallNft::finish_first(Result<void> result) {
  const Done done = std::move(requests_.front().done);
  requests_.pop_front();
  if (!requests_.empty()) {
    start_first();
  }
  done(std::move(result));  // last: it may destroy this
}

}  // namespace vxmesh
