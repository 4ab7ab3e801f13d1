package balance_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/balance"
	"github.com/halo-ha/halo/core/ipvs"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/ipvskernel"
	"github.com/halo-ha/halo/core/pool"
)

// patience is how long something that must happen may take on a loaded machine
// before it counts as missing.
const patience = time.Minute

const virtualIP = "192.0.2.10"

// network is a client, a load balancer with the virtual address, and servers, in
// namespaces of the test kernel. With nat the servers are behind the balancer,
// with dr and tun beside it.
type network struct {
	t        *testing.T
	forward  ipvs.Forwarding
	client   *kerneltest.Namespace
	balancer *kerneltest.Namespace
	switches map[string]*kerneltest.Switch
	servers  map[string]netip.AddrPort
	record   string
	interval time.Duration

	b      *balance.Balancer
	kernel *dyingKernel
	cancel context.CancelFunc
	done   chan error
	seen   *observer
}

func newNetwork(t *testing.T, forward ipvs.Forwarding) *network {
	t.Helper()
	kerneltest.RequireIPVS(t)
	kerneltest.RequireTool(t, "ipvsadm")
	n := &network{
		t: t, forward: forward, record: filepath.Join(t.TempDir(), "ipvs"), interval: time.Second,
		client: kerneltest.NewNamespace(t, "client"), balancer: kerneltest.NewNamespace(t, "lb"),
		switches: map[string]*kerneltest.Switch{"front": kerneltest.NewSwitch(t, "front"), "back": kerneltest.NewSwitch(t, "back")},
		servers:  map[string]netip.AddrPort{},
	}
	n.switches["front"].Attach(n.client, "eth0", "192.0.2.100/24")
	n.switches["front"].Attach(n.balancer, "eth0", "192.0.2.1/24", virtualIP+"/32")
	n.switches["back"].Attach(n.balancer, "eth1", "198.51.100.1/24")
	n.balancer.Sysctl("ipv4/ip_forward", "1")
	return n
}

// server starts a host that answers every connection with its name and then
// echoes lines, and every datagram with its name.
func (n *network) server(name string) netip.AddrPort {
	n.t.Helper()
	host := kerneltest.NewNamespace(n.t, name)
	number := 30 + len(n.servers)
	address := fmt.Sprintf("198.51.100.%d", number)
	if n.forward != ipvs.Masquerade {
		address = fmt.Sprintf("192.0.2.%d", number)
		n.switches["front"].Attach(host, "eth0", address+"/24")
		// It takes packets for the virtual address, but tells nobody that it has it.
		host.Sysctl("ipv4/conf/all/arp_ignore", "1")
		host.Sysctl("ipv4/conf/all/arp_announce", "2")
		host.AddAddress("lo", virtualIP+"/32")
		if n.forward == ipvs.Tunnel {
			host.SetUp("tunl0") // Which every namespace has.
			host.Sysctl("ipv4/conf/all/rp_filter", "0")
			host.Sysctl("ipv4/conf/tunl0/rp_filter", "0")
		}
	} else {
		n.switches["back"].Attach(host, "eth0", address+"/24")
		host.AddRoute("default", "198.51.100.1")
	}
	listener, err := host.Listen("tcp", ":80")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = listener.Close() })
	go serve(listener, name)
	var packets net.PacketConn
	err = host.Do(func() (err error) {
		packets, err = (&net.ListenConfig{}).ListenPacket(n.t.Context(), "udp", address+":53")
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = packets.Close() })
	go answer(packets, name)
	n.servers[name] = netip.MustParseAddrPort(address + ":80")
	return n.servers[name]
}

func serve(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			if _, err := io.WriteString(c, name+"\n"); err == nil {
				_, _ = io.Copy(c, c)
			}
		}()
	}
}

func answer(c net.PacketConn, name string) {
	buffer := make([]byte, 100)
	for {
		_, from, err := c.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte(name), from)
	}
}

// web is the configuration with those servers, "NAME" or "NAME=WEIGHT".
func (n *network) web(onFailure pool.OnFailure, servers ...string) pool.Config {
	n.t.Helper()
	c := pool.Config{Quorum: 1, SorryForwarding: n.forward, Service: ipvs.Service{
		Key: ipvs.AddressKey(ipvs.TCP, netip.MustParseAddrPort(virtualIP+":80")), Scheduler: "wrr",
	}}
	for _, s := range servers {
		r := pool.RealServer{
			Address: n.servers[strings.Split(s, "=")[0]], Forwarding: n.forward, Weight: 1, OnFailure: onFailure,
			Checks: []pool.Check{{Name: "tcp", Rise: 1, Fall: 1}},
		}
		if _, err := fmt.Sscanf(s, strings.Split(s, "=")[0]+"=%d", &r.Weight); err != nil && strings.Contains(s, "=") {
			n.t.Fatal(err)
		}
		c.Servers = append(c.Servers, r)
	}
	return c
}

