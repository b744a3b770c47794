// Package openapiclient has what package validator's New takes.
package openapiclient

import "io/fs"

// Client knows nothing.
type Client struct{}

// NewLocalCRDFiles reads nothing.
func NewLocalCRDFiles(...fs.FS) Client { return Client{} }
