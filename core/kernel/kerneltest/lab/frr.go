package lab

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// Where Debian puts the daemons, outside everybody's PATH.
const (
	frrZebra = "/usr/lib/frr/zebra"
	frrVRRP  = "/usr/lib/frr/vrrpd"
	frrUser  = "frr" // the daemons insist on it, and drop root for it
)

// FRR is FRRouting's VRRP on a host, for one virtual router on eth0: vrrpd,
// and zebra, without which it knows no interface.
//
// vrrpd neither adds nor removes addresses. It wants a macvlan with the
// virtual MAC and the virtual addresses, which the lab makes, and has zebra
// hold that in protodown except while it is active. So the addresses are never
// on eth0, and who owns them is told by Serves.
type FRR struct {
	zebra, vrrpd *Process
	host         *Host
	dir          string // configurations and sockets
	link         string // the macvlan
	handle       *netlink.Handle
	socket       *nl.SocketHandle // for what handle does not know
}

// FRR starts FRR's VRRP on h. The lines are those of vrrpd's block of eth0, in
// which the virtual router is vrid; addresses ("192.0.2.10/24") are the virtual
// ones once more, for the macvlan. Over IPv6 vrrpd speaks from the macvlan's
// link-local address: that is then one of addresses, and the virtual link-local
// one is not.
func (h *Host) FRR(vrid uint8, addresses []string, lines string) *FRR {
	t := h.network.t
	t.Helper()
	kerneltest.RequireTool(t, frrZebra)
	kerneltest.RequireTool(t, frrVRRP)
	dir, err := os.MkdirTemp("", "halo-frr-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	family := 4
	if strings.Contains(addresses[0], ":") {
		family = 6
	}
	f := &FRR{host: h, dir: dir, link: fmt.Sprintf("vrrp%d-%d", family, vrid)}
	if f.handle, err = netlink.NewHandleAt(netns.NsHandle(h.FD()), unix.NETLINK_ROUTE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.handle.Close)
	socket, err := nl.GetNetlinkSocketAt(netns.NsHandle(h.FD()), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	f.socket = &nl.SocketHandle{Socket: socket}
	t.Cleanup(f.socket.Close)
	f.addLink(t, family, vrid, addresses)
	f.write(t, "zebra.conf", "")
	f.Configure(lines)
	f.Start()
	return f
}

// addLink makes the macvlan, which outlives the daemons.
func (f *FRR) addLink(t testing.TB, family int, vrid uint8, addresses []string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = f.link, f.host.Index("eth0")
	attrs.HardwareAddr = net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x01, vrid} // RFC 9568, 7.3
	if family == 6 {
		attrs.HardwareAddr[4] = 0x02
	}
	if err := f.handle.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}); err != nil {
		t.Fatalf("make %s on %s: %v", f.link, f.host.label, err)
	}
	f.host.GivenAddressesOnly(f.link)
	for _, a := range addresses {
		f.host.AddAddress(f.link, a)
	}
	f.host.SetUp(f.link)
}

// Configure replaces vrrpd's block of eth0 for the next start.
func (f *FRR) Configure(lines string) {
	t := f.host.network.t
	t.Helper()
	var block strings.Builder
	block.WriteString("interface eth0\n")
	for line := range strings.Lines(lines) {
		block.WriteString(" " + line)
	}
	block.WriteString("exit\n")
	f.write(t, "vrrpd.conf", block.String())
}

