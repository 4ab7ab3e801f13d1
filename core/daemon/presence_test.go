package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/kernel/rtnl"
)

// crowd hears what is announced, and when.
type crowd struct {
	mu    sync.Mutex
	start time.Time
	heard []string
	err   error
}

func (c *crowd) Announce(iface string, addresses []netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, fmt.Sprintf("%s %v after %v", iface, addresses, time.Since(c.start)))
	return c.err
}

// take returns what was heard since the last time.
func (c *crowd) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard := c.heard
	c.heard, c.start = nil, time.Now()
	return heard
}

// introduced is what is heard of a complete introduction.
func introduced(what string) []string {
	return []string{what + " after 0s", what + " after 10ms", what + " after 50ms", what + " after 250ms", what + " after 1s"}
}

const unicastFile = `
[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 51
addresses = ["192.0.2.10/24"]
source_address = "192.0.2.1"
unicast_peers = ["192.0.2.2"]

[vrrp_instance.VI_2]
interface = "eth1"
virtual_router_id = 52
addresses = ["198.51.100.10/24"]
`

// electorateOf is the election of a file.
func electorateOf(t *testing.T, text string) electorate {
	t.Helper()
	g, problems := config.Parse("halo.toml", []byte(text), config.Unseen{})
	if g == nil {
		t.Fatal(problems)
	}
	e, err := prepare(g, 0)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A machine whose peers speak to it alone introduces itself whenever it has become
// one that can be spoken to, and only then.
func TestPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		heard := &crowd{start: time.Now()}
		p := newPresence(heard, slog.New(slog.NewTextHandler(&said, nil)))
		go p.run(t.Context())
		wait := func(what string, want []string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if got := heard.take(); !slices.Equal(got, want) {
				t.Errorf("%s: heard %q, want %q", what, got, want)
			}
		}
		up := func(index int, addresses ...string) *rtnl.View {
			l := link("eth0", true, addresses...)
			l.Index = index
			return &rtnl.View{Links: []rtnl.Link{l, link("eth1", true, "198.51.100.10/24", "198.51.100.1/24")}}
		}
		p.apply(electorateOf(t, unicastFile))
		wait("before the kernel was looked at", nil)
		p.linksChanged(up(3, "192.0.2.9/24", "192.0.2.10/24"))
		wait("without the address it speaks from", nil)
		p.linksChanged(up(3, "192.0.2.9/24", "192.0.2.1/24"))
		wait("with it", introduced("eth0 [192.0.2.1]"))
		p.linksChanged(up(3, "192.0.2.9/24", "192.0.2.1/24", "192.0.2.10/24"))
		p.apply(electorateOf(t, unicastFile))
		wait("when nothing of that has changed", nil)

		down := up(3, "192.0.2.1/24")
		down.Links[0].Up = false
		p.linksChanged(down)
		wait("down", nil)
		p.linksChanged(up(3, "192.0.2.1/24"))
		wait("up again", introduced("eth0 [192.0.2.1]"))
		p.linksChanged(up(4, "192.0.2.1/24"))
		wait("made anew", introduced("eth0 [192.0.2.1]"))

		heard.err = errors.New("network is down")
		p.linksChanged(down)
		p.linksChanged(up(3, "192.0.2.1/24"))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		p.linksChanged(down)
		wait("down in the middle", introduced("eth0 [192.0.2.1]")[:3])
		if said.Len() != 0 {
			t.Errorf("it has said %q, though the link was not there for long", said.String())
		}
		p.linksChanged(up(3, "192.0.2.1/24"))
		wait("up, but nothing passes", introduced("eth0 [192.0.2.1]"))
		if !strings.Contains(said.String(), "iface=eth0") || !strings.Contains(said.String(), "network is down") || strings.Count(said.String(), "\n") != 1 {
			t.Errorf("it has said %q, want the interface and the reason, once", said.String())
		}

		heard.err = nil
		both := strings.Replace(unicastFile, `addresses = ["198.51.100.10/24"]`, `addresses = ["198.51.100.10/24"]
unicast_peers = ["198.51.100.2"]`, 1)
		p.apply(electorateOf(t, both))
		wait("a router that has become one of unicast", introduced("eth1 [198.51.100.1]"))
	})
}