// start runs a new Balancer with a new Handle.
func (n *network) start(c pool.Config) {
	n.t.Helper()
	n.kernel = &dyingKernel{Kernel: ipvskernel.Open(n.t, n.balancer)}
	n.seen = &observer{}
	n.b = balance.New(balance.Config{
		Kernel: n.kernel, Observer: n.seen, Record: n.record, Epoch: "test",
		Log: slog.New(slog.NewTextHandler(n.t.Output(), nil)),
	})
	n.apply(c)
	ctx, cancel := context.WithCancel(n.t.Context())
	n.cancel, n.done = cancel, make(chan error, 1)
	go func() { n.done <- n.b.Run(ctx) }()
	n.t.Cleanup(func() {
		cancel()
		if err := <-n.done; err != nil {
			n.t.Errorf("stop: %v", err)
		}
		n.done <- nil // For whoever asks again.
	})
	n.eventually("the balancer is in step with the kernel", func() bool {
		v, err := n.b.Snapshot(n.t.Context())
		return err == nil && v.Synced
	})
}

func (n *network) apply(c pool.Config) {
	n.b.Apply(balance.Wanted{Services: map[string]pool.Config{"web": c}, Interval: n.interval})
}

// kill ends the Balancer as SIGKILL does: it does nothing more to the kernel.
func (n *network) kill() {
	n.t.Helper()
	n.kernel.die()
	n.cancel()
	err := <-n.done
	if err == nil {
		n.t.Error("the dead balancer still did something")
	}
	n.done <- nil
}

func (n *network) result(server string, o pool.Outcome) {
	n.b.Post("web", pool.CheckResult{Server: n.servers[server], Check: "tcp", Outcome: o, Reason: "refused"})
}

func (n *network) up(servers ...string) {
	for _, s := range servers {
		n.result(s, pool.OutcomePass)
	}
}

func (n *network) eventually(what string, f func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("not after %v: %s; the table is\n%s", patience, what, n.table())
		}
	}
}

// table is the kernel's table as ipvsadm sees it, with one word per server.
func (n *network) table() string {
	n.t.Helper()
	out, err := n.balancer.Output("ipvsadm", "-S", "-n")
	if err != nil {
		n.t.Fatalf("ipvsadm: %v\n%s", err, out)
	}
	var words []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if f[0] != "-a" {
			continue
		}
		for name, a := range n.servers {
			if a.String() == f[4] {
				words = append(words, name+"="+f[7])
			}
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (n *network) becomes(want string) {
	n.t.Helper()
	n.eventually("the table is "+want, func() bool { return n.table() == want })
}

// conversation is an established connection through the virtual address.
type conversation struct {
	n      *network
	conn   net.Conn
	lines  *bufio.Reader
	server string
}

func (n *network) connect() (*conversation, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	c, err := n.client.DialContext(ctx, "tcp", virtualIP+":80")
	if err != nil {
		return nil, err
	}
	n.t.Cleanup(func() { _ = c.Close() })
	talk := &conversation{n: n, conn: c, lines: bufio.NewReader(c)}
	talk.server, err = talk.line()
	return talk, err
}

func (n *network) converse() *conversation {
	n.t.Helper()
	c, err := n.connect()
	if err != nil {
		n.t.Fatalf("connect through the virtual address: %v; the table is %s", err, n.table())
	}
	return c
}

func (c *conversation) line() (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	text, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(text, "\n"), err
}

// goesOn asserts that the connection carries data both ways.
func (c *conversation) goesOn(when string) {
	c.n.t.Helper()
	if _, err := io.WriteString(c.conn, when+"\n"); err != nil {
		c.n.t.Fatalf("%s: %v", when, err)
	}
	if got, err := c.line(); err != nil || got != when {
		c.n.t.Fatalf("the established connection is lost %s: %q, %v", when, got, err)
	}
}

// answers counts which servers answer new connections.
func (n *network) answers(times int) map[string]int {
	n.t.Helper()
	count := map[string]int{}
	for range times {
		c := n.converse()
		count[c.server]++
		_ = c.conn.Close()
	}
	return count
}

// dyingKernel is a kernel that can no longer be reached once its daemon is dead.
type dyingKernel struct {
	balance.Kernel
	mu   sync.Mutex
	dead bool
	ops  int
}

func (k *dyingKernel) die() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead = true
}

func (k *dyingKernel) Apply(op ipvs.Op) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return errors.New("the daemon is dead")
	}
	k.ops++
	return k.Kernel.Apply(op)
}

func (k *dyingKernel) operations() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ops
}

// observer counts drifts.
type observer struct {
	mu     sync.Mutex
	drifts []balance.Drift
}

func (o *observer) Changed(string, pool.Action) {}

func (o *observer) Drifted(d balance.Drift) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drifts = append(o.drifts, d)
}

func (o *observer) seen() []balance.Drift {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.drifts
}
