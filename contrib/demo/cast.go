package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/halo-ha/halo/core/control"
)

// cast is everybody on the stage.
type cast struct {
	directory  string // of configurations and runtime directories
	lb1, lb2   *balancer
	web1, web2 *webServer
	client     *host
	diary      *diary
}

// balancer is a host that runs halo.
type balancer struct {
	*host
	bin     string
	config  string
	runtime string
	control *control.Client
	log     *lockedBuffer
}

// webServer is a host that answers on port 80 with its name.
type webServer struct {
	*host
	ip string
}

// configuration is lb1's halo.toml, and lb2's with another name and priority.
const configuration = `[global]
router_id   = "%[1]s"
runtime_dir = "%[3]s"

[vrrp_instance.` + instance + `]
interface         = "eth0"
virtual_router_id = 51
priority          = %[2]d
advert_interval   = "100ms"
addresses         = ["` + virtualIP + `/24"]

[virtual_server.` + served + `]
address   = "` + service + `"
scheduler = "mh"
forward   = "dr"
check     = [{ type = "tcp", interval = "1s", retry_interval = "250ms" }]

[[virtual_server.` + served + `.real_server]]
address = "192.0.2.21:80"

[[virtual_server.` + served + `.real_server]]
address = "192.0.2.22:80"
`

// assemble builds the network and starts the web servers. The directory for
// the balancers' files stands in /run, where nobody but root writes: halo
// refuses to keep sockets where others could replace them.
func assemble(bin string) (*cast, error) {
	directory, err := os.MkdirTemp("/run", "halo-demo-")
	if err != nil {
		return nil, err
	}
	c := &cast{directory: directory, diary: &diary{}}
	if err := c.build(bin); err != nil {
		return nil, errors.Join(err, c.leave())
	}
	return c, nil
}

func (c *cast) build(bin string) error {
	// Plugins run as another user and have to reach their sockets.
	if err := os.Chmod(c.directory, 0o755); err != nil {
		return err
	}
	network, err := newNetwork()
	if err != nil {
		return err
	}
	if c.lb1, err = c.balancer(network, bin, "lb1", "192.0.2.1/24", 150); err != nil {
		return err
	}
	if c.lb2, err = c.balancer(network, bin, "lb2", "192.0.2.2/24", 100); err != nil {
		return err
	}
	if c.web1, err = newWebServer(network, "web1", "192.0.2.21"); err != nil {
		return err
	}
	if c.web2, err = newWebServer(network, "web2", "192.0.2.22"); err != nil {
		return err
	}
	c.client, err = network.host("client", prefixes(clientAddresses(), "/24")...)
	return err
}

// clientAddresses are many, so that a scheduler which hashes the source sends
// them to both servers.
func clientAddresses() []string {
	const many = 16
	addresses := make([]string, many)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("192.0.2.%d", 101+i)
	}
	return addresses
}

func prefixes(addresses []string, suffix string) []string {
	result := make([]string, len(addresses))
	for i, address := range addresses {
		result[i] = address + suffix
	}
	return result
}

// balancer makes a host for halo. Its kernel accepts connections in progress
// (sloppy_tcp) and passes on what arrives while the address moves: with a
// scheduler that hashes, a request under way survives the move.
func (c *cast) balancer(network *network, bin, name, address string, priority int) (*balancer, error) {
	host, err := network.host(name, address)
	if err != nil {
		return nil, err
	}
	for setting, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv4/conf/all/send_redirects": "0", "ipv4/conf/eth0/send_redirects": "0", "ipv4/vs/sloppy_tcp": "1",
	} {
		if err := host.sysctl(setting, value); err != nil {
			return nil, err
		}
	}
	place := filepath.Join(c.directory, name)
	if err := os.Mkdir(place, 0o755); err != nil {
		return nil, err
	}
	b := &balancer{
		host: host, bin: bin, config: filepath.Join(place, "halo.toml"),
		runtime: filepath.Join(place, "run"), log: &lockedBuffer{},
	}
	b.control = control.NewClient(b.socket())
	return b, os.WriteFile(b.config, fmt.Appendf(nil, configuration, name, priority, b.runtime), 0o644)
}

func (b *balancer) socket() string { return filepath.Join(b.runtime, "halo.sock") }

// run starts halo.
func (b *balancer) run() error {
	command := exec.Command(filepath.Join(b.bin, "halo"), "run", "--config", b.config) //nolint:noctx // it ends by losing power
	command.Stdout, command.Stderr = b.log, b.log
	return b.start(command)
}

