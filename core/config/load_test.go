package config

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
	"github.com/halo-ha/halo/sdk/schema"
)

// compare lists the differences of two values of this package, addresses and
// secrets compared as what they are.
func compare(want, got any) string {
	return cmp.Diff(want, got,
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
		cmpopts.IgnoreUnexported(Generation{}))
}

// plain are addresses of which nothing is said but themselves.
func plain(prefixes ...string) []Address {
	list := make([]Address, 0, len(prefixes))
	for _, p := range prefixes {
		list = append(list, Address{Address: inet.Address{Prefix: netip.MustParsePrefix(p), Deprecated: strings.HasSuffix(p, "/128")}})
	}
	return list
}

func loadGood(t *testing.T, name string) *Generation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(configs, "good", name))
	if err != nil {
		t.Fatal(err)
	}
	g, problems := parse(name, data, testCatalogue(t), testMachine())
	if len(problems) > 0 {
		t.Fatalf("unexpected problems:\n%s", problems)
	}
	return g
}

// TestGoodFiles also scans each file for its places and holds them.
func TestGoodFiles(t *testing.T) {
	t.Parallel()
	for _, path := range files(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			g := loadGood(t, filepath.Base(path))
			if g.File != filepath.Base(path) {
				t.Errorf("File = %q", g.File)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			holds(t, string(data))
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	g := loadGood(t, "minimal-instance.toml")
	want := &Generation{
		File: "minimal-instance.toml",
		Global: Global{
			RouterID: "lb1", RuntimeDir: "/run/halo", PluginUser: "halo", LogLevel: "info",
			PluginDirs: []string{"/opt/halo/bin/plugins", "/usr/lib/halo/plugins"},
		},
		Instances: map[string]*Instance{"VI_1": {
			Name: "VI_1", Interface: "eth0", VRID: 51, Version: 3, Priority: 100, Interval: time.Second,
			Preempt: true, Addresses: plain("192.0.2.10/32"), Checksum: "pseudo-header", Accept: true,
			GARP: GARP{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPriorityRepeat: 5, LowerPriorityDelay: 5 * time.Second},
		}},
		VirtualServers: map[string]*VirtualServer{},
		SyncGroups:     map[string]*SyncGroup{},
		Trackers:       map[string]*Tracker{},
		Plugins:        map[string]*Plugin{},
		IPVS:           IPVS{ResyncInterval: 5 * time.Second},
		Control:        Control{Socket: "/run/halo/halo.sock"},
	}
	if diff := compare(want, g); diff != "" {
		t.Errorf("generation (-want +got):\n%s", diff)
	}

	service := loadGood(t, "minimal-service.toml").VirtualServers["web"]
	wantService := &VirtualServer{
		Name: "web", Address: netip.MustParseAddrPort("192.0.2.10:80"), Protocol: "tcp", Scheduler: "wlc",
		Forward: "nat", Quorum: 1, OnFailure: "remove",
		Servers: []*RealServer{{
			Address: netip.MustParseAddrPort("192.0.2.30:80"), Weight: 1, Forward: "nat", OnFailure: "remove", Checks: []*Check{},
		}},
	}
	if diff := compare(wantService, service); diff != "" {
		t.Errorf("virtual server (-want +got):\n%s", diff)
	}

	plugin := g.Plugin("halo-check-tcp")
	if diff := compare(&Plugin{Name: "halo-check-tcp", OnPluginLoss: "hold", PluginGrace: 30 * time.Second}, plugin); diff != "" {
		t.Errorf("plugin without a table (-want +got):\n%s", diff)
	}
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	g := loadGood(t, "full.toml")
	tcp := &Check{
		Name: "tcp", Type: "tcp", Plugin: "halo-check-tcp", Interval: 5 * time.Second, Timeout: 3 * time.Second,
		RetryInterval: time.Second, Rise: 2, Fall: 3, User: "monitor", Settings: json.RawMessage("{}"),
	}
	admin := *tcp
	admin.Name, admin.ConnectAddress, admin.ConnectPort = "admin", netip.MustParseAddr("192.0.2.100"), 8443
	stub := &Check{
		Name: "stub", Type: "stub", Plugin: "halo-check-stub", Interval: 10 * time.Second, Timeout: 4 * time.Second,
		RetryInterval: 2 * time.Second, Rise: 3, Fall: 5, Bind: netip.MustParseAddr("192.0.2.2"), User: "nagios",
		Settings:     json.RawMessage(`{"codes":[200,204],"headers":{"Host":"www.example.com"},"mark":7,"pause":"20ms","question":"who's there?","share":1,"token":"swordfish"}`),
		Sensitive:    []string{"token"},
		Capabilities: []string{"net_raw"},
	}
	// Timeout and retry interval are never longer by default than the interval.
	quick := *tcp
	quick.Interval, quick.Timeout, quick.RetryInterval = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	second := *tcp
	second.Name, second.ConnectPort = "tcp#2", 22
	inherited := []*Check{tcp, &admin, stub}
	want := &Generation{
		File: "full.toml",
		Global: Global{
			RouterID: "balancer one", RuntimeDir: "/run/halo-a", PluginUser: "monitor", LogLevel: "debug",
			StartupDelay: 5 * time.Second, DelayAfterBoot: 90 * time.Second,
			PluginDirs: []string{"/usr/local/lib/halo/plugins", "/usr/lib/halo/plugins"},
		},
		IPVS: IPVS{ResyncInterval: 30 * time.Second},
		Static: Static{
			Addresses: []Address{
				{Interface: "eth8", Optional: true, Address: inet.Address{Prefix: netip.MustParsePrefix("10.4.0.1/24")}},
				{Interface: "eth8", Optional: true, Address: inet.Address{Prefix: netip.MustParsePrefix("2001:db8:4::1/128"), PreferredFor: time.Hour}},
			},
			Routes: []Route{{Route: inet.Route{
				Destination: netip.MustParsePrefix("10.5.0.0/16"), NextHops: []inet.NextHop{{Gateway: netip.MustParseAddr("10.4.0.254")}},
			}}},
			Rules: []Rule{{Rule: inet.Rule{Priority: 300, IIF: "eth8", Table: inet.TableLocal}}},
		},
		SyncGroups: map[string]*SyncGroup{"G1": {Name: "G1", Members: []string{"inside", "dmz"}, Track: []TrackUse{{Tracker: "uplink", Weight: -60, Reverse: true}}}},
		Trackers: map[string]*Tracker{
			"uplink": {Name: "uplink", Type: "interface", Weight: -60, Reverse: true, Interface: "eth1"},
			"tunnel": {Name: "tunnel", Type: "address", Address: netip.MustParseAddr("203.0.113.7"), Interface: "eth2"},
			"quorum": {Name: "quorum", Type: "service", Weight: 25, VirtualServer: "www.example.com"},
		},
		Control: Control{Socket: "/run/halo-a/control.sock", Metrics: "[::1]:9650"},
		Plugins: map[string]*Plugin{"halo-check-stub": {
			Name: "halo-check-stub", OnPluginLoss: "fail", PluginGrace: 90 * time.Second,
			SHA256:       "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			Capabilities: []string{"net_admin", "net_raw"},
			Env:          Environment{"LANG": "C.UTF-8", "TOKEN": "swordfish"},
		}},
		Instances: map[string]*Instance{
			"VI_1": {
				Name: "VI_1", Interface: "eth0", VRID: 51, Version: 2, Priority: 150, Interval: 3 * time.Second,
				Preempt: true, PreemptDelay: time.Minute, Checksum: "pseudo-header",
				Addresses:     plain("192.0.2.10/24", "192.0.2.11/32", "198.51.100.1/31"),
				SourceAddress: netip.MustParseAddr("192.0.2.2"),
				GARP:          GARP{Repeat: 3, Refresh: time.Minute, RefreshRepeat: 2, LowerPriorityDelay: 1500 * time.Millisecond},
				Auth:          &Auth{Type: "pass", Password: NewSecret("sesame")},
				VMAC:          &VMAC{Name: "vr1", XmitBase: true},
			},
			"VI_2": {
				Name: "VI_2", Interface: "eth0", VRID: 52, Version: 3, Priority: 255, Interval: 40950 * time.Millisecond, Accept: true,
				Preempt: true, Checksum: "plain", Addresses: plain("203.0.113.1/24"),
				SourceAddress: netip.MustParseAddr("203.0.113.1"),
				Excluded: []Address{
					{Address: inet.Address{Prefix: netip.MustParsePrefix("10.0.0.1/8")}},
					{Interface: "eth7", Address: inet.Address{
						Prefix: netip.MustParsePrefix("10.0.0.9/29"), Label: "eth7:vip", Scope: inet.ScopeLink,
						Broadcast: netip.MustParseAddr("10.0.0.15"), NoPrefixRoute: true,
					}},
					{Address: inet.Address{Prefix: netip.MustParsePrefix("10.0.0.17/32"), Peer: netip.MustParseAddr("10.0.0.18"), Scope: 99}},
					{Interface: "eth7", Optional: true, Address: inet.Address{
						Prefix: netip.MustParsePrefix("2001:db8::1/64"), PreferredFor: time.Minute, DetectDuplicates: true,
					}},
					{Address: inet.Address{Prefix: netip.MustParsePrefix("2001:db8::2/128"), Home: true, ManageTemporary: true}},
					{Address: inet.Address{Prefix: netip.MustParsePrefix("2001:db8::3/64"), Deprecated: true}},
					{Address: inet.Address{Prefix: netip.MustParsePrefix("10.0.0.25/29"), Broadcast: netip.MustParseAddr("10.0.0.24")}},
					{Address: inet.Address{Prefix: netip.MustParsePrefix("10.0.0.33/29"), Broadcast: netip.MustParseAddr("10.0.0.39")}},
				},
				GARP: GARP{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPriorityRepeat: 5, LowerPriorityDelay: 5 * time.Second},
			},
			"inside": {
				Name: "inside", Interface: "eth3", VRID: 53, Version: 3, Priority: 120, Interval: time.Second,
				Preempt: true, Checksum: "pseudo-header", Addresses: plain("192.0.2.129/25", "fe80::129/64", "2001:db8::129/128"),
				GARP:  GARP{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPriorityRepeat: 5, LowerPriorityDelay: 5 * time.Second},
				Track: []TrackUse{{Tracker: "tunnel"}, {Tracker: "quorum", Weight: 40}}, TrackInterfaces: []string{"eth4", "eth5"},
				UnicastPeers:     []UnicastPeer{{Address: netip.MustParseAddr("192.0.2.130")}, {Address: netip.MustParseAddr("fe80::2"), MinTTL: 254, MaxTTL: 255}},
				UnicastAnySource: true, AlsoV2: true, SourceAddress: netip.MustParseAddr("fe80::1"),
				VMAC: &VMAC{Name: "vrrp.53", IPv6Name: "vrrp-inside"}, Accept: true,
				Routes: []Route{
					{Required: true, Route: inet.Route{
						Destination: netip.MustParsePrefix("0.0.0.0/0"), Source: netip.MustParseAddr("192.0.2.129"), Metric: 10, Table: 100,
						Scope: inet.Some(inet.ScopeLink), TOS: 16, Realms: 3<<16 | 7, Protocol: inet.ProtocolStatic,
						NextHops: []inet.NextHop{{Gateway: netip.MustParseAddr("192.0.2.254"), Link: "eth3", OnLink: true}},
						Metrics: inet.Metrics{
							MTU: 1400, MTULocked: true, AdvMSS: 1360, HopLimit: 64, RTT: 250 * time.Millisecond, RTTVar: 50 * time.Millisecond,
							RTOMin: 20 * time.Millisecond, Window: 65535, CongestionWindow: 10, InitialCongestionWindow: 20, InitialReceiveWindow: 30,
							SlowStartThreshold: 40, Reordering: 5, ECN: true, QuickACK: true, FastOpenNoCookie: true, CongestionControl: "cubic",
						},
					}},
					{Route: inet.Route{
						Destination: netip.MustParsePrefix("::/0"), From: netip.MustParsePrefix("2001:db8:1::/48"), Preference: inet.PreferHigh,
						NextHops: []inet.NextHop{
							{Gateway: netip.MustParseAddr("fe80::fe"), Link: "eth3", Weight: 2}, {Gateway: netip.MustParseAddr("2001:db8::fe"), Weight: 1}, {Link: "tun0", Weight: 256},
						},
					}},
					{Route: inet.Route{Destination: netip.MustParsePrefix("10.0.0.0/8"), Type: inet.Blackhole}},
				},
				Rules: []Rule{
					{Required: true, Rule: inet.Rule{
						Priority: 100, Not: true, From: netip.MustParsePrefix("192.0.2.128/25"), To: netip.MustParsePrefix("10.0.0.1/32"),
						IIF: "eth3", OIF: "eth4", Mark: 16, Mask: 255, TOS: 16, TunnelID: 5, UIDs: inet.Some(inet.Range{First: 1000, Last: 1999}),
						IPProtocol: 6, SourcePorts: inet.PortRange{First: 80, Last: 80}, DestinationPorts: inet.PortRange{First: 5060, Last: 5061},
						Table: 100, SuppressPrefixLength: inet.Some(uint8(0)), SuppressGroup: inet.Some(uint32(4)), Realms: 7, Protocol: 44,
					}},
					{Rule: inet.Rule{Priority: 101, IPv6: true, L3MasterDevice: true}},
					{Rule: inet.Rule{Priority: 102, Mark: 9, Action: inet.Goto, Goto: 200}},
					{Rule: inet.Rule{Priority: 200, IPv6: true, To: netip.MustParsePrefix("2001:db8::/32"), Action: inet.RuleProhibit}},
				},
			},
			"dmz": {
				Name: "dmz", Interface: "eth4", VRID: 54, Version: 3, Priority: 120, Interval: time.Second, IgnoreLinkDown: true, Accept: true, VMAC: &VMAC{Name: "vrrp.54"},
				Preempt: true, Checksum: "pseudo-header", Addresses: plain("198.51.100.129/25"),
				GARP: GARP{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPriorityRepeat: 5, LowerPriorityDelay: 5 * time.Second},
			},
		},
		VirtualServers: map[string]*VirtualServer{"www.example.com": {
			Name: "www.example.com", Address: netip.MustParseAddrPort("192.0.2.10:443"), Protocol: "tcp", Scheduler: "mh",
			Forward: "dr", Persistence: 50 * time.Second, Quorum: 3, OnFailure: "quiesce",
			SorryServer: netip.MustParseAddrPort("192.0.2.99:443"),
			Servers: []*RealServer{
				{Address: netip.MustParseAddrPort("192.0.2.30:443"), Weight: 3, Forward: "dr", OnFailure: "quiesce", Checks: inherited},
				{Address: netip.MustParseAddrPort("192.0.2.31:8443"), Weight: 0, Forward: "nat", OnFailure: "remove", Checks: []*Check{}},
				{Address: netip.MustParseAddrPort("192.0.2.32:443"), Weight: 1, Forward: "dr", OnFailure: "quiesce", Checks: []*Check{&quick, &second}},
			},
		}},
	}
	if diff := compare(want, g); diff != "" {
		t.Errorf("generation (-want +got):\n%s", diff)
	}
	servers := g.VirtualServers["www.example.com"].Servers
	if servers[0].Checks[0] == servers[2].Checks[0] {
		t.Error("a server's own check is the virtual server's")
	}
}

// TestOtherWaysToWrite loads the same tables written as headers, in braces and
// with dotted keys.
func TestOtherWaysToWrite(t *testing.T) {
	t.Parallel()
	g := loadGood(t, "dotted-keys.toml")
	same := mustParse(t, `
[ipvs]
resync_interval = "10s"
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
addresses = ["192.0.2.10/24"]
[vrrp_instance.VI_1.garp]
repeat = 3
[virtual_server.web]
address = "192.0.2.10:80"
[[virtual_server.web.real_server]]
address = "192.0.2.30:80"
[[virtual_server.web.real_server]]
address = "192.0.2.31:80"
`)
	same.File = g.File
	if diff := compare(same, g); diff != "" {
		t.Errorf("generation (-headers +dotted):\n%s", diff)
	}
}

func TestCheckNames(t *testing.T) {
	t.Parallel()
	g := mustParse(t, `
[virtual_server.web]
address = "192.0.2.10:80"
real_server = [{ address = "192.0.2.30:80" }]
check = [
  { type = "tcp" },
  { type = "misc", command = ["/bin/true"], name = "tcp" },
  { type = "tcp", connect_port = 81 },
  { type = "misc", command = ["/bin/false"] },
]
`)
	checks := g.VirtualServers["web"].Servers[0].Checks
	names := make([]string, 0, len(checks))
	for _, c := range checks {
		names = append(names, c.Name)
	}
	// The name that somebody chose is nobody else's.
	if diff := cmp.Diff([]string{"tcp#2", "tcp", "tcp#3", "misc"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestAllProblemsAtOnce holds that one mistake hides no other and breeds none.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	g, problems := parseText(t, `
[vrrp_instance.VI_1]
interface = 7
virtual_router_id = 0
version = 9
advert_interval = "1500ms"
priority = 255
preempt = "no"
addresses = ["192.0.2.10", "nonsense"]
authentication = { password = "a password" }
[virtual_server.web]
address = "192.0.2.10"
forward = "dr"
quorum = 7
check = [{ type = "tcp", interval = "x" }, { type = "none", whatever = 1 }]
real_server = [{ address = "192.0.2.30:8080", weight = -1 }]
[nonsense]
`)
	if g != nil {
		t.Error("a generation came of it")
	}
	keys := make([]string, 0, len(problems))
	for _, p := range problems {
		keys = append(keys, p.Key)
	}
	want := []string{
		"vrrp_instance.VI_1.interface",
		"vrrp_instance.VI_1.virtual_router_id",
		"vrrp_instance.VI_1.version",
		"vrrp_instance.VI_1.preempt",
		"vrrp_instance.VI_1.addresses[1]",
		"vrrp_instance.VI_1.authentication.password",
		"virtual_server.web.address",
		"virtual_server.web.check[0].interval",
		"virtual_server.web.check[1].type",
		"virtual_server.web.real_server[0].weight",
		"nonsense",
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s\n%s", diff, problems)
	}
}

func TestLoadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(configs, "good", "minimal-service.toml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "halo.toml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	g, problems := Load(path, testCatalogue(t))
	if len(problems) > 0 || g == nil || g.File != path {
		t.Fatalf("Load of a good file: %v\n%s", g, problems)
	}
	if g.Global.RouterID == "" || len(g.Global.PluginDirs) != 2 || g.Global.PluginUser == "" {
		t.Errorf("defaults of this machine: %+v", g.Global)
	}

	huge := filepath.Join(dir, "huge.toml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxSize+1); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{"", ": no file is named; expected the path of a configuration file"},
		{filepath.Join(dir, "absent.toml"), filepath.Join(dir, "absent.toml") + ": the file does not exist"},
		{dir, dir + ": the file cannot be read: is a directory"},
		{huge, huge + ": the file is larger than 64 MiB; expected a configuration file"},
	} {
		g, problems := Load(test.path, nil)
		if g != nil || strings.TrimSuffix(problems.String(), "\n") != test.want {
			t.Errorf("Load(%q) = %v, %q, want nil, %q", test.path, g, problems, test.want)
		}
	}
}

// TestLongRuntimeDir: the default socket must fit too.
func TestLongRuntimeDir(t *testing.T) {
	t.Parallel()
	const instance = "[vrrp_instance.V]\ninterface = \"e\"\nvirtual_router_id = 1\naddresses = [\"192.0.2.1\"]\n"
	dir := "/" + strings.Repeat("x", 97)
	if g := mustParse(t, "[global]\nruntime_dir = \""+dir[:97]+"/\"\n"+instance); g.Control.Socket != dir[:97]+"/halo.sock" {
		t.Errorf("socket %q", g.Control.Socket)
	}
	_, problems := parseText(t, "[global]\nruntime_dir = \""+dir+"\"\n"+instance)
	if len(problems) != 1 || problems[0].Key != "control.socket" || !strings.Contains(problems[0].Message, "has 108 bytes") {
		t.Errorf("problems:\n%s", problems)
	}
}

func TestCatalogueIsToldWhereToSearch(t *testing.T) {
	t.Parallel()
	c := testCatalogue(t)
	text := "[global]\nplugin_dirs = [\"/a\", \"/b\"]\n[vrrp_instance.V]\ninterface = \"e\"\nvirtual_router_id = 1\naddresses = [\"192.0.2.1\"]\n"
	if _, problems := parse("x", []byte(text), c, testMachine()); len(problems) > 0 {
		t.Fatal(problems)
	}
	if !slices.Equal(c.searched, []string{"/a", "/b"}) {
		t.Errorf("searched %v", c.searched)
	}
}

func TestNoPlugins(t *testing.T) {
	t.Parallel()
	text := "[virtual_server.a]\naddress = \"192.0.2.1:1\"\ncheck = [{ type = \"tcp\", x = 1 }]\nreal_server = [{ address = \"192.0.2.2:1\" }]\n[plugin.p]\n"
	for name, c := range map[string]Catalogue{"nil": nil, "empty": &stubCatalogue{plugins: []schema.Plugin{}}} {
		_, problems := parse("x", []byte(text), c, testMachine())
		want := `x:3:19: virtual_server.a.check[0].type: no plugin in /opt/halo/bin/plugins or /usr/lib/halo/plugins provides the check type "tcp"; expected a check type that an installed plugin provides
x:5:9: plugin.p: there is no plugin "p" in /opt/halo/bin/plugins or /usr/lib/halo/plugins; expected a plugin that is installed
`
		if diff := cmp.Diff(want, problems.String()); diff != "" {
			t.Errorf("%s catalogue (-want +got):\n%s", name, diff)
		}
	}
}

// TestNeededInterfaces holds that what an instance cannot do without is tracked
// where it is, once, and what it can do without is not.
func TestNeededInterfaces(t *testing.T) {
	t.Parallel()
	const text = `[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
track_interfaces = ["eth1"]
addresses = ["192.0.2.10/24", { address = "192.0.2.11/24", interface = "eth2" }]
excluded_addresses = [{ address = "10.0.0.1/8", interface = "eth1" }, { address = "10.0.0.2/8", interface = "eth3", required = false }]
routes = [
  { destination = "10.1.0.0/16", interface = "eth4", required = true },
  { destination = "10.2.0.0/16", interface = "eth5" },
  { destination = "10.3.0.0/16", via = "192.0.2.1", required = true },
  { destination = "10.4.0.0/16", required = true, nexthops = [{ interface = "eth0" }, { via = "192.0.2.1" }, { interface = "eth6" }] },
]
`
	want := []string{"eth1", "eth2", "eth4", "eth6"}
	if got := mustParse(t, text).Instances["VI_1"].NeededInterfaces(); !slices.Equal(got, want) {
		t.Errorf("needed are %q, want %q", got, want)
	}
}
