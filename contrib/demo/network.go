package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// network is one switch with hosts around it. Nothing of it has a name on the
// machine: the namespaces end with the processes in them, and those end with
// this program.
type network struct {
	pilot  *pilot
	fabric *host // the switch
	bridge netlink.Link
}

// host is a machine on the network, with the interface eth0.
type host struct {
	name      string
	network   *network
	namespace netns.NsHandle
	links     *netlink.Handle
	processes []*exec.Cmd
}

// pilot is one thread that visits namespaces, one errand at a time. All
// processes are started by it, because their parent-death signal is tied to
// the thread that forked.
type pilot struct {
	errands chan func()
}

func newPilot() (*pilot, error) {
	p := &pilot{errands: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever
		ready <- nil
		for errand := range p.errands {
			errand()
		}
	}()
	return p, <-ready
}

// visit runs f in a namespace.
func (p *pilot) visit(namespace netns.NsHandle, f func() error) error {
	done := make(chan error)
	p.errands <- func() {
		done <- func() error {
			home, err := netns.Get()
			if err != nil {
				return err
			}
			defer home.Close()
			if err := netns.Set(namespace); err != nil {
				return fmt.Errorf("enter namespace: %w", err)
			}
			err = f()
			return errors.Join(err, netns.Set(home))
		}()
	}
	return <-done
}

// create makes a namespace and stays outside.
func (p *pilot) create() (netns.NsHandle, error) {
	var made netns.NsHandle
	done := make(chan error)
	p.errands <- func() {
		done <- func() error {
			home, err := netns.Get()
			if err != nil {
				return err
			}
			defer home.Close()
			if made, err = netns.New(); err != nil {
				return fmt.Errorf("make namespace: %w", err)
			}
			return netns.Set(home)
		}()
	}
	return made, <-done
}

func newNetwork() (*network, error) {
	pilot, err := newPilot()
	if err != nil {
		return nil, err
	}
	n := &network{pilot: pilot}
	if n.fabric, err = n.bare("switch"); err != nil {
		return nil, err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	if err := n.fabric.links.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("make switch: %w", err)
	}
	n.bridge = bridge
	return n, n.fabric.links.LinkSetUp(bridge)
}

// bare makes a host without a cable.
func (n *network) bare(name string) (*host, error) {
	namespace, err := n.pilot.create()
	if err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	links, err := netlink.NewHandleAt(namespace, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("make host %s: %w", name, err)
	}
	h := &host{name: name, network: n, namespace: namespace, links: links}
	if err := h.up("lo"); err != nil {
		return nil, err
	}
	return h, nil
}

// host makes a host with a cable to the switch and addresses on eth0.
func (n *network) host(name string, addresses ...string) (*host, error) {
	h, err := n.bare(name)
	if err != nil {
		return nil, err
	}
	cable := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name, MasterIndex: n.bridge.Attrs().Index},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(h.namespace),
	}
	if err := n.fabric.links.LinkAdd(cable); err != nil {
		return nil, fmt.Errorf("connect %s to the switch: %w", name, err)
	}
	for _, address := range addresses {
		if err := h.address("eth0", address); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(h.up("eth0"), h.plug()); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *host) up(name string) error {
	link, err := h.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s on %s: %w", name, h.name, err)
	}
	return h.links.LinkSetUp(link)
}

func (h *host) address(name, address string) error {
	link, err := h.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s on %s: %w", name, h.name, err)
	}
	parsed, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	if err := h.links.AddrAdd(link, parsed); err != nil {
		return fmt.Errorf("add %s to %s on %s: %w", address, name, h.name, err)
	}
	return nil
}

// has tells whether an address is on eth0.
func (h *host) has(address string) (bool, error) {
	link, err := h.links.LinkByName("eth0")
	if err != nil {
		return false, err
	}
	list, err := h.links.AddrList(link, unix.AF_INET)
	if err != nil {
		return false, err
	}
	for _, entry := range list {
		if entry.IP.String() == address {
			return true, nil
		}
	}
	return false, nil
}

// plug and pull connect and cut the cable, at the switch's end.
func (h *host) plug() error { return h.network.fabric.up(h.name) }

func (h *host) pull() error {
	port, err := h.network.fabric.links.LinkByName(h.name)
	if err != nil {
		return err
	}
	return h.network.fabric.links.LinkSetDown(port)
}

// sysctl sets "net/..." for this host alone.
func (h *host) sysctl(name, value string) error {
	return h.network.pilot.visit(h.namespace, func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)
	})
}

// read reads a file of the host's /proc/net.
func (h *host) read(name string) (content string, err error) {
	err = h.network.pilot.visit(h.namespace, func() error {
		bytes, err := os.ReadFile(filepath.Join("/proc/thread-self/net", name))
		content = string(bytes)
		return err
	})
	return content, err
}

// start starts a process on the host.
func (h *host) start(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	if err := h.network.pilot.visit(h.namespace, command.Start); err != nil {
		return fmt.Errorf("start %s on %s: %w", filepath.Base(command.Path), h.name, err)
	}
	h.processes = append(h.processes, command)
	return nil
}

// powerOff ends everything at one instant: the processes stop, the cable is
// dead, and then there are no processes. Killing alone would leave a kernel
// that goes on answering for its addresses; and a process whose parent dies
// first may be asked to say goodbye. It answers the instant.
func (h *host) powerOff() (time.Time, error) {
	if err := h.signalAll(unix.SIGSTOP); err != nil {
		return time.Time{}, err
	}
	instant := time.Now()
	if err := h.pull(); err != nil {
		return time.Time{}, err
	}
	return instant, h.killAll()
}

// killAll kills every process of the host, waits for those started from here,
// and leaves no other behind.
func (h *host) killAll() error {
	if err := h.signalAll(unix.SIGKILL); err != nil {
		return err
	}
	for _, command := range h.processes {
		_ = command.Wait() // it was killed: its exit says nothing
	}
	h.processes = nil
	return eventually("the end of all processes of "+h.name, func() (bool, error) {
		left, err := h.pids()
		return len(left) == 0, err
	})
}

// signalAll signals every process in the host's namespace, until a look finds
// no process that has not got the signal.
func (h *host) signalAll(signal unix.Signal) error {
	told := map[int]bool{}
	for {
		pids, err := h.pids()
		if err != nil {
			return err
		}
		fresh := false
		for _, pid := range pids {
			if told[pid] {
				continue
			}
			told[pid], fresh = true, true
			if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("signal process %d of %s: %w", pid, h.name, err)
			}
		}
		if !fresh {
			return nil
		}
	}
}

// pids finds the host's processes by their network namespace: also those that
// its processes have started. A zombie has no namespace any more.
func (h *host) pids() ([]int, error) {
	var own unix.Stat_t
	if err := unix.Fstat(int(h.namespace), &own); err != nil {
		return nil, fmt.Errorf("look for the processes of %s: %w", h.name, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for the processes of %s: %w", h.name, err)
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var its unix.Stat_t
		if unix.Stat(filepath.Join("/proc", entry.Name(), "ns", "net"), &its) == nil && its.Ino == own.Ino && its.Dev == own.Dev {
			found = append(found, pid)
		}
	}
	return found, nil
}

// inTable tells whether the host's kernel sends connections to a server. The
// kernel's own text has addresses as hexadecimal numbers: C0000215:0050.
func (h *host) inTable(server string) (bool, error) {
	table, err := h.read("ip_vs")
	if err != nil {
		return false, err
	}
	want, err := hexadecimal(server)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[0] == "->" && fields[1] == want {
			return fields[3] != "0", nil
		}
	}
	return false, nil
}
