// Metrics as integers. The text exposition is an adapter's work (adapters/http/metrics_text.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
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

  std::map<std::string, Metric, std::less<>> metrics_;
};

}  // namespace vxmesh