// status is what a person on the balancer would see.
func (b *balancer) status(ctx context.Context) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(b.bin, "halo"), "status")
	command.Env = append(os.Environ(), "HALO_SOCKET="+b.socket())
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("halo status on %s: %w\n%s", b.name, err, output)
	}
	return string(output), nil
}

// becomes waits until the virtual router is in a state.
func (b *balancer) becomes(state string) error {
	return eventually(b.name+" "+state, func() (bool, error) {
		status, err := b.control.Status(context.Background())
		if err != nil {
			return false, b.alive()
		}
		return status.VRRPInstances[instance].State == state, nil
	})
}

// alive tells, as an error, if halo has ended.
func (b *balancer) alive() error {
	pids, err := b.pids()
	if err == nil && len(pids) == 0 {
		return fmt.Errorf("halo on %s has ended", b.name)
	}
	return err
}

// serves waits until the kernel's table and halo's status agree that a server
// gets connections, or does not.
func (b *balancer) serves(server *webServer, wanted bool) error {
	what := " in "
	if !wanted {
		what = " out of "
	}
	address := server.ip + ":80"
	return eventually(server.name+what+b.name+"'s table", func() (bool, error) {
		inTable, err := b.inTable(address)
		if err != nil || inTable != wanted {
			return false, err
		}
		status, err := b.control.Status(context.Background())
		if err != nil {
			return false, b.alive()
		}
		return status.VirtualServers[served].RealServers[address].InService == wanted, nil
	})
}

// finds waits until a balancer's checks have come to a verdict on a server.
func (b *balancer) finds(server *webServer, verdict string) error {
	return eventually(server.name+" "+verdict+" in the eyes of "+b.name, func() (bool, error) {
		status, err := b.control.Status(context.Background())
		if err != nil {
			return false, b.alive()
		}
		return status.VirtualServers[served].RealServers[server.ip+":80"].State == verdict, nil
	})
}

// newWebServer makes a host that answers for the virtual address, too, but
// never says that it has it: direct routing's usual setting.
func newWebServer(network *network, name, ip string) (*webServer, error) {
	host, err := network.host(name, ip+"/24")
	if err != nil {
		return nil, err
	}
	for setting, value := range map[string]string{"ipv4/conf/all/arp_ignore": "1", "ipv4/conf/all/arp_announce": "2"} {
		if err := host.sysctl(setting, value); err != nil {
			return nil, err
		}
	}
	if err := host.address("lo", virtualIP+"/32"); err != nil {
		return nil, err
	}
	server := &webServer{host, ip}
	if err := server.serve(); err != nil {
		return nil, err
	}
	return server, nil
}

func (w *webServer) serve() error {
	command, err := part(partWeb, w.name)
	if err != nil {
		return err
	}
	return w.start(command)
}

// ask starts the client, whose answers fill the diary.
func (c *cast) ask() error {
	command, err := part(partClient, append([]string{service}, clientAddresses()...)...)
	if err != nil {
		return err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.client.start(command); err != nil {
		return err
	}
	go c.diary.read(output)
	return nil
}

// part is this program in another role.
func part(role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, append([]string{role}, args...)...) //nolint:noctx // it ends with its host
	command.Stderr = os.Stderr
	return command, nil
}

// leave ends everybody and removes what they wrote.
func (c *cast) leave() error {
	var failures []error
	for _, host := range c.hosts() {
		failures = append(failures, host.killAll())
	}
	return errors.Join(append(failures, os.RemoveAll(c.directory))...)
}

func (c *cast) hosts() []*host {
	var all []*host
	if c.lb1 != nil {
		all = append(all, c.lb1.host)
	}
	if c.lb2 != nil {
		all = append(all, c.lb2.host)
	}
	if c.web1 != nil {
		all = append(all, c.web1.host)
	}
	if c.web2 != nil {
		all = append(all, c.web2.host)
	}
	if c.client != nil {
		all = append(all, c.client)
	}
	return all
}

// lastWords is what both halos wrote, for a story that went wrong.
func (c *cast) lastWords() error {
	return fmt.Errorf("what lb1 wrote:\n%s\nwhat lb2 wrote:\n%s", c.lb1.log, c.lb2.log)
}

// hexadecimal is "192.0.2.21:80" as the kernel prints it: C0000215:0050.
func hexadecimal(endpoint string) (string, error) {
	parsed, err := netip.ParseAddrPort(endpoint)
	if err != nil {
		return "", err
	}
	return strings.ToUpper(fmt.Sprintf("%x:%04x", parsed.Addr().AsSlice(), parsed.Port())), nil
}

// lockedBuffer is a buffer that a process writes while it is read.
type lockedBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}
