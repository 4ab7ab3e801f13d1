package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestUnseen holds that a file can be judged before the plugins were asked:
// what is theirs passes, everything else is judged as ever.
func TestUnseen(t *testing.T) {
	const text = `[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
addresses = ["192.0.2.10/24"]
%s
[plugin.halo-check-nobody-knows]
plugin_grace = "1m"

[virtual_server.web]
address = "192.0.2.10:80"
check = [{ type = "nobody-knows", interval = "2s", depth = [1, 2], colour = "blue" }]

[[virtual_server.web.real_server]]
address = "192.0.2.30:80"
`
	g, problems := Parse("halo.toml", fmt.Appendf(nil, text, ""), Unseen{})
	if g == nil || len(problems) != 0 {
		t.Fatalf("what plugins know is judged without them:\n%s", problems)
	}
	if g.Instances["VI_1"].VRID != 51 || len(g.VirtualServers["web"].Servers[0].Checks) != 1 {
		t.Errorf("read as %+v", g)
	}
	_, problems = Parse("halo.toml", fmt.Appendf(nil, text, "priority = 300"), Unseen{})
	if len(problems.Errors()) != 1 || !strings.Contains(problems[0].String(), "priority") {
		t.Errorf("a mistake in an instance gives:\n%s", problems)
	}
}
