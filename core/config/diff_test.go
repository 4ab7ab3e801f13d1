package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDiffOfEqualGenerations compares every good file with itself, read twice.
func TestDiffOfEqualGenerations(t *testing.T) {
	t.Parallel()
	for _, path := range files(t, "good") {
		name := filepath.Base(path)
		d := Diff(loadGood(t, name), loadGood(t, name))
		if !d.Empty() || d.String() != "" {
			t.Errorf("%s differs from itself:\n%s", name, d)
		}
	}
}

// TestDiff changes one thing after the other in a file that has every key.
func TestDiff(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(configs, "good", "full.toml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	old := mustParse(t, text)
	tests := []struct{ name, from, to, want string }{
		{"nothing but a comment", "# Every key", "# Each key", ""},
		{"router_id", `"balancer one"`, `"balancer two"`, "global changed: router_id balancer one -> balancer two"},
		{"plugin_dirs", `"/usr/local/lib/halo/plugins", `, "", "global changed: plugin_dirs /usr/local/lib/halo/plugins, /usr/lib/halo/plugins -> /usr/lib/halo/plugins"},
		{"log_level left out", `log_level = "debug"`, "", "global changed: log_level debug -> info"},
		{"resync_interval", `resync_interval = "30s"`, `resync_interval = "1m"`, "ipvs changed: resync_interval 30s -> 1m"},
		{"the same duration otherwise", `resync_interval = "30s"`, `resync_interval = "0.5m"`, ""},
		{"metrics off", `metrics = "[::1]:9650"`, "", "control changed: metrics [::1]:9650 removed"},
		{"plugin", `on_plugin_loss = "fail"`, `on_plugin_loss = "hold"`, "plugin halo-check-stub changed: on_plugin_loss fail -> hold"},
		{"variable", `TOKEN = "swordfish"`, `TOKEN = "open sesame", A = "b"`, "plugin halo-check-stub changed: env.A [redacted] added, env.TOKEN changed"},
		{"order of capabilities", `["net_raw", "net_admin"]`, `["net_admin", "net_raw"]`, ""},
		{"a table with the defaults", "[ipvs]", "[plugin.halo-check-tcp]\nplugin_grace = \"30s\"\n[ipvs]", ""},
		{"a table without the defaults", "[ipvs]", "[plugin.halo-check-tcp]\nplugin_grace = \"31s\"\n[ipvs]", "plugin halo-check-tcp changed: plugin_grace 30s -> 31s"},
		{"priority", "priority = 150", "priority = 151", "vrrp_instance VI_1 changed: priority 150 -> 151"},
		{"addresses", `, "198.51.100.1/31"`, "", "vrrp_instance VI_1 changed: addresses[198.51.100.1/31] removed"},
		{"order of addresses", `"192.0.2.10/24", "192.0.2.11"`, `"192.0.2.11", "192.0.2.10/24"`, "vrrp_instance VI_1 changed: addresses 192.0.2.10/24, 192.0.2.11/32, 198.51.100.1/31 -> 192.0.2.11/32, 192.0.2.10/24, 198.51.100.1/31"},
		{"an address as a table", `"192.0.2.10/24"`, `{ address = "192.0.2.10/24" }`, ""},
		{"label of an address", `"192.0.2.10/24"`, `{ address = "192.0.2.10/24", label = "eth0:1" }`, "vrrp_instance VI_1 changed: addresses[192.0.2.10/24] 192.0.2.10/24 -> 192.0.2.10/24 label eth0:1"},
		{"place of an address", `"192.0.2.10/24"`, `{ address = "192.0.2.10/24", interface = "eth9" }`, "vrrp_instance VI_1 changed: addresses[192.0.2.10/24 dev eth9] added, addresses[192.0.2.10/24] removed"},
		{"excluded address", `"10.0.0.1/8"`, `"10.0.0.2/8"`, "vrrp_instance VI_2 changed: excluded_addresses[10.0.0.2/8] added, excluded_addresses[10.0.0.1/8] removed"},
		{"gateway of a route", `via = "192.0.2.254"`, `via = "192.0.2.253"`, "vrrp_instance inside changed: routes[default tos 0x10 table 100 metric 10 proto static] default tos 0x10 via 192.0.2.254 dev eth3 onlink table 100 metric 10 scope link src 192.0.2.129 realms 3/7 mtu lock 1400 advmss 1360 hoplimit 64 rtt 250ms rttvar 50ms rto_min 20ms window 65535 cwnd 10 initcwnd 20 initrwnd 30 ssthresh 40 reordering 5 features ecn quickack 1 fastopen_no_cookie 1 congctl cubic proto static (required) -> default tos 0x10 via 192.0.2.253 dev eth3 onlink table 100 metric 10 scope link src 192.0.2.129 realms 3/7 mtu lock 1400 advmss 1360 hoplimit 64 rtt 250ms rttvar 50ms rto_min 20ms window 65535 cwnd 10 initcwnd 20 initrwnd 30 ssthresh 40 reordering 5 features ecn quickack 1 fastopen_no_cookie 1 congctl cubic proto static (required)"},
		{"a route", "[[vrrp_instance.inside.routes]]\ndestination = \"10.0.0.0/8\"\ntype = \"blackhole\"\n", "", "vrrp_instance inside changed: routes[10.0.0.0/8] removed"},
		{"a default of a route", `type = "blackhole"`, "type = \"blackhole\"\nmetric = 0\nprotocol = \"halo\"", ""},
		{"a rule", "goto = 200", "goto = 201", "vrrp_instance inside changed: rules[priority 102 fwmark 0x9 goto 201] added, rules[priority 102 fwmark 0x9 goto 200] removed"},
		{"static address", `"10.4.0.1/24"`, `"10.4.0.2/24"`, "static changed: addresses[10.4.0.2/24 dev eth8] added, addresses[10.4.0.1/24 dev eth8] removed"},
		{"static route", `via = "10.4.0.254"`, `via = "10.4.0.253"`, "static changed: routes[10.5.0.0/16] 10.5.0.0/16 via 10.4.0.254 -> 10.5.0.0/16 via 10.4.0.253"},
		{"excluded address that may be lost", "required = false", "required = true", "vrrp_instance VI_2 changed: excluded_addresses[2001:db8::1/64 dev eth7] 2001:db8::1/64 preferred_lft 60 dad dev eth7 (optional) -> 2001:db8::1/64 preferred_lft 60 dad dev eth7"},
		{"source_address", `source_address = "192.0.2.2"`, "", "vrrp_instance VI_1 changed: source_address 192.0.2.2 removed"},
		{"garp", "repeat = 3\n", "repeat = 4\n", "vrrp_instance VI_1 changed: garp.repeat 3 -> 4"},
		{"password", `"sesame"`, `"simsala"`, "vrrp_instance VI_1 changed: authentication.password changed"},
		{"no authentication", "[vrrp_instance.VI_1.authentication]\ntype = \"pass\"\npassword = \"sesame\"\n", "", "vrrp_instance VI_1 changed: authentication removed"},
		{"another name", "VI_2", "VI_3", "vrrp_instance VI_2 removed\nvrrp_instance VI_3 added"},
		{"scheduler", `"mh"`, `"sh"`, "virtual_server www.example.com changed: scheduler mh -> sh"},
		{"what servers inherit", `forward = "dr"`, `forward = "tun"`, "virtual_server www.example.com changed: forward dr -> tun, real_server[192.0.2.30:443].forward dr -> tun, real_server[192.0.2.32:443].forward dr -> tun"},
		{"weight", "weight = 3", "weight = 4", "virtual_server www.example.com changed: real_server[192.0.2.30:443].weight 3 -> 4"},
		{"another server", "192.0.2.30:443", "192.0.2.33:443", "virtual_server www.example.com changed: real_server[192.0.2.33:443] added, real_server[192.0.2.30:443] removed"},
		{"rise of the second check", "rise = 3", "rise = 4", "virtual_server www.example.com changed: real_server[192.0.2.30:443].check[stub].rise 3 -> 4"},
		{"a check's own port", "connect_port = 22", "connect_port = 23", "virtual_server www.example.com changed: real_server[192.0.2.32:443].check[tcp#2].connect_port 22 -> 23"},
		{"a check's setting", "mark = 7", "mark = 8", "virtual_server www.example.com changed: real_server[192.0.2.30:443].check[stub].mark 7 -> 8"},
		{"a check's setting left out", "mark = 7,", "", "virtual_server www.example.com changed: real_server[192.0.2.30:443].check[stub].mark 7 removed"},
		{"a check's secret", `token = "swordfish"`, `token = "open sesame"`, "virtual_server www.example.com changed: real_server[192.0.2.30:443].check[stub].token changed"},
		{"a check's type", `type = "tcp", name = "admin"`, `type = "misc", command = ["/bin/true"], name = "admin"`, "virtual_server www.example.com changed: real_server[192.0.2.30:443].check[admin].type tcp -> misc, real_server[192.0.2.30:443].check[admin].plugin halo-check-tcp -> halo-check-misc, real_server[192.0.2.30:443].check[admin].command [\"/bin/true\"] added"},
		{"user that checks inherit", `plugin_user = "monitor"`, `plugin_user = "other"`, "global changed: plugin_user monitor -> other\nvirtual_server www.example.com changed: real_server[192.0.2.30:443].check[tcp].user monitor -> other, real_server[192.0.2.30:443].check[admin].user monitor -> other, real_server[192.0.2.32:443].check[tcp].user monitor -> other, real_server[192.0.2.32:443].check[tcp#2].user monitor -> other"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(text, test.from) {
				t.Fatalf("the file does not hold %q", test.from)
			}
			next := mustParse(t, strings.Replace(text, test.from, test.to, 1))
			d := Diff(old, next)
			if diff := cmp.Diff(test.want, strings.TrimSuffix(d.String(), "\n")); diff != "" {
				t.Errorf("difference (-want +got):\n%s", diff)
			}
			if d.Empty() != (test.want == "") {
				t.Errorf("Empty() = %t", d.Empty())
			}
			encoded, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"sesame", "simsala", "swordfish"} {
				if strings.Contains(string(encoded)+printed(t, d), secret) {
					t.Errorf("the difference shows a secret:\n%s", encoded)
				}
			}
		})
	}
}

