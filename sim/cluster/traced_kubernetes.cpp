#include "sim/cluster/traced_kubernetes.h"

#include "sim/world/digest.h"

namespace vxmesh {
namespace {

enum class Said : std::uint8_t { List, Watch, Node, End, Open, Event, Bookmark, Closed, Error };

template <typename... Values>
void cover(ProcessLoop& loop, Said said, const Values&... values) {
  loop.cover(TraceKind::Call, digest_of(said, values...));
}

// In both, a handler may destroy the call that is calling it: nothing comes behind it.
class TracedList final : public ApiCall, private ListHandler {
 public:
  TracedList(Kubernetes& api, ProcessLoop& loop, const ListRequest& request, ListHandler& handler)
      : loop_(loop), handler_(handler), call_(api.list_nodes(request, *this)) {}

 private:
  void on_node(const SharedNode& node) override {
    cover(loop_, Said::Node, node);
    handler_.on_node(node);
  }
  void on_end(const ListEnd& end) override {
    cover(loop_, Said::End, end);
    handler_.on_end(end);
  }
  void on_error(const ApiError& error) override {
    cover(loop_, Said::Error, error);
    handler_.on_error(error);
  }

  ProcessLoop& loop_;
  ListHandler& handler_;
  std::unique_ptr<ApiCall> call_;
};

class TracedWatch final : public ApiCall, private WatchHandler {
 public:
  TracedWatch(Kubernetes& api, ProcessLoop& loop, const WatchRequest& request,
              WatchHandler& handler)
      : loop_(loop), handler_(handler), call_(api.watch_nodes(request, *this)) {}

 private:
  void on_open() override {
    cover(loop_, Said::Open);
    handler_.on_open();
  }
  void on_event(WatchEventType type, const SharedNode& node,
                const ResourceVersion& resource_version) override {
    cover(loop_, Said::Event, type, node, resource_version);
    handler_.on_event(type, node, resource_version);
  }
  void on_bookmark(const ResourceVersion& resource_version) override {
    cover(loop_, Said::Bookmark, resource_version);
    handler_.on_bookmark(resource_version);
  }
  void on_closed() override {
    cover(loop_, Said::Closed);
    handler_.on_closed();
  }
  void on_error(const ApiError& error) override {
    cover(loop_, Said::Error, error);
    handler_.on_error(error);
  }

  ProcessLoop& loop_;
  WatchHandler& handler_;
  std::unique_ptr<ApiCall> call_;
};

}  // namespace

std::unique_ptr<ApiCall> TracedKubernetes::list_nodes(const ListRequest& request,
                                                      ListHandler& handler) {
  cover(loop_, Said::List, request);
  return std::make_unique<TracedList>(api_, loop_, request, handler);
}

std::unique_ptr<ApiCall> TracedKubernetes::watch_nodes(const WatchRequest& request,
                                                       WatchHandler& handler) {
  cover(loop_, Said::Watch, request);
  return std::make_unique<TracedWatch>(api_, loop_, request, handler);
}

}  // namespace vxmesh
