// Metrics as integers. The text exposition is an adapter's work (adapters/http/metrics_text.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vxmesh {

// Labels of one time series, in name order.
using MetricLabels = std::map<std::string, std::string>;

// Contract: names follow Prometheus conventions (vxmesh_..., counters end in _total) and are
// declared once with their help text; adding to or setting an undeclared name is a broken
// invariant. Threading: one thread.
class Metrics {
 public:
  enum class Kind { Counter, Gauge };

  struct Series {
    MetricLabels labels;
    std::int64_t value = 0;

    friend bool operator==(const Series&, const Series&) = default;
  };
  struct Family {
    std::string name;
    std::string help;
    Kind kind = Kind::Counter;
    std::vector<Series> series;  // in label order
  };

  // Declares a metric; a metric without labels starts with the value 0.
  void declare(Kind kind, const std::string& name, const std::string& help, bool labelled = false);

  void add(std::string_view name, std::int64_t by = 1, const MetricLabels& labels = {});
  void set(std::string_view name, std::int64_t value, const MetricLabels& labels = {});

  // One series, looked up once: for what every event touches. It begins with the first add or set,
  // as without a handle. The metrics outlive it.
  class CounterHandle {
   public:
    CounterHandle(Metrics& metrics, std::string name, MetricLabels labels = {})
        : metrics_(metrics), name_(std::move(name)), labels_(std::move(labels)) {}
    void increment() {
      if (value_ == nullptr) {
        value_ = &metrics_.series(name_, Kind::Counter, labels_);
      }
      ++*value_;
    }

   private:
    Metrics& metrics_;
    std::string name_;
    MetricLabels labels_;
    std::int64_t* value_ = nullptr;  // null: not touched yet
  };
  class GaugeHandle {
   public:
    // Of a metric without labels.
    GaugeHandle(Metrics& metrics, std::string name) : metrics_(metrics), name_(std::move(name)) {}
    void set(std::size_t value) {
      if (value_ == nullptr) {
        value_ = &metrics_.series(name_, Kind::Gauge, {});
      }
      *value_ = static_cast<std::int64_t>(value);
    }

   private:
    Metrics& metrics_;
    std::string name_;
    std::int64_t* value_ = nullptr;  // null: not touched yet
  };

  // The value of one series; 0 if it was never touched.
  [[nodiscard]] std::int64_t value(std::string_view name, const MetricLabels& labels = {}) const;

  // Everything, in name order.
  [[nodiscard]] std::vector<Family> snapshot() const;

 private:
  struct Metric {
    std::string help;
    Kind kind = Kind::Counter;
    std::map<MetricLabels, std::int64_t> series;
  };
  Metric& find(std::string_view name);
  // Stays where it is; 0 if it was never touched.
  std::int64_t& series(std::string_view name, Kind kind, const MetricLabels& labels);

  std::map<std::string, Metric, std::less<>> metrics_;
};

}  // namespace vxmesh
