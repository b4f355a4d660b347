// The packet filter through the nft program.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <string>

#include "adapters/posix/child_process.h"
#include "ports/firewall.h"

namespace vxmesh {

// Runs `nft -f -` as a child for each call, one at a time in the order of the calls; nft itself
// replaces the table atomically. (Its libraries are GPL; the program is not part of ours.)
// Failure: the error carries what nft wrote, or says that the program is missing or took too long.
// Ownership: destroying it ends a child that still runs, and calls no `done` any more.
// Threading: one thread, that of the io_context.
class FirewallNft final : public Firewall {
 public:
  // `context` must outlive this.
  explicit FirewallNft(boost::asio::io_context& context);

  void apply(const FirewallPolicy& policy, Done done) override;
  void remove(Done done) override;

 private:
  struct Request {
    Result<std::string> script;
    Done done;
  };

  void enqueue(Request request);
  void start_first();
  void finish_first(Result<void> result);

  boost::asio::io_context& context_;
  std::deque<Request> requests_;  // the first is under way
  std::unique_ptr<ChildProcess> child_;
  std::shared_ptr<void> alive_;  // what is posted holds it weakly, and does nothing without it
};

}  // namespace vxmesh
