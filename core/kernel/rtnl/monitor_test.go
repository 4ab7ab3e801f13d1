package rtnl

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// patience is how long a test waits for what must happen in the end.
const patience = time.Minute

// watchIn runs a monitor inside a namespace until the test ends. A buffer of
// zero means the ordinary one.
func watchIn(t *testing.T, n *kerneltest.Namespace, buffer int) *Monitor {
	t.Helper()
	var m *Monitor
	err := n.Do(func() (err error) {
		if buffer > 0 {
			m, err = watch(buffer)
		} else {
			m, err = Watch()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("monitor ended with %v", err)
		}
	})
	return m
}

// await reads a subscription until its view satisfies the condition, and
// returns that view with all that was removed on the way.
func await(t *testing.T, s *Subscription, what string, condition func(*View) bool) (*View, []Removal) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var removed []Removal
	for {
		select {
		case <-s.Changed():
			view, more := s.Next()
			removed = append(removed, more...)
			if condition(view) {
				return view, removed
			}
		case <-timeout.C:
			view, _ := s.Next()
			t.Fatalf("never happened: %s; view is %s", what, text(view))
		}
	}
}

// hasAddress tells whether eth0 has an address.
func hasAddress(prefix string) func(*View) bool {
	return func(v *View) bool {
		l, _ := v.Link("eth0")
		return slices.ContainsFunc(l.Addresses, func(a inet.Address) bool { return a.Prefix.String() == prefix })
	}
}

func TestMonitorFollowsTheKernel(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	m := watchIn(t, a, 0)
	s := m.Subscribe()
	await(t, s, "loopback", func(v *View) bool { _, ok := v.Link("lo"); return ok })

	kerneltest.Veth(a, "eth0", b, "eth0")
	view, _ := await(t, s, "link up", func(v *View) bool { l, ok := v.Link("eth0"); return ok && l.Up })
	if l, _ := view.Link("eth0"); l.Index != a.Index("eth0") || l.MAC != a.MAC("eth0").String() {
		t.Errorf("link is %+v", l)
	}

	a.AddAddress("eth0", "192.0.2.1/24")
	await(t, s, "address", hasAddress("192.0.2.1/24"))
	a.AddAddress("eth0", "192.0.2.10/24")
	await(t, s, "second address", hasAddress("192.0.2.10/24"))
	a.DelAddress("eth0", "192.0.2.10/24")
	_, removed := await(t, s, "address removed", func(v *View) bool { return !hasAddress("192.0.2.10/24")(v) })
	want := Removal{Link: "eth0", Index: a.Index("eth0"), Address: netip.MustParsePrefix("192.0.2.10/24")}
	if !slices.Contains(removed, want) {
		t.Errorf("removals %v lack %v", removed, want)
	}

	b.SetDown("eth0")
	await(t, s, "carrier lost", func(v *View) bool { l, ok := v.Link("eth0"); return ok && !l.Up })
	b.SetUp("eth0")
	await(t, s, "carrier back", func(v *View) bool { l, _ := v.Link("eth0"); return l.Up })
	a.SetDown("eth0")
	await(t, s, "link down", func(v *View) bool { l, ok := v.Link("eth0"); return ok && !l.Up })

	b.DeleteLink("eth0")
	_, removed = await(t, s, "link gone", func(v *View) bool { _, ok := v.Link("eth0"); return !ok })
	if !slices.ContainsFunc(removed, func(r Removal) bool { return r.Address.String() == "192.0.2.1/24" }) {
		t.Errorf("the address that went with its link is not among %v", removed)
	}
}

func TestMonitorSeesALinkDeletedAndMadeAgain(t *testing.T) {
	a, b := kerneltest.NewNamespace(t, "a"), kerneltest.NewNamespace(t, "b")
	m := watchIn(t, a, 0)
	s := m.Subscribe()
	// A subscriber that never comes holds up nobody.
	m.Subscribe()
	descriptors := 0
	for round := range 20 {
		kerneltest.Veth(a, "eth0", b, "eth0")
		a.AddAddress("eth0", "192.0.2.1/24")
		index := a.Index("eth0")
		await(t, s, "link made again", func(v *View) bool {
			l, ok := v.Link("eth0")
			return ok && l.Index == index && l.Up && hasAddress("192.0.2.1/24")(v)
		})
		a.DeleteLink("eth0")
		await(t, s, "link deleted", func(v *View) bool { _, ok := v.Link("eth0"); return !ok })
		if open := kerneltest.OpenDescriptors(t); round == 2 {
			descriptors = open
		} else if round > 2 && open > descriptors {
			t.Errorf("round %d: %d descriptors, %d before", round, open, descriptors)
		}
	}
}

