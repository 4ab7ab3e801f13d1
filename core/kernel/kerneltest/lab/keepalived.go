package lab

import (
	"os"
	"path/filepath"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// Keepalived starts the distribution's Keepalived, VRRP only, on h with the
// configuration text. Its files go to the test's own directory and it logs to
// its standard output only: where nobody serves /dev/log, each line for syslog
// would go to the console, slowly enough to hold up the daemon.
func (h *Host) Keepalived(text string) *Process {
	t := h.network.t
	t.Helper()
	kerneltest.RequireTool(t, "keepalived")
	dir, err := os.MkdirTemp("", "halo-keepalived-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "keepalived.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	pid := func(name string) string { return filepath.Join(dir, name+".pid") }
	return h.Start(kerneltest.ToolPath("keepalived"), "--dont-fork", "--no-syslog", "--log-console", "--log-detail", "--vrrp", "--use-file="+config,
		"--pid="+pid("parent"), "--vrrp_pid="+pid("vrrp"), "--checkers_pid="+pid("checkers"))
}
