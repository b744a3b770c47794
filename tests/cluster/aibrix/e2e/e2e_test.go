// Package e2e is a stand-in for AIBrix's test/e2e: one test for each way to end, by the ports and the kubeconfig alone.
package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

type kubeconfig struct {
	Clusters []struct {
		Cluster struct {
			Server    string
			Authority []byte `json:"certificate-authority-data"`
		}
	}
	Users []struct {
		User struct {
			Certificate []byte `json:"client-certificate-data"`
			Key         []byte `json:"client-key-data"`
		}
	}
}

func get(t *testing.T, port, path string) {
	t.Helper()
	client := http.Client{Timeout: 30 * time.Second}
	answer, err := client.Get(fmt.Sprintf("http://localhost:%s%s", os.Getenv(port), path))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", path, answer.StatusCode)
	}
}

func TestEngine(t *testing.T) {
	for range 20 {
		get(t, "E2E_ENGINE", "/v1/models")
	}
}

func TestGateway(t *testing.T) { get(t, "E2E_GATEWAY", "/v1/models") }

func TestSkip(t *testing.T) { t.Skip("not here") }

func TestFail(t *testing.T) {
	t.Run("sub", func(t *testing.T) { t.Error("as it is meant to") })
}

// TestLeaves leaves a Service in the cluster.
func TestLeaves(t *testing.T) {
	text, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	var config kubeconfig
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	cluster, user := config.Clusters[0].Cluster, config.Users[0].User
	certificate, err := tls.X509KeyPair(user.Certificate, user.Key)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(cluster.Authority)
	trust := &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{certificate}}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: 30 * time.Second}
	service := []byte(`{"metadata": {"name": "e2e-left"}, "spec": {"ports": [{"port": 1}]}}`)
	url := cluster.Server + "/api/v1/namespaces/default/services"
	answer, err := client.Post(url, "application/json", bytes.NewReader(service))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("the Service was not made: %d", answer.StatusCode)
	}
	if os.Getenv("E2E_HANG") != "" {
		time.Sleep(time.Minute)
	}
}
