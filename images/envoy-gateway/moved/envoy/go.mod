// Empty: what this module has is in github.com/envoyproxy/go-control-plane v0.13.1 itself.
module github.com/envoyproxy/go-control-plane/envoy

go 1.23
