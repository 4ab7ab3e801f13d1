// Package pluginv1 is the generated code of plugin.proto, the wire between
// halo's core and its plugins.
//
// Nothing outside sdk/internal and sdk/host sees it: package convert turns it
// into plain values and back. Regenerate with `make generate` (or `buf
// generate` in sdk/internal/proto); plugin.proto is the file to read.
package pluginv1
