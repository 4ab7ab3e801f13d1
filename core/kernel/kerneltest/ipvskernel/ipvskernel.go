// Package ipvskernel gives a driver's tests the real IPVS table of a network
// namespace.
//
// It stands beside kerneltest, and not in it, because drivers may not import the
// kernel's edge and the edge's own tests import kerneltest. It holds nothing but
// Open, and runs in the test kernel only.
package ipvskernel

import (
	"testing"

	"github.com/halo-ha/halo/core/kernel/ipvsnl"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// Open returns access to the table of n, which is closed when the test ends.
// Outside the test kernel it skips the test.
func Open(tb testing.TB, n *kerneltest.Namespace) *ipvsnl.Handle {
	tb.Helper()
	kerneltest.RequireIPVS(tb)
	var h *ipvsnl.Handle
	err := n.Do(func() (err error) {
		h, err = ipvsnl.Open()
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
	})
	return h
}
