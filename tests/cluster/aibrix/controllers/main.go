// Stand-in for AIBrix's controller-manager, for tests: the lease, the webhooks and the routes of models, in its manner.
// It sees a Deployment when it is added and when it is gone, and no change in between.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	system  = "aibrix-system"
	lease   = "/apis/coordination.k8s.io/v1/namespaces/" + system + "/leases"
	leader  = "aibrix-controller-manager"
	term    = 15
	name    = "model.aibrix.ai/name"
	service = "model.aibrix.ai/service-name"
	stamp   = "2006-01-02T15:04:05.000000Z07:00"
)

// byLabelAlone: whether it is one of the releases, which read no annotations and hash no names.
var byLabelAlone = os.Getenv("BY_LABEL_ALONE") != ""

var (
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	odd       = regexp.MustCompile(`[^a-z0-9]+`)
)

type object = map[string]any

type kube struct{ client *http.Client }

func (k *kube) call(method, path, form string, body any) (int, object) {
	token, _ := os.ReadFile(account + "token")
	var payload io.Reader
	if body != nil {
		text, _ := json.Marshal(body)
		payload = bytes.NewReader(text)
	}
	req, _ := http.NewRequest(method, "https://kubernetes.default.svc"+path, payload)
	req.Header.Set("Authorization", "Bearer "+string(token))
	req.Header.Set("Content-Type", form)
	res, err := k.client.Do(req)
	if err != nil {
		log.Printf("ERROR %s %s: %v", method, path, err)
		return 0, nil
	}
	defer res.Body.Close()
	found := object{}
	_ = json.NewDecoder(res.Body).Decode(&found)
	return res.StatusCode, found
}

func (k *kube) get(path string) (int, object) { return k.call("GET", path, "application/json", nil) }

func (k *kube) create(path string, body object) {
	if code, found := k.call("POST", path, "application/json", body); code >= 300 && code != http.StatusConflict {
		log.Printf("ERROR create %s: %d %v", path, code, found["message"])
	}
}

func dig(o any, keys ...string) any {
	for _, key := range keys {
		m, ok := o.(object)
		if !ok {
			return nil
		}
		o = m[key]
	}
	return o
}

// lead returns once the lease is this process's, and keeps it from then on. It is not given back at the end.
func (k *kube) lead(identity string) {
	for ; ; time.Sleep(2 * time.Second) {
		if k.hold(identity) {
			break
		}
	}
	go func() {
		for ; ; time.Sleep(2 * time.Second) {
			if !k.hold(identity) {
				log.Fatal("leader election lost")
			}
		}
	}()
}

func (k *kube) hold(identity string) bool {
	now := time.Now().UTC().Format(stamp)
	spec := object{"holderIdentity": identity, "leaseDurationSeconds": term, "acquireTime": now, "renewTime": now}
	code, found := k.get(lease + "/" + leader)
	if code == http.StatusNotFound {
		code, _ = k.call("POST", lease, "application/json", object{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
			"metadata": object{"name": leader, "namespace": system}, "spec": spec})
		return code < 300
	}
	holder, _ := dig(found, "spec", "holderIdentity").(string)
	text, _ := dig(found, "spec", "renewTime").(string)
	renewed, _ := time.Parse(time.RFC3339Nano, text)
	if holder != identity && time.Since(renewed) < term*time.Second {
		return false
	}
	found["spec"] = spec
	code, _ = k.call("PUT", lease+"/"+leader, "application/json", found)
	return code < 300
}

// named returns the model that a Deployment names: by its label, else, as main does, by the annotation.
func named(d any) string {
	if model, _ := dig(d, "metadata", "labels", name).(string); model != "" || byLabelAlone {
		return model
	}
	model, _ := dig(d, "metadata", "annotations", name).(string)
	return model
}

// routeName returns MODEL-router where that is a name, else, as main does, a readable one with a hash of the model's name.
func routeName(model string) string {
	if byLabelAlone || subdomain.MatchString(model) {
		return model + "-router"
	}
	readable := strings.Trim(odd.ReplaceAllString(strings.ToLower(model), "-"), "-")
	sum := sha256.Sum256([]byte(model))
	return fmt.Sprintf("%s-%x-router", readable, sum[:6])
}

