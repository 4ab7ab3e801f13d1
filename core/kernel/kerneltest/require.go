// Package kerneltest holds what tests of the kernel's edges stand on: the
// conditions a test may need, real network namespaces joined by virtual
// cables, and one in-memory kernel that prints its state as text.
//
// It is imported by tests only and never by the daemon. Everything it makes in
// the real kernel lives in network namespaces of its own, carries the process
// id in its name and is removed when the test ends; the host's network is
// never touched. It needs nothing but the kernel: no iproute2, so that it also
// works in a test kernel with nothing but busybox around it.
//
// Read Namespace first for tests with a real kernel, Kernel first for tests
// without.
package kerneltest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RequireRoot skips the test when this process may not create and configure
// network namespaces.
func RequireRoot(tb testing.TB) {
	tb.Helper()
	missing, err := missingCapabilities()
	switch {
	case err != nil:
		unavailable(tb, "cannot read own capabilities: "+err.Error())
	case len(missing) > 0:
		unavailable(tb, "needs root: "+strings.Join(missing, ", ")+" not effective")
	}
}

// RequireTool skips the test when the program called name is not installed.
// The directories where daemons live are searched too, since the PATH of an
// ordinary session often lacks them.
func RequireTool(tb testing.TB, name string) {
	tb.Helper()
	if toolPath(name) == "" {
		unavailable(tb, "needs "+name+", which is not installed")
	}
}

// ToolPath is the path of the program called name, or the name itself where
// it is not installed.
func ToolPath(name string) string {
	if path := toolPath(name); path != "" {
		return path
	}
	return name
}

func toolPath(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path
		}
	}
	return ""
}

// RequireIPVS skips the test outside the test kernel, in which the same test
// runs again. Inside it (HALO_GUEST=1) a kernel without IPVS is a failure: a
// skip there would mean that nothing tested IPVS at all.
func RequireIPVS(tb testing.TB) {
	tb.Helper()
	if !InGuest() {
		tb.Skip("runs in the test kernel")
	}
	if _, err := netlink.GenlFamilyGet("IPVS"); err != nil {
		tb.Fatalf("the test kernel has no IPVS: %v", err)
	}
}

// InGuest tells whether the test runs inside the test kernel.
func InGuest() bool { return os.Getenv("HALO_GUEST") == "1" }

// unavailable skips the test with the reason. Continuous integration provides
// everything, so there a missing condition is a failure.
func unavailable(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s, and CI=true allows no skip", reason)
	}
	tb.Skip(reason)
}

// missingCapabilities lists the capabilities that namespace tests need and
// this process does not have in effect.
func missingCapabilities() ([]string, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, err
	}
	var missing []string
	for _, need := range []struct {
		bit  int
		name string
	}{
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{unix.CAP_NET_RAW, "CAP_NET_RAW"},
		{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	} {
		if data[need.bit/32].Effective&(1<<(need.bit%32)) == 0 {
			missing = append(missing, need.name)
		}
	}
	return missing, nil
}