// TestDiffIgnoresOrder moves tables about in the file.
func TestDiffIgnoresOrder(t *testing.T) {
	t.Parallel()
	const a, b, c = "[virtual_server.a]\naddress = \"192.0.2.1:1\"\n", "real_server = [{ address = \"192.0.2.2:1\" }, { address = \"192.0.2.3:1\" }]\n", "[control]\nmetrics = \"192.0.2.1:2\"\n"
	old := mustParse(t, a+b+c)
	next := mustParse(t, c+a+"real_server = [{ address = \"192.0.2.3:1\" }, { address = \"192.0.2.2:1\" }]\n")
	if d := Diff(old, next); !d.Empty() {
		t.Errorf("the order counts:\n%s", d)
	}
}

func TestDiffWithNothing(t *testing.T) {
	t.Parallel()
	g := loadGood(t, "minimal-instance.toml")
	if got := Diff(nil, nil); !got.Empty() {
		t.Errorf("nothing differs from nothing: %s", got)
	}
	if got := Diff(nil, g).Instances; len(got) != 1 || got[0].Kind != Added || got[0].Name != "VI_1" {
		t.Errorf("from nothing: %v", got)
	}
	if got := Diff(g, nil).Instances; len(got) != 1 || got[0].Kind != Removed {
		t.Errorf("to nothing: %v", got)
	}
}

// TestEveryFieldIsCompared changes each field of each object by reflection: a
// field that Diff passes over would make a reload pass over it too.
func TestEveryFieldIsCompared(t *testing.T) {
	t.Parallel()
	for _, object := range []any{Global{}, IPVS{}, Control{}, Instance{}, GARP{}, Auth{}, VirtualServer{}, RealServer{}, Check{}, Plugin{}, Static{}} {
		typ := reflect.TypeOf(object)
		for field := range typ.Fields() {
			name, tag := field.Name, field.Tag.Get("json")
			if tag == "" {
				t.Errorf("%s.%s has no json tag", typ.Name(), name)
			}
			if tag != "-" {
				continue
			}
			switch typ.Name() + "." + name {
			case "Instance.Name", "VirtualServer.Name", "Plugin.Name": // The key of the map.
			case "Check.Plugin", "Check.Settings": // Compared by name in checks.
			case "Check.Sensitive", "Check.Capabilities": // Follow from Type, Plugin and Settings.
			default:
				t.Errorf("%s.%s is not compared", typ.Name(), name)
			}
		}
	}
}