func (k *kube) route(d any) {
	model := named(d)
	if model == "" {
		return
	}
	target := model
	if own, _ := dig(d, "metadata", "annotations", service).(string); own != "" && !byLabelAlone {
		target = own
	}
	labels, _ := dig(d, "metadata", "labels").(object)
	port, err := strconv.Atoi(fmt.Sprint(labels["model.aibrix.ai/port"]))
	if err != nil {
		port = 8000
	}
	namespace := dig(d, "metadata", "namespace").(string)
	var matches []object
	for _, path := range []string{"/v1/completions", "/v1/chat/completions"} {
		matches = append(matches, object{"path": object{"type": "PathPrefix", "value": path},
			"headers": []object{{"type": "Exact", "name": "model", "value": model}}})
	}
	k.create("/apis/gateway.networking.k8s.io/v1/namespaces/"+system+"/httproutes", object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": object{"name": routeName(model), "namespace": system},
		"spec": object{"parentRefs": []object{{"name": "aibrix-eg", "namespace": system}},
			"rules": []object{{"matches": matches, "backendRefs": []object{{"name": target, "namespace": namespace, "port": port}},
				"timeouts": object{"request": "120s"}}}}})
	k.create("/apis/gateway.networking.k8s.io/v1beta1/namespaces/"+namespace+"/referencegrants", object{
		"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
		"metadata": object{"name": system + "-reserved-referencegrant-in-" + namespace, "namespace": namespace},
		"spec": object{"from": []object{{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": system}},
			"to": []object{{"group": "", "kind": "Service"}}}})
	log.Printf("httproute: %s created for model: %s", routeName(model), model)
}

func (k *kube) watch() {
	seen := map[string]string{} // UID → model, "" where it has no label
	for ; ; time.Sleep(500 * time.Millisecond) {
		code, found := k.get("/apis/apps/v1/deployments")
		if code != http.StatusOK {
			continue
		}
		now := map[string]bool{}
		items, _ := found["items"].([]any)
		for _, d := range items {
			uid := dig(d, "metadata", "uid").(string)
			now[uid] = true
			if _, ok := seen[uid]; !ok {
				seen[uid] = named(d)
				k.route(d)
			}
		}
		for uid, model := range seen {
			if !now[uid] {
				delete(seen, uid)
				if model != "" {
					k.call("DELETE", "/apis/gateway.networking.k8s.io/v1/namespaces/"+system+"/httproutes/"+routeName(model), "application/json", nil)
				}
			}
		}
	}
}

func certificate() (tls.Certificate, []byte) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	host := "aibrix-webhook-service." + system + ".svc"
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// admit lets everything pass, and leaves a mark on each Deployment, so that a test can tell which it has seen.
func admit(w http.ResponseWriter, r *http.Request) {
	var review object
	_ = json.NewDecoder(r.Body).Decode(&review)
	answer := object{"uid": dig(review, "request", "uid"), "allowed": true}
	if r.URL.Path == "/mutate-apps-v1-deployment" {
		patch, _ := json.Marshal([]object{{"op": "add", "path": "/metadata/labels/devenv-test~1seen", "value": "true"}})
		if dig(review, "request", "object", "metadata", "labels") != nil {
			answer["patch"], answer["patchType"] = patch, "JSONPatch"
		}
	}
	_ = json.NewEncoder(w).Encode(object{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})
}

func (k *kube) introduce(ca []byte) bool {
	for _, kind := range []string{"mutatingwebhookconfigurations/aibrix-mutating", "validatingwebhookconfigurations/aibrix-validating"} {
		path := "/apis/admissionregistration.k8s.io/v1/" + kind + "-webhook-configuration"
		code, found := k.get(path)
		hooks, _ := found["webhooks"].([]any)
		for _, hook := range hooks {
			dig(hook, "clientConfig").(object)["caBundle"] = ca
		}
		if code == http.StatusOK {
			code, _ = k.call("PUT", path, "application/json", found)
		}
		if code >= 300 || code == 0 {
			return false
		}
	}
	return true
}

func main() {
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	k := &kube{&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	if os.Getenv("NEEDS_RAY") != "" {
		if code, _ := k.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rayclusters.ray.io"); code != http.StatusOK {
			log.Fatal("CRD rayclusters.ray.io is missing")
		}
	}
	var ready atomic.Bool
	health := http.NewServeMux()
	health.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {})
	health.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	go func() { log.Fatal(http.ListenAndServe(":8081", health)) }()
	own, bundle := certificate()
	hooks := &http.Server{Addr: ":9443", Handler: http.HandlerFunc(admit), TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}}}
	go func() { log.Fatal(hooks.ListenAndServeTLS("", "")) }()
	for !k.introduce(bundle) {
		time.Sleep(time.Second)
	}
	ready.Store(true)
	host, _ := os.Hostname()
	k.lead(fmt.Sprintf("%s_%d", host, time.Now().UnixNano()))
	log.Print("leads")
	k.watch()
}
