package plugins

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

const (
	vip = "192.0.2.10"
	tcp = "halo-check-tcp"
	// misc is the plugin that runs scripts.
	misc = "halo-check-misc"
)

// site is a router with plugins, and a peer that takes over from it when its
// advertisements stay away.
type site struct {
	t       *testing.T
	network *lab.Network
	host    *lab.Host
	other   *lab.Host
	dir     string // of its plugins
	options []lab.Option
	halo    *lab.Halo
	peer    *lab.Halo
	// transitions is how often halo had changed state when the peer was there.
	transitions uint64
}

// newSite makes a site whose plugin directory has these plugins.
func newSite(t *testing.T, plugins ...string) *site {
	t.Helper()
	n := lab.New(t)
	s := &site{t: t, network: n, host: n.Host("a", "192.0.2.1/24"), other: n.Host("b", "192.0.2.2/24"), dir: pluginDir(t, plugins...)}
	s.options = []lab.Option{lab.Global(fmt.Sprintf("plugin_dirs = [%q]", s.dir))}
	return s
}

// start runs halo with the services text, as the active router, and its peer.
func (s *site) start(text string, options ...lab.Option) {
	s.t.Helper()
	s.halo = s.host.Halo(instance(150)+text, append(s.options, options...)...)
	s.watched()
}

// watched waits until halo is active and adds the peer.
func (s *site) watched() {
	s.t.Helper()
	s.network.WaitOwner(vip, s.host)
	s.peer = s.other.Halo(instance(100))
	lab.Eventually(s.t, "the peer hears the active router", func() bool {
		i := s.peer.Status(s.t).VRRPInstances["VI_1"]
		return i.State == "backup" && i.Peer != nil
	})
	s.transitions = s.halo.Status(s.t).VRRPInstances["VI_1"].Counters["transitions"]
}

// undisturbed asserts that since the peer is there nobody has changed state:
// no advertisement has been missed for as long as a takeover needs.
func (s *site) undisturbed() {
	s.t.Helper()
	active, backup := s.halo.Status(s.t).VRRPInstances["VI_1"], s.peer.Status(s.t).VRRPInstances["VI_1"]
	if n := active.Counters["transitions"]; active.State != "active" || n != s.transitions {
		s.t.Errorf("halo is %s after %d changes of state, want active after %d as before", active.State, n, s.transitions)
	}
	if n := backup.Counters["became_active"]; backup.State != "backup" || n != 0 {
		s.t.Errorf("the peer is %s and took over %d times, want a backup that never did", backup.State, n)
	}
}

// instance is the virtual router. The peer waits three and a half intervals
// before it takes over.
func instance(priority int) string {
	return fmt.Sprintf(`[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = %d
advert_interval   = "500ms"
addresses         = ["192.0.2.10/24"]

`, priority)
}

// pace is how fast checks are, and how few results make a verdict.
const pace = `interval = "300ms", timeout = "2s", retry_interval = "100ms", rise = 2, fall = 2`

// service is a virtual server with a check of that type, with further keys,
// and its real servers.
func service(name string, port int, check string, servers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[virtual_server.%s]\naddress = \"%s:%d\"\ncheck = [{ type = %s, %s }]\n", name, vip, port, check, pace)
	for _, address := range servers {
		fmt.Fprintf(&b, "\n[[virtual_server.%s.real_server]]\naddress = %q\nweight = 7\n", name, address)
	}
	return b.String() + "\n"
}

// The real servers of the service "web": one that answers, one that does not.
const (
	good = "127.0.0.1:8081"
	bad  = "127.0.0.1:8082"
)

// web is a service that the tcp plugin checks.
func web() string { return service("web", 80, `"tcp"`, good, bad) }

// serveWeb opens the good server's port.
func (s *site) serveWeb() {
	s.t.Helper()
	l, err := s.host.Listen("tcp", good)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			// The prober closes first. A server that resets at once would be
			// taken for up or for down by how soon the prober looks.
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
}

// server is what halo says of a real server.
func (s *site) server(service, address string) control.RealServer {
	s.t.Helper()
	return s.halo.Status(s.t).VirtualServers[service].RealServers[address]
}

// judged waits until both servers of "web" have been judged by results, and
// returns the status that says so.
func (s *site) judged() control.Status {
	s.t.Helper()
	var status control.Status
	lab.Eventually(s.t, "web's servers are up and down", func() bool {
		status = s.halo.Status(s.t)
		servers := status.VirtualServers["web"].RealServers
		return servers[good].State == "up" && outcome(servers[good]) == "pass" &&
			servers[bad].State == "down" && outcome(servers[bad]) == "fail"
	})
	return status
}

// nothingMoved asserts that traffic goes where it went before.
func nothingMoved(t *testing.T, before, after control.Status) {
	t.Helper()
	for _, address := range []string{good, bad} {
		b, a := before.VirtualServers["web"].RealServers[address], after.VirtualServers["web"].RealServers[address]
		if a.InService != b.InService || a.Weight != b.Weight || !a.Since.Equal(b.Since) {
			t.Fatalf("%s has weight %d and is in service %t, since %s; want %d, %t, since %s as before",
				address, a.Weight, a.InService, a.Since, b.Weight, b.InService, b.Since)
		}
	}
}

// sameVerdicts asserts that the servers of "web" are judged as before, too.
func sameVerdicts(t *testing.T, before, after control.Status) {
	t.Helper()
	nothingMoved(t, before, after)
	for _, address := range []string{good, bad} {
		b, a := before.VirtualServers["web"].RealServers[address], after.VirtualServers["web"].RealServers[address]
		if a.State != b.State {
			t.Errorf("%s is %s, want %s as before", address, a.State, b.State)
		}
	}
}

// outcome is what the last result of the server's only check was.
func outcome(r control.RealServer) string {
	if len(r.Checks) != 1 {
		return "no check"
	}
	return r.Checks[0].Outcome
}

// plugin is what halo says of a plugin. With a user, it is that user's process.
func (s *site) plugin(name string, user ...string) control.Plugin {
	s.t.Helper()
	for _, p := range s.halo.Plugins(s.t) {
		if p.Name == name && (len(user) == 0 || p.User == user[0]) {
			return p
		}
	}
	return control.Plugin{}
}

// waitPlugin waits until the plugin is in a state.
func (s *site) waitPlugin(name, state string) control.Plugin {
	s.t.Helper()
	var p control.Plugin
	lab.Eventually(s.t, name+" is "+state, func() bool {
		p = s.plugin(name)
		return p.State == state
	})
	return p
}

// run calls the halo binary as a person would, and returns what it printed.
func (s *site) run(args ...string) (string, error) {
	s.t.Helper()
	return s.host.Output(filepath.Join(lab.Bin(s.t), "halo"), args...)
}

// list is `halo plugin list` of the running daemon.
func (s *site) list() string {
	s.t.Helper()
	out, err := s.run("plugin", "list", "--socket", s.halo.Socket())
	if err != nil {
		s.t.Fatalf("halo plugin list: %v\n%s", err, out)
	}
	return out
}

// contains asserts that text has every part.
func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s does not say %q:\n%s", what, p, text)
		}
	}
}
