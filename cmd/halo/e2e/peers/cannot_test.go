package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// TestFRRCannot proves why the matrix leaves vrrpd out of some forms: it knows no
// word for an authentication, and none for peers.
func TestFRRCannot(t *testing.T) {
	t.Parallel()
	const vrrpd = "/usr/lib/frr/vrrpd"
	kerneltest.RequireRoot(t)
	kerneltest.RequireTool(t, vrrpd)
	const refused = "No such command on config line 2: "
	for line, known := range map[string]bool{
		"vrrp 51 priority 150":                         true,
		"vrrp 51 authentication text s3cret":           false,
		"vrrp 51 authentication md5 key-string s3cret": false,
		"vrrp 51 peer 192.0.2.2":                       false,
		"vrrp 51 unicast-peer 192.0.2.2":               false,
	} {
		dir := t.TempDir()
		config := filepath.Join(dir, "vrrpd.conf")
		if err := os.WriteFile(config, []byte("interface eth0\n "+line+"\nexit\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // It reads as a user of its own.
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), vrrpd, "--dryrun", "--config_file", config,
			"--vty_socket", dir, "--pid_file", filepath.Join(dir, "pid"), "--log", "stdout")
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), refused) == known || !strings.Contains(string(out), "VRRP") {
			t.Errorf("%q: known should be %t (%v)\n%s", line, known, err, out)
		}
	}
}
