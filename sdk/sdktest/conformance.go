package sdktest

import (
	"testing"

	"github.com/halo-ha/halo/sdk/sdktest/conformance"
)

// Conformance runs the conformance kit against a built program, each rule as a
// subtest. Only o.Path is needed when the plugin has a check type that works
// without settings.
func Conformance(t *testing.T, o conformance.Options) {
	t.Helper()
	err := conformance.Run(t.Context(), o, func(v conformance.Verdict) {
		t.Run(v.Group+"/"+v.Name, func(t *testing.T) {
			t.Logf("took %v", v.Took)
			if v.Err != nil {
				t.Error(v.Err)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
