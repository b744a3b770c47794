// Stand-in for AIBrix's metadata-service, for tests: it lists the models that have a running pod.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"
)

const (
	account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	name    = "model.aibrix.ai/name"
)

func main() {
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {})
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {})
	http.HandleFunc("/v1/models", func(w http.ResponseWriter, _ *http.Request) {
		token, _ := os.ReadFile(account + "token")
		req, _ := http.NewRequest("GET", "https://kubernetes.default.svc/api/v1/pods", nil)
		req.Header.Set("Authorization", "Bearer "+string(token))
		res, err := client.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer res.Body.Close()
		var pods struct {
			Items []struct {
				Metadata struct{ Labels, Annotations map[string]string }
				Status   struct{ Phase string }
			}
		}
		_ = json.NewDecoder(res.Body).Decode(&pods)
		names := map[string]bool{}
		list := []map[string]any{}
		for _, p := range pods.Items {
			id := p.Metadata.Labels[name]
			if id == "" {
				id = p.Metadata.Annotations[name]
			}
			if id != "" && p.Status.Phase == "Running" && !names[id] {
				names[id] = true
				list = append(list, map[string]any{"id": id, "object": "model", "owned_by": "aibrix", "created": 0})
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": list})
	})
	log.Fatal(http.ListenAndServe(":8090", nil))
}
