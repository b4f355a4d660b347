#include "adapters/kube/kubeconfig.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "adapters/kube/text_file.h"
#include "base/nearest.h"

namespace vxmesh {
namespace {

// Thrown inside this file only; load and parse turn it into an Error.
struct KubeconfigError {
  YAML::Mark mark;
  std::string reason;
};

[[noreturn]] void refuse(const YAML::Mark& mark, std::string reason) {
  throw KubeconfigError{mark, std::move(reason)};
}

// The six bits that a character of base64 stands for (RFC 4648 section 4).
std::optional<std::uint32_t> sextet(char c) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t value = kAlphabet.find(c);
  return value == std::string_view::npos ? std::nullopt
                                         : std::optional(static_cast<std::uint32_t>(value));
}

// Nothing if it is not base64. Line breaks are allowed, as Go's decoder allows them.
std::optional<std::string> decode_base64(std::string_view text) {
  std::string decoded;
  std::uint32_t bits = 0;
  std::size_t symbols = 0;
  std::size_t padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      continue;
    }
    const auto value = c == '=' ? std::optional(0U) : sextet(c);
    padding += c == '=' ? 1 : 0;
    if (!value || (padding > 0 && c != '=')) {
      return std::nullopt;
    }
    bits = (bits << 6U) | *value;
    if (++symbols % 4 == 0) {
      decoded +=
          {static_cast<char>(bits >> 16U), static_cast<char>(bits >> 8U), static_cast<char>(bits)};
    }
  }
  if (symbols % 4 != 0 || padding > 2 || decoded.size() < padding) {
    return std::nullopt;
  }
  decoded.resize(decoded.size() - padding);
  return decoded;
}

// One mapping of a kubeconfig, with the file that it is in.
class Section {
 public:
  Section(const YAML::Node& node, std::string name, std::filesystem::path directory)
      : node_(node), name_(std::move(name)), directory_(std::move(directory)) {
    if (!node_.IsMap()) {
      refuse(node_.Mark(), name_ + " is not a mapping");
    }
  }

  // Every key must be one of `supported` or `ignored`.
  void check_keys(std::vector<std::string> supported,
                  const std::vector<std::string>& unsupported) const {
    for (const auto& entry : node_) {
      const auto key = entry.first.as<std::string>();
      const auto is_in = [&key](const std::vector<std::string>& names) {
        return std::find(names.begin(), names.end(), key) != names.end();
      };
      if (is_in(unsupported)) {
        refuse(entry.first.Mark(), name_ + " has '" + key + "', which vxmesh does not support");
      }
      if (!is_in(supported)) {
        refuse(entry.first.Mark(),
               name_ + " has the unknown key '" + key + "'" + did_you_mean(key, supported));
      }
    }
  }

  // The scalar of that key; empty if there is none.
  [[nodiscard]] std::string text(const std::string& key) const {
    const YAML::Node value = node_[key];
    if (!value.IsDefined() || value.IsNull()) {
      return {};
    }
    if (!value.IsScalar()) {
      refuse(value.Mark(), name_ + "." + key + " is not a string");
    }
    return value.as<std::string>();
  }

  [[nodiscard]] bool flag(const std::string& key) const {
    const YAML::Node value = node_[key];
    bool flag = false;
    if (value.IsDefined() && !value.IsNull() && !YAML::convert<bool>::decode(value, flag)) {
      refuse(value.Mark(), name_ + "." + key + " is neither true nor false");
    }
    return flag;
  }

  // A path, made absolute as far as the kubeconfig's own path is.
  [[nodiscard]] std::string path(const std::string& key) const {
    const std::string text_path = text(key);
    return text_path.empty() ? text_path : (directory_ / text_path).lexically_normal().string();
  }

  // The content of KEY-data, else of the file KEY; empty if there is neither.
  [[nodiscard]] std::string content(const std::string& key) const {
    const std::string data_key = key + "-data";
    if (const std::string data = text(data_key); !data.empty()) {
      const auto decoded = decode_base64(data);
      if (!decoded) {
        refuse(node_[data_key].Mark(), name_ + "." + data_key + " is not base64");
      }
      return *decoded;
    }
    const std::string file = path(key);
    if (file.empty()) {
      return {};
    }
    const auto read = read_text_file(file);
    if (!read) {
      refuse(node_[key].Mark(), name_ + "." + key + ": " + read.error().context);
    }
    return *read;
  }

