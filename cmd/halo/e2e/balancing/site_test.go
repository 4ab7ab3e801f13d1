package balancing

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// The addresses of the site. The client and the virtual address are on one
// network; nat's servers are on another, behind the balancer; dr's are on the
// client's.
const (
	vip      = "192.0.2.10"
	service  = vip + ":80"
	lbFront  = "192.0.2.1/24"
	lbBack   = "198.51.100.1/24"
	clientIP = "192.0.2.100/24"
)

// site is a balancer, a client and web servers.
type site struct {
	t       *testing.T
	network *lab.Network
	lb      *lab.Host
	client  *lab.Host
	servers map[string]*server // by name
	forward string
	halo    *lab.Halo
}

// server is one web server on a host of its own. It answers every request
// with its name, and "/stream" by echoing lines for as long as the client
// wishes.
type server struct {
	t       *testing.T
	name    string
	host    *lab.Host
	address string // IP:port of the real server
	mu      sync.Mutex
	http    *http.Server
}

// newSite makes a site with servers "w1" and "w2" for a forwarding method.
func newSite(t *testing.T, forward string) *site {
	t.Helper()
	kerneltest.RequireIPVS(t)
	n := lab.New(t)
	s := &site{t: t, network: n, forward: forward, servers: map[string]*server{}}
	s.lb = n.Host("lb", lbFront, lbBack)
	s.lb.Sysctl("ipv4/ip_forward", "1")
	// Clients and servers share a wire here, so the kernel would soon tell the
	// servers of a shorter way to the client, past the balancer that has to
	// translate their answers.
	s.lb.Sysctl("ipv4/conf/all/send_redirects", "0")
	s.lb.Sysctl("ipv4/conf/eth0/send_redirects", "0")
	s.client = n.Host("client", clientIP)
	s.addServer("w1")
	s.addServer("w2")
	return s
}

// addServer adds a running web server on a host of its own.
func (s *site) addServer(name string) *server {
	s.t.Helper()
	number := 11 + len(s.servers)
	w := &server{t: s.t, name: name}
	if s.forward == "dr" {
		ip := fmt.Sprintf("192.0.2.%d", number)
		w.host = s.network.Host(name, ip+"/24")
		// The server takes packets for the virtual address but does not tell
		// anybody that it has it.
		w.host.Sysctl("ipv4/conf/all/arp_ignore", "1")
		w.host.Sysctl("ipv4/conf/all/arp_announce", "2")
		w.host.AddAddress("lo", vip+"/32")
		w.address = ip + ":80"
	} else {
		ip := fmt.Sprintf("198.51.100.%d", number)
		w.host = s.network.Host(name, ip+"/24")
		w.host.AddRoute("default", "198.51.100.1")
		w.address = ip + ":8080"
	}
	s.servers[name] = w
	w.up()
	s.t.Cleanup(w.down)
	return w
}

// up opens the server's port.
func (w *server) up() {
	w.t.Helper()
	_, port, _ := net.SplitHostPort(w.address)
	l, err := w.host.Listen("tcp", ":"+port)
	if err != nil {
		w.t.Fatalf("listen on %s: %v", w.name, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, w.name) })
	mux.HandleFunc("/stream", stream)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func(srv *http.Server) { _ = srv.Serve(l) }(w.http)
}

// down closes the server's port and its connections.
func (w *server) down() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.http != nil {
		_ = w.http.Close()
		w.http = nil
	}
}

// closePort closes the port but leaves established connections alone.
func (w *server) closePort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// Shutdown with an ended context closes the listener and returns.
	_ = w.http.Shutdown(ctx)
}

func stream(rw http.ResponseWriter, _ *http.Request) {
	conn, rwBuf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		line, err := rwBuf.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, line); err != nil {
			return
		}
	}
}

// start runs halo on the balancer with the services text.
func (s *site) start(services string) {
	s.t.Helper()
	s.halo = s.lb.Halo(instance + services)
	lab.Eventually(s.t, "the balancer owns the virtual address", func() bool { return s.lb.HasAddress("eth0", vip) })
}

