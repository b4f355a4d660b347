#include "base/metrics.h"

#include "base/check.h"

namespace vxmesh {

void Metrics::declare(Kind kind, const std::string& name, const std::string& help, bool labelled) {
  const auto [it, added] =
      metrics_.try_emplace(name, Metric{.help = help, .kind = kind, .series = {}});
  check(added, "a metric is declared once");
  if (!labelled) {
    it->second.series[{}] = 0;
  }
}

Metrics::Metric& Metrics::find(std::string_view name) {
  const auto it = metrics_.find(name);
  check(it != metrics_.end(), "a metric is declared before it is used");
  return it->second;
}

std::int64_t& Metrics::series(std::string_view name, Kind kind, const MetricLabels& labels) {
  Metric& metric = find(name);
  check(metric.kind == kind, "counters are added to, and gauges set");
  return metric.series[labels];
}

void Metrics::add(std::string_view name, std::int64_t by, const MetricLabels& labels) {
  Metric& metric = find(name);
  check(metric.kind == Kind::Gauge || by >= 0, "a counter never decreases");
  metric.series[labels] += by;
}

void Metrics::set(std::string_view name, std::int64_t value, const MetricLabels& labels) {
  Metric& metric = find(name);
  check(metric.kind == Kind::Gauge, "only a gauge is set");
  metric.series[labels] = value;
}

std::int64_t Metrics::value(std::string_view name, const MetricLabels& labels) const {
  const auto metric = metrics_.find(name);
  check(metric != metrics_.end(), "a metric is declared before it is read");
  const auto series = metric->second.series.find(labels);
  return series == metric->second.series.end() ? 0 : series->second;
}

std::vector<Metrics::Family> Metrics::snapshot() const {
  std::vector<Family> families;
  families.reserve(metrics_.size());
  for (const auto& [name, metric] : metrics_) {
    Family family{.name = name, .help = metric.help, .kind = metric.kind, .series = {}};
    for (const auto& [labels, value] : metric.series) {
      family.series.push_back({.labels = labels, .value = value});
    }
    families.push_back(std::move(family));
  }
  return families;
}

}  // namespace vxmesh