  [[nodiscard]] YAML::Mark mark() const { return node_.Mark(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const YAML::Node& node() const { return node_; }

 private:
  YAML::Node node_;
  std::string name_;  // for messages
  std::filesystem::path directory_;
};

// The `inner` mapping of the entry called `wanted` in the list `list`.
Section find_entry(const YAML::Node& root, const std::string& list, const std::string& inner,
                   const std::string& wanted, const std::filesystem::path& directory) {
  const YAML::Node entries = root[list];
  if (!entries.IsDefined() || !entries.IsSequence()) {
    refuse(root.Mark(), list + " is missing or not a list");
  }
  const std::string of_list = "an entry of " + list;
  const std::string called = inner + " '" + wanted + "'";
  for (const YAML::Node& entry : entries) {
    const Section named(entry, of_list, directory);
    if (named.text("name") == wanted) {
      const YAML::Node value = entry[inner];
      // A user without any credentials may be written as nothing at all.
      return {value.IsDefined() && !value.IsNull() ? value : YAML::Node(YAML::NodeType::Map),
              called, directory};
    }
  }
  refuse(entries.Mark(), "there is no " + inner + " called '" + wanted + "' in " + list);
}

void read_cluster(const Section& cluster, KubernetesAccess& access) {
  cluster.check_keys(
      {"server", "certificate-authority", "certificate-authority-data", "tls-server-name",
       "insecure-skip-tls-verify", "disable-compression", "extensions"},
      {"proxy-url"});
  access.server = cluster.text("server");
  access.ca_pem = cluster.content("certificate-authority");
  access.tls_server_name = cluster.text("tls-server-name");
  access.insecure_skip_tls_verify = cluster.flag("insecure-skip-tls-verify");
  if (access.server.empty()) {
    refuse(cluster.mark(), cluster.name() + " has no server");
  }
  if (access.insecure_skip_tls_verify && !access.ca_pem.empty()) {
    refuse(cluster.mark(),
           cluster.name() + " has both a certificate-authority and insecure-skip-tls-verify");
  }
}

void read_user(const Section& user, KubernetesAccess& access) {
  user.check_keys({"client-certificate", "client-certificate-data", "client-key", "client-key-data",
                   "token", "tokenFile", "extensions"},
                  {"exec", "auth-provider", "as", "as-uid", "as-groups", "as-user-extra",
                   "username", "password"});
  access.client_certificate_pem = user.content("client-certificate");
  access.client_key_pem = user.content("client-key");
  access.token = user.text("token");
  access.token_file = user.path("tokenFile");
  if (access.client_certificate_pem.empty() != access.client_key_pem.empty()) {
    refuse(user.mark(), user.name() + " has only one of client-certificate and client-key");
  }
  // kube-rs lets the one win and client-go the other.
  if (!access.token.empty() && !access.token_file.empty()) {
    refuse(user.mark(), user.name() + " has both token and tokenFile");
  }
}

KubernetesAccess read(const std::string& text, const std::filesystem::path& directory) {
  const Section root(YAML::Load(text), "the kubeconfig", directory);
  const std::string context_name = root.text("current-context");
  if (context_name.empty()) {
    refuse(root.mark(), "current-context is not set");
  }
  const Section context = find_entry(root.node(), "contexts", "context", context_name, directory);
  KubernetesAccess access;
  read_cluster(find_entry(root.node(), "clusters", "cluster", context.text("cluster"), directory),
               access);
  if (const std::string user = context.text("user"); !user.empty()) {
    read_user(find_entry(root.node(), "users", "user", user, directory), access);
  }
  return access;
}

}  // namespace

Result<KubernetesAccess> load_kubeconfig(const std::string& path) {
  const auto text = read_text_file(path);
  if (!text) {
    return tl::unexpected(text.error());
  }
  return parse_kubeconfig(*text, path);
}

Result<KubernetesAccess> parse_kubeconfig(const std::string& text, const std::string& path) {
  const auto located = [&path](const YAML::Mark& mark, const std::string& reason) {
    const std::string line = mark.is_null() ? "" : ":" + std::to_string(mark.line + 1);
    return fail(ErrorCode::InvalidInput, path + line + ": " + reason);
  };
  try {
    return read(text, std::filesystem::path(path).parent_path());
  } catch (const KubeconfigError& error) {
    return located(error.mark, error.reason);
  } catch (const YAML::Exception& error) {
    return located(error.mark, error.msg);
  }
}

Result<KubernetesAccess> in_cluster_access(const InClusterEnvironment& environment,
                                           const std::string& directory) {
  if (environment.host.empty() || environment.port.empty()) {
    return fail(ErrorCode::Environment,
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: not in a pod; "
                "give --server or --kubeconfig");
  }
  auto ca_pem = read_text_file(directory + "/ca.crt");
  if (!ca_pem) {
    return tl::unexpected(ca_pem.error());
  }
  const bool ipv6 = environment.host.find(':') != std::string::npos;
  KubernetesAccess access;
  access.server = "https://" + (ipv6 ? "[" + environment.host + "]" : environment.host) + ":" +
                  environment.port;
  access.ca_pem = std::move(*ca_pem);
  access.token_file = directory + "/token";
  return access;
}

}  // namespace vxmesh
