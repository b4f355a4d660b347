// Who wants to hear of a change.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace vxmesh {

class Subscribers {
 public:
  // Unsubscribes when it is destroyed, before the subscribers or after them.
  using Subscription = std::shared_ptr<const void>;

  // `changed` is called by every notify(), in the order of subscription; it must not subscribe.
  [[nodiscard]] Subscription add(std::function<void()> changed) {
    auto subscriber = std::make_shared<const std::function<void()>>(std::move(changed));
    std::erase_if(subscribers_, [](const auto& other) { return other.expired(); });
    subscribers_.push_back(subscriber);
    return subscriber;
  }

  void notify() const {
    for (const auto& subscriber : subscribers_) {
      if (const auto changed = subscriber.lock()) {
        (*changed)();
      }
    }
  }

 private:
  std::vector<std::weak_ptr<const std::function<void()>>> subscribers_;
};

}  // namespace vxmesh