const instance = `[vrrp_instance.VI_1]
interface         = "eth0"
virtual_router_id = 51
priority          = 150
advert_interval   = "200ms"
addresses         = ["192.0.2.10/24"]

`

// quick is a TCP check fast enough for tests.
const quick = `{ type = "tcp", interval = "300ms", timeout = "2s", retry_interval = "100ms", rise = 2, fall = 2 }`

// web is the usual service: head goes into the virtual server's table, and
// each server is one of "w1", "w1 weight = 3" and so on.
func (s *site) web(head string, servers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[virtual_server.web]\naddress = %q\nscheduler = \"wrr\"\nforward = %q\n%s\n", service, s.forward, head)
	for _, spec := range servers {
		name, rest, _ := strings.Cut(spec, " ")
		fmt.Fprintf(&b, "\n[[virtual_server.web.real_server]]\naddress = %q\n%s\n", s.servers[name].address, rest)
	}
	return b.String()
}

// table is what ipvsadm says of a service: weight by server name or address;
// nil where the service is not there.
func (s *site) table() map[string]int {
	s.t.Helper()
	table, err := s.readTable()
	if err != nil {
		s.t.Fatal(err)
	}
	return table
}

// readTable is table for goroutines other than the test's.
func (s *site) readTable() (map[string]int, error) {
	out, err := s.lb.Output("ipvsadm", "-Ln")
	if err != nil {
		return nil, fmt.Errorf("ipvsadm: %w\n%s", err, out)
	}
	names := map[string]string{}
	for name, w := range s.servers {
		names[w.address] = name
	}
	var table map[string]int
	inService := false
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 3 && (f[0] == "TCP" || f[0] == "UDP"):
			if inService = f[1] == service; inService {
				table = map[string]int{}
			}
		case inService && len(f) >= 4 && f[0] == "->":
			key := f[1]
			if name, ok := names[key]; ok {
				key = name
			}
			weight, err := strconv.Atoi(f[3])
			if err != nil {
				return nil, fmt.Errorf("ipvsadm says %q: %w", line, err)
			}
			table[key] = weight
		}
	}
	return table, nil
}

// waitTable waits until ipvsadm shows exactly want.
func (s *site) waitTable(what string, want map[string]int) {
	s.t.Helper()
	var last map[string]int
	defer func() {
		if s.t.Failed() {
			s.t.Logf("last table: %v", last)
		}
	}()
	lab.Eventually(s.t, fmt.Sprintf("%s: %v", what, want), func() bool {
		last = s.table()
		return last != nil && maps.Equal(last, want)
	})
}

// get asks through the virtual address and returns who answered.
func (s *site) get() (string, error) {
	client := &http.Client{
		Transport: &http.Transport{DialContext: s.client.DialContext, DisableKeepAlives: true},
		Timeout:   20 * time.Second,
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+service+"/", http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// answers asks n times and counts who answered; every request must succeed.
func (s *site) answers(n int) map[string]int {
	s.t.Helper()
	count := map[string]int{}
	for range n {
		who, err := s.get()
		if err != nil {
			s.t.Fatalf("ask through %s: %v", service, err)
		}
		count[who]++
	}
	return count
}

// conversation is one long connection through the virtual address.
type conversation struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	said int
}

// converse opens a connection and proves that it works.
func (s *site) converse() *conversation {
	s.t.Helper()
	conn, err := s.client.DialContext(s.t.Context(), "tcp", service)
	if err != nil {
		s.t.Fatalf("connect through %s: %v", service, err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET /stream HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	c := &conversation{t: s.t, conn: conn, in: bufio.NewReader(conn)}
	c.goesOn("at first")
	return c
}

// goesOn proves that the connection still carries lines both ways.
func (c *conversation) goesOn(when string) {
	c.t.Helper()
	c.said++
	line := fmt.Sprintf("line %d, %s\n", c.said, when)
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.WriteString(c.conn, line); err != nil {
		c.t.Fatalf("write %s: %v", when, err)
	}
	if got, err := c.in.ReadString('\n'); err != nil || got != line {
		c.t.Fatalf("the connection %s answers %q, %v; want %q", when, got, err, line)
	}
}
