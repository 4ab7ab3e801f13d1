package main

import (
	"testing"

	"github.com/halo-ha/halo/sdk/sdktest"
	"github.com/halo-ha/halo/sdk/sdktest/conformance"
)

// TestConformance holds every built-in to what is asked of third parties.
func TestConformance(t *testing.T) {
	options := map[string]conformance.Options{
		"halo-check-tcp":    {},
		"halo-track-script": {Type: "script", Settings: []byte(`{"command": ["/bin/true"]}`)},
		"halo-check-misc":   {Type: "misc", Settings: []byte(`{"command": ["/bin/true"]}`)},
	}
	for _, b := range builtins() {
		t.Run(b.name, func(t *testing.T) {
			o, ok := options[b.name]
			if !ok {
				t.Fatal("no options to test it with")
			}
			o.Path, o.Env = link(t, b.name), []string{asPlugin + "=1"}
			sdktest.Conformance(t, o)
		})
	}
}
