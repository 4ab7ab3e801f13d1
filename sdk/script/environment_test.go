package script_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk/script"
)

func TestEnvironment(t *testing.T) {
	base := []string{
		"LANG=C.UTF-8", "TZ=UTC", "http_proxy=http://192.0.2.1:3128", "EMPTY=",
		"LD_PRELOAD=/tmp/evil.so", "LD_LIBRARY_PATH=/tmp", "GLIBC_TUNABLES=x", "IFS=x", "ENV=/tmp/rc", "BASH_ENV=/tmp/rc",
		"BASH_FUNC_ls%%=() { rm -rf /; }", "SHELLOPTS=xtrace", "PYTHONPATH=/tmp", "PERL5OPT=-d", "NODE_OPTIONS=-r x",
		"PLUGIN_CLIENT_CERT=secret", "HALO_PLUGIN_MAGIC_COOKIE=x", "HALO_PLUGIN_LIFELINE_FD=3",
		"NOTIFY_SOCKET=/run/systemd/notify", "LISTEN_FDS=1", "WATCHDOG_USEC=1", "novalue", "HALO_PORT=1",
	}
	got := script.Environment(base, "HALO_PORT=80", "HALO_ADDRESS=192.0.2.30")
	want := []string{
		"LANG=C.UTF-8", "TZ=UTC", "http_proxy=http://192.0.2.1:3128", "EMPTY=", "HALO_PORT=80", "HALO_ADDRESS=192.0.2.30",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := script.Environment([]string{"PATH=/opt/bin"}); !slices.Equal(got, []string{"PATH=/opt/bin"}) {
		t.Errorf("environment %q, want the PATH that was given", got)
	}
}
