#include "adapters/kube/kubeconfig.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace vxmesh {
namespace {

// A directory of its own, removed at the end.
class Kubeconfig : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "kubeconfig.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return (directory_ / name).string();
  }

  // A kubeconfig with these lines in its cluster and in its user.
  static std::string kubeconfig(const std::string& cluster, const std::string& user) {
    return "apiVersion: v1\nkind: Config\ncurrent-context: lab\n"
           "contexts:\n- name: other\n  context: {cluster: none, user: none}\n"
           "- name: lab\n  context: {cluster: c1, user: u1}\n"
           "clusters:\n- name: c1\n  cluster:\n    server: https://10.0.0.1:6443\n" +
           cluster + "users:\n- name: u1\n  user:\n    extensions: []\n" + user;
  }

  static std::string error_of(const std::string& text) {
    const auto access = parse_kubeconfig(text, "/etc/k/config");
    return access ? "no error" : access.error().context;
  }

  std::filesystem::path directory_;
};

TEST_F(Kubeconfig, ReadsFilesRelativeToItself) {
  write("ca.pem", "the ca");
  write("cert.pem", "the certificate");
  write("key.pem", "the key");
  const std::string path = write(
      "config", kubeconfig("    certificate-authority: ca.pem\n    tls-server-name: api.lab\n",
                           "    client-certificate: ./cert.pem\n    client-key: " +
                               (directory_ / "key.pem").string() + "\n    tokenFile: token\n"));
  EXPECT_EQ(load_kubeconfig(path),
            (KubernetesAccess{.server = "https://10.0.0.1:6443",
                              .ca_pem = "the ca",
                              .client_certificate_pem = "the certificate",
                              .client_key_pem = "the key",
                              .tls_server_name = "api.lab",
                              .insecure_skip_tls_verify = false,
                              .token = "",
                              .token_file = (directory_ / "token").string()}));
}

TEST_F(Kubeconfig, DataWinsOverThePath) {
  const auto access = parse_kubeconfig(
      kubeconfig(
          "    certificate-authority: /not/there\n"
          "    certificate-authority-data: dGhlIGNhIQ==\n",
          "    client-certificate-data: YWI=\n    client-key-data: YWJj\n    token: t0ken\n"),
      "config");
  ASSERT_TRUE(access) << access.error().context;
  EXPECT_EQ(access->ca_pem, "the ca!");
  EXPECT_EQ(access->client_certificate_pem, "ab");
  EXPECT_EQ(access->client_key_pem, "abc");
  EXPECT_EQ(access->token, "t0ken");
}

TEST_F(Kubeconfig, InsecureIsTaken) {
  const auto access =
      parse_kubeconfig(kubeconfig("    insecure-skip-tls-verify: true\n", ""), "config");
  ASSERT_TRUE(access) << access.error().context;
  EXPECT_TRUE(access->insecure_skip_tls_verify);
}

TEST_F(Kubeconfig, WhatCannotBeHonouredIsNamedWithItsLine) {
  EXPECT_EQ(error_of(kubeconfig("    proxy-url: http://proxy\n", "")),
            "/etc/k/config:13: cluster 'c1' has 'proxy-url', which vxmesh does not support");
  for (const std::string field : {"exec", "auth-provider", "as", "username", "password"}) {
    EXPECT_EQ(error_of(kubeconfig("", "    " + field + ": {}\n")),
              "/etc/k/config:17: user 'u1' has '" + field + "', which vxmesh does not support");
  }
  EXPECT_EQ(error_of(kubeconfig("", "    tokenfile: x\n")),
            "/etc/k/config:17: user 'u1' has the unknown key 'tokenfile'; did you mean "
            "'tokenFile'?");
}

TEST_F(Kubeconfig, ContradictionsAreRefused) {
  EXPECT_NE(
      error_of(kubeconfig("", "    token: t\n    tokenFile: f\n")).find("both token and tokenFile"),
      std::string::npos);
  EXPECT_NE(error_of(kubeconfig("", "    client-key-data: YWJj\n"))
                .find("only one of client-certificate and client-key"),
            std::string::npos);
  EXPECT_NE(error_of(kubeconfig("    insecure-skip-tls-verify: true\n"
                                "    certificate-authority-data: YWJj\n",
                                ""))
                .find("both a certificate-authority and insecure-skip-tls-verify"),
            std::string::npos);
}

TEST_F(Kubeconfig, MalformedFilesSayWhere) {
  EXPECT_TRUE(error_of("a: [1,\nb: {").starts_with("/etc/k/config:")) << error_of("a: [1,\nb: {");
  EXPECT_EQ(error_of("- a\n"), "/etc/k/config:1: the kubeconfig is not a mapping");
  EXPECT_EQ(error_of("kind: Config\n"), "/etc/k/config:1: current-context is not set");
  EXPECT_EQ(error_of(kubeconfig("    certificate-authority-data: '%%%'\n", "")),
            "/etc/k/config:13: cluster 'c1'.certificate-authority-data is not base64");
  EXPECT_EQ(error_of(kubeconfig("    insecure-skip-tls-verify: perhaps\n", "")),
            "/etc/k/config:13: cluster 'c1'.insecure-skip-tls-verify is neither true nor false");
  EXPECT_EQ(error_of("current-context: x\ncontexts:\n- name: y\n"),
            "/etc/k/config:3: there is no context called 'x' in contexts");
  EXPECT_FALSE(load_kubeconfig((directory_ / "absent").string()));
  EXPECT_FALSE(load_kubeconfig(directory_.string()));
}

TEST_F(Kubeconfig, AMissingFileIsNamed) {
  const std::string error = error_of(kubeconfig("    certificate-authority: absent.pem\n", ""));
  EXPECT_TRUE(error.starts_with(
      "/etc/k/config:13: cluster 'c1'.certificate-authority: /etc/k/absent.pem: cannot be read"))
      << error;
}

TEST_F(Kubeconfig, BrokenBase64IsRefused) {
  for (const std::string data : {"YW", "YWJ", "YWJj=", "Y=Jj", "YWJj====", "====", "YW Jj"}) {
    const std::string error =
        error_of(kubeconfig("    certificate-authority-data: '" + data + "'\n", ""));
    EXPECT_NE(error.find("is not base64"), std::string::npos) << data << ": " << error;
  }
}

TEST_F(Kubeconfig, InClusterBracketsIpv6) {
  write("ca.crt", "the ca");
  const auto access = in_cluster_access({.host = "fd00::1", .port = "443"}, directory_.string());
  ASSERT_TRUE(access) << access.error().context;
  EXPECT_EQ(access->server, "https://[fd00::1]:443");
  EXPECT_EQ(access->ca_pem, "the ca");
  EXPECT_EQ(access->token_file, directory_.string() + "/token");
  EXPECT_FALSE(in_cluster_access({}, directory_.string()));
}

}  // namespace
}  // namespace vxmesh