// write makes a configuration file, and the directory it is in, the daemons' own.
func (f *FRR) write(t testing.TB, name, text string) {
	t.Helper()
	account, err := user.Lookup(frrUser)
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("user %s has the ids %q and %q", frrUser, account.Uid, account.Gid)
	}
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, f.dir} {
		if err := os.Chown(p, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
}

// Start starts the daemons, again after an end. vrrpd that finds no zebra waits
// ten seconds before it looks again, so zebra listens first.
func (f *FRR) Start() {
	t := f.host.network.t
	t.Helper()
	socket := filepath.Join(f.dir, "zserv")
	_ = os.Remove(socket) // a killed zebra's
	f.zebra = f.start(frrZebra, "zebra", "--log-level", "warnings")
	Eventually(t, "zebra on "+f.host.label+" listens", func() bool {
		if !f.zebra.Alive() {
			t.Fatalf("zebra on %s ended: %v\n%s", f.host.label, f.zebra.err, f.zebra.Output())
		}
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	f.vrrpd = f.start(frrVRRP, "vrrpd", "--log-level", "debugging")
	// The macvlan is as the last end left it, until zebra has done vrrpd's first wish.
	Eventually(t, "vrrpd on "+f.host.label+" has taken over the macvlan", func() bool {
		if !f.Alive() {
			t.Fatalf("vrrpd on %s ended: %v\n%s", f.host.label, f.vrrpd.err, f.Output())
		}
		said := f.Output()
		return strings.Contains(said, "Initialize -> ") && (!f.Serves() || strings.Contains(said, "-> Master"))
	})
}

func (f *FRR) start(path, name string, more ...string) *Process {
	args := append([]string{
		"--config_file", filepath.Join(f.dir, name+".conf"), "--user", frrUser, "--group", frrUser, "--vty_socket", f.dir,
		"--pid_file", filepath.Join(f.dir, name+".pid"), "--socket", filepath.Join(f.dir, "zserv"), "--vty_port", "0", "--log", "stdout",
	}, more...)
	return f.host.Start(path, args...)
}

// Serves tells whether the virtual addresses can be reached: the macvlan is not
// in protodown, and eth0 has a carrier.
func (f *FRR) Serves() bool {
	t := f.host.network.t
	t.Helper()
	l, err := f.handle.LinkByName(f.link)
	if err != nil {
		t.Fatalf("find %s on %s: %v", f.link, f.host.label, err)
	}
	down, err := f.protodown(l.Attrs().Index)
	if err != nil {
		t.Fatalf("ask for protodown of %s on %s: %v", f.link, f.host.label, err)
	}
	return !down && l.Attrs().OperState == netlink.OperUp
}

// protodown tells whether a link is held down by a program. The operational
// state does not tell: a macvlan in protodown is up again as soon as the
// carrier of the link below it comes back.
func (f *FRR) protodown(index int) (bool, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: f.socket}
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index)
	request.AddData(message)
	answers, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return false, err
	}
	for _, answer := range answers {
		attributes, err := nl.ParseRouteAttr(answer[unix.SizeofIfInfomsg:])
		if err != nil {
			return false, err
		}
		for _, a := range attributes {
			if a.Attr.Type == unix.IFLA_PROTO_DOWN {
				return len(a.Value) > 0 && a.Value[0] != 0, nil
			}
		}
	}
	return false, fmt.Errorf("%d answers without protodown", len(answers))
}

// MAC is the hardware address of the virtual addresses.
func (f *FRR) MAC() net.HardwareAddr {
	f.host.network.t.Helper()
	return f.host.MAC(f.link)
}

// SignalGroup sends a signal to both daemons.
func (f *FRR) SignalGroup(s unix.Signal) {
	f.zebra.SignalGroup(s)
	f.vrrpd.SignalGroup(s)
}

// Kill ends both daemons with SIGKILL, as a power cut would. Both are stopped
// first, lest one notices the death of the other.
func (f *FRR) Kill() {
	f.SignalGroup(unix.SIGSTOP)
	f.vrrpd.Kill()
	f.zebra.Kill()
}

// Terminate stops vrrpd by SIGTERM and returns how it ended; zebra is killed.
// The macvlan may stay as it was: vrrpd does not wait for what it asks of
// zebra at its end, and closes the connection in a way that can lose it.
func (f *FRR) Terminate() error {
	f.host.network.t.Helper()
	err := f.vrrpd.Terminate()
	f.zebra.Kill()
	return err
}

// Alive tells whether both daemons run.
func (f *FRR) Alive() bool { return f.zebra.Alive() && f.vrrpd.Alive() }

// Output is what vrrpd has written since its last start.
func (f *FRR) Output() string { return f.vrrpd.Output() }
