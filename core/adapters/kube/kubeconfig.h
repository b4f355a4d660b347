// Where the API server is and who we are there: from a kubeconfig file or a service account.
#pragma once

#include <string>

#include "adapters/kube/access.h"
#include "base/result.h"

namespace vxmesh {

// Reads the current-context of a kubeconfig. Supported: server, certificate-authority(-data),
// tls-server-name, insecure-skip-tls-verify, client-certificate(-data), client-key(-data), token,
// tokenFile. Data wins over a path; relative paths are relative to the kubeconfig. What we could
// not honour (exec, auth-provider, proxy-url, as, username, password, ...) is an error that names
// the field, because without it we would be somebody else or somewhere else. Errors say file, line
// and reason. Certificates are read here, the token file is only named.
[[nodiscard]] Result<KubernetesAccess> load_kubeconfig(const std::string& path);

// The same for a text; `path` is for messages and relative paths.
[[nodiscard]] Result<KubernetesAccess> parse_kubeconfig(const std::string& text,
                                                        const std::string& path);

// The environment of a pod, as the kubelet sets it.
struct InClusterEnvironment {
  std::string host;  // KUBERNETES_SERVICE_HOST
  std::string port;  // KUBERNETES_SERVICE_PORT
};

inline constexpr const char* kServiceAccountDirectory =
    "/var/run/secrets/kubernetes.io/serviceaccount";

// client-go's InClusterConfig: https to the service address, ca.crt and token of `directory`.
// Environment if this is not a pod or the CA cannot be read.
[[nodiscard]] Result<KubernetesAccess> in_cluster_access(
    const InClusterEnvironment& environment,
    const std::string& directory = kServiceAccountDirectory);

}  // namespace vxmesh
