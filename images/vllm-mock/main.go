// A model server that only pretends: OpenAI's chat and text completions, plain
// or streamed, each reply naming the pod that gave it, so that a client can
// prove which pod a route led to. It keeps no state. With API_KEY it wants that key.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

// Seconds.
const longestDelay = 300

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// choice carries the reply where each of the three shapes has it.
type choice struct {
	Index        int      `json:"index"`
	Message      *message `json:"message,omitempty"`
	Delta        *message `json:"delta,omitempty"`
	Text         string   `json:"text,omitempty"`
	FinishReason *string  `json:"finish_reason"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

type reply struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type ask struct {
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	// Seconds before the answer begins, as a model takes for a long one. A field of the mock's own.
	Delay float64 `json:"mock_delay"`
}

type server struct{ model, pod string }

// content names the pod, unless the mock is to be as silent as a real model (ANONYMOUS).
func (s server) content() string {
	if os.Getenv("ANONYMOUS") != "" {
		return "hello"
	}
	return fmt.Sprintf("hello from %s (pod %s)", s.model, s.pod)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s server) models(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"object": "list",
		"data": []any{map[string]any{"id": s.model, "object": "model", "owned_by": "devenv"}}})
}

// complete answers one of the two completion paths; of says how a piece of text becomes a choice.
func (s server) complete(object string, whole, piece func(string) choice) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var a ask
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]any{"error": map[string]any{"message": err.Error()}})
			return
		}
		if !wait(r.Context(), a.Delay) {
			return
		}
		made := reply{ID: "mock-" + s.pod, Object: object, Created: time.Now().Unix(), Model: a.Model}
		if a.Stream {
			made.Object = object + ".chunk"
			stream(w, made, piece, s.content())
			return
		}
		stop := "stop"
		c := whole(s.content())
		c.FinishReason = &stop
		made.Choices, made.Usage = []choice{c}, &usage{1, 1, 2}
		writeJSON(w, http.StatusOK, made)
	}
}

// wait returns after those seconds, at most longestDelay; false if the client has gone before.
func wait(ctx context.Context, seconds float64) bool {
	if seconds <= 0 {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(min(seconds, longestDelay) * float64(time.Second))):
		return true
	}
}

// stream sends the content in two events, as tokens would come, and OpenAI's closing mark.
func stream(w http.ResponseWriter, made reply, piece func(string) choice, content string) {
	w.Header().Set("content-type", "text/event-stream")
	half := len(content) / 2
	for _, part := range []string{content[:half], content[half:]} {
		made.Choices = []choice{piece(part)}
		data, _ := json.Marshal(made)
		fmt.Fprintf(w, "data: %s\n\n", data)
		_ = http.NewResponseController(w).Flush()
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// keyed lets pass what brings the key, in the manner of vLLM's --api-key; without a key, everything.
func keyed(key string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if key != "" && r.Header.Get("Authorization") != "Bearer "+key {
			writeJSON(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{
				"message": "Incorrect API key provided.", "type": "authentication_error", "param": nil, "code": "invalid_api_key"}})
			return
		}
		next(w, r)
	}
}

func (s server) handler() http.Handler {
	mux := http.NewServeMux()
	healthy := func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}
	mux.HandleFunc("GET /health", healthy)
	mux.HandleFunc("GET /ready", healthy)
	key := os.Getenv("API_KEY")
	mux.HandleFunc("GET /v1/models", keyed(key, s.models))
	said := func(t string) *message { return &message{"assistant", t} }
	mux.HandleFunc("POST /v1/chat/completions", keyed(key, s.complete("chat.completion",
		func(t string) choice { return choice{Message: said(t)} }, func(t string) choice { return choice{Delta: said(t)} })))
	text := func(t string) choice { return choice{Text: t} }
	mux.HandleFunc("POST /v1/completions", keyed(key, s.complete("text_completion", text, text)))
	return mux
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func main() {
	host, _ := os.Hostname()
	s := server{model: env("MODEL_NAME", "llama2-7b"), pod: env("POD_NAME", host)}
	log.Printf("model %s in pod %s listens on :8000", s.model, s.pod)
	log.Fatal(http.ListenAndServe(":8000", s.handler()))
}