// The queue is too small for the storm, so most notifications are lost: in the
// end the view is that of a fresh dump, and one loss was counted.
func TestR31NetlinkOverrun(t *testing.T) {
	n := pair(t)
	n.Sysctl("ipv6/conf/eth0/disable_ipv6", "1") // Its own address would change while it is looked at.
	n.AddAddress("eth0", "192.0.2.1/24")
	m := watchIn(t, n, 4096)
	s := m.Subscribe()
	await(t, s, "first view", hasAddress("192.0.2.1/24"))

	h := openIn(t, n)
	storm, began := many(5000, 32), time.Now()
	if err := h.AddAddresses("eth0", storm); err != nil {
		t.Fatal(err)
	}
	// Something of the storm stays: the view must have exactly that.
	if err := h.DelAddresses("eth0", storm[100:]); err != nil {
		t.Fatal(err)
	}
	n.AddAddress("eth0", "203.0.113.1/32")

	links, err := h.Links()
	if err != nil {
		t.Fatal(err)
	}
	view, _ := await(t, s, "view equals a fresh dump", func(v *View) bool {
		return reflect.DeepEqual(v.Links, links)
	})
	// Losses within a second of each other are one; a machine that is kept
	// busy may drag the storm out.
	if most := 1 + uint64(time.Since(began)/calm); view.Overruns == 0 || view.Overruns > most {
		t.Errorf("%d overruns, want one to %d", view.Overruns, most)
	}
	// It stays so, and goes on hearing what happens.
	n.DelAddress("eth0", "203.0.113.1/32")
	await(t, s, "removal after the storm", func(v *View) bool { return !hasAddress("203.0.113.1/32")(v) })
}

func TestMonitorHearsWhatHappensBetweenWatchAndRun(t *testing.T) {
	n := pair(t)
	var m *Monitor
	if err := n.Do(func() (err error) { m, err = Watch(); return err }); err != nil {
		t.Fatal(err)
	}
	n.AddAddress("eth0", "192.0.2.1/24")
	s := m.Subscribe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	await(t, s, "address added before Run", hasAddress("192.0.2.1/24"))
	// A late subscriber is told of what is there.
	late := m.Subscribe()
	await(t, late, "late subscriber", hasAddress("192.0.2.1/24"))
	late.Close()
	n.DelAddress("eth0", "192.0.2.1/24")
	await(t, s, "removal", func(v *View) bool { return !hasAddress("192.0.2.1/24")(v) })
	select {
	case <-late.Changed():
		t.Error("a closed subscription is told of a change")
	default:
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run at the end of its context: %v", err)
	}
}

// Should a notification ever be missing without a word, the audit finds out.
func TestMonitorAudits(t *testing.T) {
	n := pair(t)
	var m *Monitor
	if err := n.Do(func() (err error) { m, err = Watch(); return err }); err != nil {
		t.Fatal(err)
	}
	m.audit = 10 * time.Millisecond
	for _, group := range []uint32{1, 5, 9} {
		if err := m.events.conn.LeaveGroup(group); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	s := m.Subscribe()
	n.AddAddress("eth0", "192.0.2.1/24")
	await(t, s, "address found by audit", hasAddress("192.0.2.1/24"))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMonitorRunReportsAClosedSocket(t *testing.T) {
	m, err := Watch()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.events.close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context()); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Run on a closed socket: %v, want an error", err)
	}
}

func TestSubscriptionRemembersTheLatestRemovals(t *testing.T) {
	stream := newStream[View, Removal]()
	s := stream.Subscribe()
	for i := range eventsLimit + 10 {
		stream.publish(&View{}, []Removal{{Index: i}})
	}
	_, removed := s.Next()
	if len(removed) != eventsLimit || removed[0].Index != 10 || removed[eventsLimit-1].Index != eventsLimit+9 {
		t.Errorf("%d removals from %d to %d", len(removed), removed[0].Index, removed[len(removed)-1].Index)
	}
	if _, removed := s.Next(); removed != nil {
		t.Errorf("told twice of %v", removed)
	}
}
