//go:build tools

// Package bucketserver pins a server of S3's protocol that keeps objects in a folder: what a batch's `--objects s3://` is
// tried on.
package bucketserver

import _ "github.com/versity/versitygw/cmd/versitygw"
