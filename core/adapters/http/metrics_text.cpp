#include "adapters/http/metrics_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>

namespace vxmesh {
namespace {

prometheus::ClientMetric to_prometheus(const Metrics::Series& series, Metrics::Kind kind) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : series.labels) {
    metric.label.push_back({name, value});
  }
  const auto value = static_cast<double>(series.value);
  if (kind == Metrics::Kind::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return metric;
}

}  // namespace

std::string metrics_text(const std::vector<Metrics::Family>& families) {
  std::vector<prometheus::MetricFamily> converted;
  for (const auto& family : families) {
    prometheus::MetricFamily to;
    to.name = family.name;
    to.help = family.help;
    to.type = family.kind == Metrics::Kind::Counter ? prometheus::MetricType::Counter
                                                    : prometheus::MetricType::Gauge;
    for (const auto& series : family.series) {
      to.metric.push_back(to_prometheus(series, family.kind));
    }
    converted.push_back(std::move(to));
  }
  return prometheus::TextSerializer().Serialize(converted);
}

}  // namespace vxmesh
