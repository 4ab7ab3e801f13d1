package config

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProblemOfPlugin gives a plugin's diagnostics their places.
func TestProblemOfPlugin(t *testing.T) {
	t.Parallel()
	g := mustParse(t, `[virtual_server.web]
address = "192.0.2.10:80"
check = [{ type = "misc", command = ["/bin/echo", "a"] }]

[[virtual_server.web.real_server]]
address = "192.0.2.30:80"

[[virtual_server.web.real_server]]
address = "192.0.2.31:80"

[[virtual_server.web.real_server.check]]
type = "stub"
question = "why"
codes = [
  200,
  204,
]
[virtual_server.web.real_server.check.headers]
"X-A" = "a"
"X-A.b" = "b"
`)
	servers := g.VirtualServers["web"].Servers
	inherited, own := servers[0].Checks[0], servers[1].Checks[0]
	tests := []struct {
		check           *Check
		attribute, want string
	}{
		{inherited, "", "halo.toml:3:10: virtual_server.web.check[0]: no"},
		{inherited, "command", "halo.toml:3:37: virtual_server.web.check[0].command: no"},
		{inherited, "command[1]", "halo.toml:3:51: virtual_server.web.check[0].command[1]: no"},
		{inherited, "command[7]", "halo.toml:3:37: virtual_server.web.check[0].command[7]: no"},
		{inherited, "command[x", "halo.toml:3:37: virtual_server.web.check[0].command[x: no"},
		{inherited, "dialect", "halo.toml:3:10: virtual_server.web.check[0].dialect: no"},
		{own, "", "halo.toml:11:34: virtual_server.web.real_server[1].check[0]: no"},
		{own, "question", "halo.toml:13:12: virtual_server.web.real_server[1].check[0].question: no"},
		{own, "codes[1]", "halo.toml:16:3: virtual_server.web.real_server[1].check[0].codes[1]: no"},
		{own, "headers.X-A", "halo.toml:19:9: virtual_server.web.real_server[1].check[0].headers.X-A: no"},
		{own, "headers.X-A.b", "halo.toml:20:11: virtual_server.web.real_server[1].check[0].headers.X-A.b: no"},
		{own, "headers.X-B", "halo.toml:18:39: virtual_server.web.real_server[1].check[0].headers.X-B: no"},
		{&Check{}, "command", "halo.toml: check.command: no"},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, g.Problem(test.check, test.attribute, "no").String()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.attribute, diff)
		}
	}
	made := &Generation{File: "made.toml"}
	if got := made.Problem(own, "codes", "no").String(); got != "made.toml: check.codes: no" {
		t.Errorf("of a generation that was not read: %s", got)
	}
}

// TestProblemsOfSharedChecks: what many servers say of one check is one problem.
func TestProblemsOfSharedChecks(t *testing.T) {
	t.Parallel()
	g := loadGood(t, "same-address-other-protocol.toml")
	var problems Problems
	for _, name := range []string{"dns-udp", "dns-tcp"} {
		for _, rs := range g.VirtualServers[name].Servers {
			p := g.Problem(rs.Checks[0], "", "is dull")
			p.Severity = SeverityWarning
			problems = append(problems, p)
		}
	}
	const want = `same-address-other-protocol.toml:5:10: warning: virtual_server.dns-tcp.check[0]: is dull
same-address-other-protocol.toml:11:10: warning: virtual_server.dns-udp.check[0]: is dull
`
	if diff := cmp.Diff(want, problems.Sorted().String()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if problems.HasErrors() || problems.Err() != nil || len(problems.Warnings()) != 4 || problems.Errors() != nil {
		t.Error("warnings are taken for errors")
	}
}

func TestProblemAsJSON(t *testing.T) {
	t.Parallel()
	_, problems := parseText(t, "[vrrp_instance.V]\ninterface = \"e\"\nvirtual_router_id = 1\nadresses = []\n[ipvs]\nresync_interval = \"1\"\n")
	encoded, err := json.Marshal(append(problems, Problem{Severity: SeverityWarning, Position: Position{File: "f"}, Message: "m"}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"severity":"error","file":"halo.toml","line":4,"column":1,"key":"vrrp_instance.V.adresses","message":"unknown key","expected":"one of accept, addresses, advert_interval, also_version_2, authentication, checksum, excluded_addresses, garp, ignore_link_down, interface, preempt, preempt_delay, priority, router_advertisement, routes, rules, source_address, track, track_interfaces, unicast_any_source, unicast_peers, version, virtual_router_id, vmac","suggestion":"\"addresses\""},` +
		`{"severity":"error","file":"halo.toml","line":6,"column":19,"key":"ipvs.resync_interval","message":"\"1\" has no unit","expected":"a duration from \"1s\" to \"1h\"","suggestion":"\"1s\""},` +
		`{"severity":"warning","file":"f","message":"m"}]`
	if diff := cmp.Diff(want, string(encoded)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if got := problems.Err(); got == nil || got.Error()+"\n" != problems.String() {
		t.Errorf("Err() = %v", got)
	}
}
