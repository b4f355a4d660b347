// How to reach an API server and as whom: what a kubeconfig or a service account says.
#pragma once

#include <string>

namespace vxmesh {

// Texts, not paths: certificates and keys are PEM. The one exception is the token file, which is
// read again and again because tokens expire.
struct KubernetesAccess {
  std::string server;  // a URL
  std::string ca_pem;  // empty: the system's certificate authorities
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string tls_server_name;  // empty: the host of the URL
  bool insecure_skip_tls_verify = false;
  std::string token;       // a bearer token that does not change
  std::string token_file;  // or where to read one; at most one of the two is set

  friend bool operator==(const KubernetesAccess&, const KubernetesAccess&) = default;
};

}  // namespace vxmesh
