package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
	"github.com/halo-ha/halo/core/kernel/rawsock"
)

// listener follows the events of a daemon until it ends.
type listener struct {
	t    *testing.T
	done chan error

	mu   sync.Mutex
	seen []journal.Event
	lost uint64
}

func follow(t *testing.T, h *lab.Halo) *listener {
	t.Helper()
	l := &listener{t: t, done: make(chan error, 1)}
	go func() {
		l.done <- control.NewClient(h.Socket()).Follow(t.Context(), "", func(e control.Events) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.seen, l.lost = append(l.seen, e.Events...), l.lost+e.Lost
			return nil
		})
	}()
	return l
}

func (l *listener) events() []journal.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen)
}

// wait waits for an event whose line has all the words, and returns it.
func (l *listener) wait(words ...string) journal.Event {
	l.t.Helper()
	var found journal.Event
	lab.Eventually(l.t, "an event with "+strings.Join(words, ", "), func() bool {
		for _, e := range l.events() {
			if containsAll(e.String(), words...) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// chained holds that the numbers have no gaps, and that each object goes on from
// where it was.
func (l *listener) chained() {
	l.t.Helper()
	at := map[journal.Object]string{}
	for i, e := range l.events() {
		if e.Number != uint64(i)+1 {
			l.t.Fatalf("number %d at place %d", e.Number, i)
		}
		if e.Kind != journal.State {
			continue
		}
		if was, known := at[e.Object]; known && was != e.From {
			l.t.Errorf("%d: %s, which was %s", e.Number, e, was)
		}
		at[e.Object] = e.To
	}
}

const eventsConfig = `[vrrp_instance.outside]
interface         = "eth0"
virtual_router_id = 51
priority          = 150
advert_interval   = "200ms"
addresses         = ["192.0.2.10/24"]
track             = [{ tracker = "uplink", weight = -60 }]

[vrrp_instance.inside]
interface         = "eth0"
virtual_router_id = 52
priority          = 150
advert_interval   = "200ms"
addresses         = ["192.0.2.11/24"]
track             = [{ tracker = "uplink", weight = -60 }]

[vrrp_sync_group.router]
members = ["outside", "inside"]

[tracker.uplink]
type      = "interface"
interface = "lo"

[virtual_server.web]
address = "192.0.2.10:80"
check   = [{ type = "tcp", interval = "100ms", timeout = "90ms", rise = 1, fall = 1, retry_interval = "90ms" }]

[[virtual_server.web.real_server]]
address = "192.0.2.1:9"
`

const thirdInstance = `
[vrrp_instance.third]
interface         = "eth0"
virtual_router_id = 53
advert_interval   = "200ms"
addresses         = ["192.0.2.12/24"]
`

// Everything that somebody may want to be notified of is told with its reason, in
// order, up to the very end.
func TestEvents(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a, thief := n.Host("a", aSource+"/24"), n.Host("thief", "192.0.2.66/24")
	h := a.Halo(eventsConfig + thirdInstance)
	l := follow(t, h)
	for _, name := range []string{"outside", "inside", "third"} {
		l.wait("vrrp_instance "+name+" state initialize -> backup (startup)", "priority")
		l.wait("vrrp_instance "+name+" state backup -> active (active_down)", "priority")
	}
	l.wait("vrrp_sync_group router state backup -> active")
	l.wait("halo state starting -> running")
	l.wait("real_server web 192.0.2.1:9 state unknown -> down", "refused", "out of service")
	l.wait("virtual_server web state", "down")
	l.wait("plugin halo-check-tcp as", "starting -> running")

	t.Log("a plugin is killed")
	plugin := h.Status(t).Plugins["halo-check-tcp"]
	if err := unix.Kill(plugin.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.wait("plugin halo-check-tcp as", "running -> backoff", "SIGKILL")

	t.Log("a tracker moves the priorities, and a cable all instances")
	a.SetDown("lo")
	l.wait("tracker uplink state up -> down (tracker down): link_down")
	for _, name := range []string{"outside", "inside"} {
		if e := l.wait("vrrp_instance " + name + " priority 150 -> 90 (tracker)"); !strings.Contains(e.Detail, "uplink") {
			t.Errorf("the detail is %q", e.Detail)
		}
	}
	a.SetUp("lo")
	l.wait("vrrp_instance inside priority 90 -> 150 (tracker)")
	a.Pull()
	if e := l.wait("vrrp_instance third state active -> fault (link_down)"); !slices.Equal(e.Faults, []string{"link_down"}) {
		t.Errorf("faults %q", e.Faults)
	}
	l.wait("vrrp_sync_group router state active -> fault")
	a.DelAddress("eth0", aSource+"/24")
	a.Plug()
	l.wait("vrrp_instance third fault (no_source_address)")
	l.wait("vrrp_sync_group router fault (no_source_address)")
	a.AddAddress("eth0", aSource+"/24")
	l.wait("vrrp_instance third state fault -> backup (healed)")
	h.WaitState(t, "outside", "active")

	t.Log("somebody claims an address, and somebody removes one")
	var announcer *rawsock.Announcer
	defer func() { _ = announcer.Close() }()
	lab.Eventually(t, "the claim is told", func() bool {
		if err := thief.Do(func() error {
			if announcer == nil {
				announcer = rawsock.NewAnnouncer()
			}
			return announcer.Announce("eth0", []netip.Addr{lab.Addr(t, vip)})
		}); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(l.events(), func(e journal.Event) bool {
			return containsAll(e.String(), "vrrp_instance outside conflict (claimed)", vip, thief.MAC("eth0").String())
		})
	})
	lab.Eventually(t, "the address is there", func() bool { return a.HasAddress("eth0", vip) })
	a.DelAddress("eth0", vip+"/24")
	l.wait("vrrp_instance outside drift repaired", vip)

	t.Log("reloads: one is refused, and one takes an instance and the group out")
	h.Reload(t, strings.Replace(eventsConfig, "virtual_router_id = 51", "virtual_router_id = 0", 1))
	l.wait("halo reload refused", "0 is out of range")
	alone, _, _ := strings.Cut(eventsConfig, "[vrrp_sync_group")
	alone += "[tracker.uplink]\ntype = \"interface\"\ninterface = \"lo\"\n"
	h.MustReload(t, strings.Replace(alone, "priority          = 150", "priority          = 160", 1))
	gone := l.wait("vrrp_instance third removed")
	stopped := l.wait("vrrp_instance third state", "-> initialize (stopped)")
	if stopped.Number > gone.Number {
		t.Errorf("it was removed at %d and stopped at %d", gone.Number, stopped.Number)
	}
	l.wait("vrrp_sync_group router removed")
	l.wait("vrrp_instance outside priority 150 -> 160 (configuration)")
	l.wait("halo reload applied", "generation 2")
	h.WaitState(t, "inside", "active")

	t.Log("the end")
	if err := h.Terminate(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if err := <-l.done; err != nil {
		t.Errorf("the events ended with %v", err)
	}
	l.chained()
	all := l.events()
	for _, words := range []string{"vrrp_instance outside state active -> initialize (stopped)", "vrrp_instance inside state active -> initialize (stopped)", "halo state running -> stopping"} {
		l.wait(words)
	}
	if last := all[len(all)-1]; last.String() != "halo state stopping -> stopped" || l.lost != 0 {
		t.Errorf("the last one is %s, and %d were lost", last, l.lost)
	}
}

// One notification for the group, beside those of its members, each time.
func TestEventsOfAGroup(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	h := a.Halo(eventsConfig)
	l := follow(t, h)
	const times = 5
	for range times {
		lab.Eventually(t, "the group is active", func() bool { return h.Status(t).VRRPSyncGroups["router"].State == "active" })
		a.Pull()
		lab.Eventually(t, "the group has a fault", func() bool { return h.Status(t).VRRPSyncGroups["router"].State == "fault" })
		a.Plug()
	}
	lab.Eventually(t, "the group is active", func() bool { return h.Status(t).VRRPSyncGroups["router"].State == "active" })
	want := map[string]int{
		"vrrp_sync_group router fault": times, "vrrp_instance outside fault": times, "vrrp_instance inside fault": times,
		"vrrp_sync_group router active": times + 1, "vrrp_instance outside active": times + 1, "vrrp_instance inside active": times + 1,
	}
	got := map[string]int{}
	lab.Eventually(t, "all of it was told", func() bool {
		clear(got)
		for _, e := range l.events() {
			if line := e.Object.String() + " " + e.To; want[line] != 0 {
				got[line]++
			}
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
	l.chained()
}

// What a person types. It outlives the daemon, and sees the next one.
func TestEventsCommand(t *testing.T) {
	t.Parallel()
	n := lab.New(t)
	a := n.Host("a", aSource+"/24")
	h := a.Halo(thirdInstance)
	h.WaitState(t, "third", "active")
	halo := filepath.Join(lab.Bin(t), "halo")
	run := func(args ...string) string {
		t.Helper()
		out, err := a.Output(halo, append([]string{"events", "--socket", h.Socket()}, args...)...)
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		return out
	}
	text := run()
	if !containsAll(text, "1  20", "halo state starting\n", "vrrp_instance third state backup -> active (active_down) priority 100\n") {
		t.Errorf("it says:\n%s", text)
	}
	var doc control.Events
	if err := json.Unmarshal([]byte(run("--json")), &doc); err != nil || doc.Schema != 1 || doc.Lost != 0 || len(doc.Events) != int(doc.Last) || doc.Last < 4 {
		t.Errorf("%v, %+v", err, doc)
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	if rest := run("--since", number(doc.Last-1)); strings.Count(rest, "\n") != 1 || !strings.HasPrefix(rest, number(doc.Last)+"  ") {
		t.Errorf("behind the last but one:\n%s", rest)
	}
	if rest := run("--since", "now"); rest != "" {
		t.Errorf("behind the last:\n%s", rest)
	}
	follower := a.Start(halo, "events", "--socket", h.Socket(), "--follow", "--since", "now")
	lines := a.Start(halo, "events", "--socket", h.Socket(), "--follow", "--json")
	lines.WaitOutput(`"to":"running"`)
	priority := 100
	lab.Eventually(t, "what happens is shown", func() bool {
		priority++ // Again, until the follower has begun.
		h.MustReload(t, strings.Replace(thirdInstance, "advert_interval", fmt.Sprintf("priority = %d\nadvert_interval", priority%150+1), 1))
		return containsAll(follower.Output(), "vrrp_instance third priority", "(configuration) priority", "halo reload applied: generation")
	})
	if strings.Contains(follower.Output(), "halo state starting -> running") {
		t.Errorf("it shows what was before:\n%s", follower.Output())
	}
	for line := range strings.Lines(lines.Output()) {
		if err := json.Unmarshal([]byte(line), &doc); err != nil || doc.Schema != 1 || len(doc.Events) == 0 {
			t.Errorf("%v: %s", err, line)
		}
	}
	h.Kill()
	follower.WaitOutput("halo: the daemon is gone; waiting for it to come back\n")
	h.Start(t)
	follower.WaitOutput("1  20")
	follower.WaitOutput("halo state starting -> running")
	follower.Signal(unix.SIGINT)
	if err := follower.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v", err)
	}
	if err := h.Terminate(); err != nil {
		t.Error(err)
	}
	lines.WaitOutput(`"to":"stopped"`)
	lines.Signal(unix.SIGINT)
	_ = lines.Wait()
}
